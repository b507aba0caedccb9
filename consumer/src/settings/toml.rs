//! TOML.

use toml_edit::{Document, Item, Value};

use super::{Setting, Unusable, line_of};

pub(super) fn read(text: &str) -> Result<Vec<Setting>, Unusable> {
    let document = Document::parse(text).map_err(|error| Unusable::Malformed(error.message().to_owned()))?;
    let mut settings = Vec::new();
    let mut keys = Vec::new();
    for (key, item) in document.as_table() {
        keys.push(key.to_owned());
        below(text, item, &mut keys, &mut settings);
        keys.pop();
    }
    settings.sort_by_key(|setting: &Setting| setting.range.start);
    Ok(settings)
}

fn below(text: &str, item: &Item, keys: &mut Vec<String>, settings: &mut Vec<Setting>) {
    match item {
        Item::None => {}
        Item::Value(value) => of_value(text, value, keys, settings),
        Item::Table(table) => {
            for (key, item) in table {
                keys.push(key.to_owned());
                below(text, item, keys, settings);
                keys.pop();
            }
        }
        Item::ArrayOfTables(tables) => {
            for (at, table) in tables.iter().enumerate() {
                keys.push(at.to_string());
                for (key, item) in table {
                    keys.push(key.to_owned());
                    below(text, item, keys, settings);
                    keys.pop();
                }
                keys.pop();
            }
        }
    }
}

fn of_value(text: &str, value: &Value, keys: &mut Vec<String>, settings: &mut Vec<Setting>) {
    match value {
        Value::Array(values) => {
            for (at, value) in values.iter().enumerate() {
                keys.push(at.to_string());
                of_value(text, value, keys, settings);
                keys.pop();
            }
        }
        Value::InlineTable(table) => {
            for (key, value) in table {
                keys.push(key.to_owned());
                of_value(text, value, keys, settings);
                keys.pop();
            }
        }
        scalar => settings.extend(setting(text, scalar, keys)),
    }
}

fn setting(text: &str, scalar: &Value, keys: &[String]) -> Option<Setting> {
    let mut range = scalar.span()?;
    let written = text.get(range.clone())?;
    let value = match scalar {
        Value::String(string) => {
            // Longer delimiters and escapes: known, and not replaceable.
            range = range.start + 1..range.end - 1;
            (text.get(range.clone()) == Some(string.value().as_str())).then(|| string.value().clone())?
        }
        _ => written.to_owned(),
    };
    Some(Setting { keys: keys.to_vec(), value, line: line_of(text, range.start), range })
}
