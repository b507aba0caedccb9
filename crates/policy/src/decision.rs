//! The answer to one input, complete enough to be logged and asked again.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Whether a patch may go on, and everything that speaks against it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Decision {
    /// True if there is no denial.
    pub allow: bool,
    /// Every reason against the patch, sorted.
    pub denials: Vec<Denial>,
    /// Digest over all rules and data that decided, as `sha256:...`.
    pub policy_digest: String,
    /// Digest of the input as canonical JSON, as `sha256:...`.
    pub input_digest: String,
    /// Shipped rules that the user's `data.json` switches off. They are named in every decision, so that nobody finds
    /// out afterwards.
    pub disabled: Vec<String>,
}

/// One reason against a patch.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denial {
    /// Id of the rule, as `size.lines`.
    pub rule: String,
    /// The reason, for people.
    pub msg: String,
    /// The field of the input that it is about.
    pub path: String,
}

/// The rule of denials that come from the engine, not from a policy: no answer means no.
pub const ENGINE: &str = "engine";

impl Denial {
    pub(crate) fn engine(msg: impl Into<String>) -> Self {
        Self { rule: ENGINE.to_owned(), msg: msg.into(), path: String::new() }
    }

    /// Takes an entry of `deny`. An entry of another form still denies: whoever wrote it meant no.
    pub(crate) fn take(entry: &Value) -> Self {
        serde_json::from_value(entry.clone()).ok().filter(|denial: &Self| !denial.rule.is_empty()).unwrap_or_else(
            || {
                let shown: String = entry.to_string().chars().take(200).collect();
                Self::engine(format!("an entry of deny is not {{rule, msg, path}} with three texts: {shown}"))
            },
        )
    }
}

/// SHA-256 of bytes, as `sha256:...`.
pub(crate) fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    format!("sha256:{}", hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// JSON text with sorted keys, whatever map type `serde_json` was built with: the same facts have one digest.
pub(crate) fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            let members = keys.iter().map(|key| format!("{}:{}", Value::from(key.as_str()), canonical(&map[*key])));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn canonical_json_does_not_depend_on_the_order_of_keys() {
        let one: Value = serde_json::from_str(r#"{"b": [1, {"y": null, "x": "é\""}], "a": 1.5}"#).expect("json");
        assert_eq!(canonical(&one), r#"{"a":1.5,"b":[1,{"x":"é\"","y":null}]}"#);
    }

    #[test]
    fn an_entry_of_another_form_still_denies() {
        let good = json!({"rule": "a", "msg": "b", "path": "c"});
        assert_eq!(Denial::take(&good), Denial { rule: "a".into(), msg: "b".into(), path: "c".into() });
        for entry in [
            json!("text"),
            json!(null),
            json!({"rule": "a", "msg": "b"}),
            json!({"rule": "", "msg": "b", "path": "c"}),
            json!({"rule": "a", "msg": 1, "path": "c"}),
            json!({"rule": "a", "msg": "b", "path": "c", "allow": true}),
        ] {
            assert_eq!(Denial::take(&entry).rule, ENGINE, "{entry}");
        }
    }
}
