//! The JSON Schema (draft-07) of a whole `pipeline.yaml`, from the component tables: for editors.

use schemars::transform::{RemoveRefSiblings, ReplacePrefixItems, ReplaceUnevaluatedProperties, Transform as _};
use schemars::{Schema, schema_for};
use serde_json::{Map, Value, json};

use crate::node::{Components, Kind};
use crate::service::Service;

/// The schema of a configuration that may use all of `components`.
pub fn schema(components: &Components) -> Value {
    let mut definitions = Map::new();
    let receivers = section("receivers", components.receivers, &mut definitions);
    let processors = section("processors", components.processors, &mut definitions);
    let exporters = section("exporters", components.exporters, &mut definitions);
    let mut service = adopt("service", schema_for!(Service), &mut definitions);
    allow_references(&mut service);
    definitions.values_mut().for_each(allow_references);
    json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "backtrail pipeline",
        "description": "Where telemetry enters, what is done with it, and where the results leave.",
        "type": "object",
        "additionalProperties": false,
        "required": ["receivers", "exporters", "service"],
        "properties": {
            "receivers": described(receivers, "Where telemetry enters: components by id (type or type/name)."),
            "processors": described(processors, "The steps in the middle: components by id (type or type/name)."),
            "exporters": described(exporters, "Where results leave: components by id (type or type/name)."),
            "service": service,
            "tests": { "description": "Reserved for `backtrail test`." },
        },
        "definitions": definitions,
    })
}

fn described(mut schema: Value, text: &str) -> Value {
    schema["description"] = text.into();
    schema
}

/// One section: `type` and `type/name` for each kind of the table.
fn section<N: ?Sized>(name: &str, kinds: &[Kind<N>], definitions: &mut Map<String, Value>) -> Value {
    let (mut properties, mut patterns) = (Map::new(), Map::new());
    for kind in kinds {
        let mut component = adopt(&format!("{name}.{}", kind.name), (kind.schema)(), definitions);
        component["description"] = kind.summary.into();
        component["examples"] = json!([(kind.defaults)()]);
        definitions.insert(format!("{name}.{}", kind.name), component);
        // Nothing behind the key means all defaults.
        let either = json!({
            "description": kind.summary,
            "anyOf": [{ "$ref": format!("#/definitions/{name}.{}", kind.name) }, { "type": "null" }],
        });
        for key in std::iter::once(&kind.name).chain(kind.aliases) {
            properties.insert((*key).to_owned(), either.clone());
            patterns.insert(format!("^{key}/.+$"), either.clone());
        }
    }
    json!({
        "type": ["object", "null"],
        "properties": properties,
        "patternProperties": patterns,
        "additionalProperties": false,
    })
}

/// Turns a schema with definitions of its own into draft-07 and moves those definitions to `definitions`: what means
/// the same everywhere (a duration) under its own name, the rest under the owner's.
fn adopt(owner: &str, mut schema: Schema, definitions: &mut Map<String, Value>) -> Value {
    ReplaceUnevaluatedProperties::default().transform(&mut schema);
    ReplacePrefixItems::default().transform(&mut schema);
    RemoveRefSiblings::default().transform(&mut schema);
    let mut schema = schema.to_value();
    let own = schema.as_object_mut().and_then(|map| {
        map.remove("$schema");
        map.remove("title");
        map.remove("$defs")
    });
    let Some(Value::Object(own)) = own else { return schema };
    let mut names = Map::new();
    for (name, definition) in &own {
        let shared = !definition.to_string().contains("\"$ref\"")
            && definitions.get(name).is_none_or(|known| known == definition);
        names.insert(name.clone(), if shared { json!(name) } else { json!(format!("{owner}.{name}")) });
    }
    for (name, mut definition) in own {
        rename(&mut definition, &names);
        if let Some(Value::String(name)) = names.get(&name) {
            definitions.insert(name.clone(), definition);
        }
    }
    rename(&mut schema, &names);
    schema
}

/// Points references to the new names.
fn rename(value: &mut Value, names: &Map<String, Value>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::String(target)) = map.get_mut("$ref")
                && let Some(Value::String(name)) = target.strip_prefix("#/$defs/").and_then(|name| names.get(name))
            {
                *target = format!("#/definitions/{name}");
            }
            map.values_mut().for_each(|below| rename(below, names));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, names)),
        _ => {}
    }
}

/// Lets `${env:NAME}` stand wherever a value may: keywords for strings say nothing about numbers, so one more type and a
/// pattern are enough.
fn allow_references(schema: &mut Value) {
    const REFERENCE: &str = r"\$\{";
    match schema {
        Value::Object(map) => {
            if let Some(Value::String(pattern)) = map.get_mut("pattern") {
                *pattern = format!("({pattern})|{REFERENCE}");
            }
            let mut types: Vec<Value> = match map.get("type") {
                Some(Value::Array(types)) => types.clone(),
                Some(one @ Value::String(_)) => vec![one.clone()],
                _ => Vec::new(),
            };
            let is_scalar = types.iter().any(|name| name == "integer" || name == "number" || name == "boolean");
            if is_scalar && !types.iter().any(|name| name == "string") {
                types.push("string".into());
                map.insert("type".to_owned(), types.into());
                map.insert("pattern".to_owned(), REFERENCE.into());
            }
            let data = ["default", "examples", "enum", "const"];
            map.iter_mut()
                .filter(|(key, _)| !data.contains(&key.as_str()))
                .for_each(|(_, below)| allow_references(below));
        }
        Value::Array(items) => items.iter_mut().for_each(allow_references),
        _ => {}
    }
}
