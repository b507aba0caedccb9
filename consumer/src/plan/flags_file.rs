//! The new flag in the repository's flags file (flagd's format), switched off.

use serde_json::{Value, json};

use crate::candidate::FileEdit;
use crate::context::Context;
use crate::settings::Format;

/// The edit that makes the flag known, and what is to be said about it. Code asks for the flag with the default `False`,
/// so without the edit the flag is off, too.
pub(super) fn with_flag(context: &Context, flag: &str) -> (Option<FileEdit>, String) {
    for config in context.configs.iter().filter(|config| config.format == Format::Json) {
        if let Some(text) = insert(&config.text, flag) {
            let edit = FileEdit { path: config.path.clone(), content: Some(text.into_bytes()) };
            return (Some(edit), format!("{flag} is added to {}, off", config.path));
        }
    }
    let says = format!(
        "{flag} is in no flags file of the service (flagd's format): it is off until whoever keeps the flags adds it"
    );
    (None, says)
}

/// The text with the flag first among the flags; none if it is no flags file or knows the flag.
fn insert(text: &str, flag: &str) -> Option<String> {
    let document: Value = serde_json::from_str(text).ok()?;
    let flags = document.get("flags")?.as_object()?;
    let is_flag = |value: &Value| value.get("variants").is_some() && value.get("state").is_some();
    if flags.is_empty() || !flags.values().all(is_flag) || flags.contains_key(flag) {
        return None;
    }
    let first = flags_object(text)?;
    // What stands before the first flag: a line end and its indentation, or nothing in a file of one line.
    let space = &text[first..first + text[first..].find('"')?];
    let entry = match space.rfind('\n') {
        Some(end) => {
            let indent = &space[end + 1..];
            let line = if space.contains("\r\n") { "\r\n" } else { "\n" };
            let step = if indent.starts_with('\t') { "\t" } else { &indent[..indent.len().div_ceil(2)] };
            let inner = format!("{line}{indent}{step}");
            format!(
                "\"{flag}\": {{{inner}\"state\": \"ENABLED\",{inner}\"variants\": {{ \"on\": true, \"off\": false }},{inner}\"defaultVariant\": \"off\"{line}{indent}}}"
            )
        }
        None => format!(
            "\"{flag}\": {{\"state\": \"ENABLED\", \"variants\": {{\"on\": true, \"off\": false}}, \"defaultVariant\": \"off\"}}"
        ),
    };
    let between = if space.is_empty() { " " } else { space };
    let at = first + space.len();
    let changed = format!("{}{entry},{between}{}", &text[..at], &text[at..]);
    // The change is exactly this flag, or it is not made.
    let mut expected = document.clone();
    expected["flags"][flag] =
        json!({ "state": "ENABLED", "variants": { "on": true, "off": false }, "defaultVariant": "off" });
    (serde_json::from_str::<Value>(&changed).ok()? == expected).then_some(changed)
}

/// Where the inside of the top object's `flags` begins.
fn flags_object(text: &str) -> Option<usize> {
    let (mut depth, mut key_at) = (0, None);
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '{' | '[' => {
                if depth == 1 && c == '{' && key_at.is_some_and(|key: usize| text[key..at].trim() == ":") {
                    return Some(at + 1);
                }
                depth += 1;
            }
            '}' | ']' => depth -= 1,
            '"' => {
                let start = at + 1;
                let mut end = start;
                while let Some((at, c)) = chars.next() {
                    match c {
                        '\\' => drop(chars.next()),
                        '"' => {
                            end = at;
                            break;
                        }
                        _ => {}
                    }
                }
                key_at = (depth == 1 && &text[start..end] == "flags").then_some(end + 1);
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_added_in_the_style_of_the_file() {
        let text = "{\n  \"$schema\": \"x\",\n  \"flags\": {\n    \"a\": {\n      \"state\": \"ENABLED\",\n      \"variants\": { \"on\": true, \"off\": false },\n      \"defaultVariant\": \"on\"\n    }\n  }\n}\n";
        let changed = insert(text, "b").expect("a flags file");
        let added = "    \"b\": {\n      \"state\": \"ENABLED\",\n      \"variants\": { \"on\": true, \"off\": false },\n      \"defaultVariant\": \"off\"\n    },\n";
        assert_eq!(changed.replacen(added, "", 1), text, "{changed}");
        let line = r#"{"flags": {"a": {"state": "ENABLED", "variants": {"on": true}, "defaultVariant": "on"}}}"#;
        assert!(insert(line, "b").is_some_and(|changed| changed.starts_with(r#"{"flags": {"b": {"#)));
    }

    #[test]
    fn what_is_no_flags_file_or_knows_the_flag_is_left_alone() {
        for text in [
            r#"{"flags": {"a": true}}"#,
            r#"{"flags": {}}"#,
            r#"{"other": {"flags": {"a": {"state": "ENABLED", "variants": {}}}}}"#,
            r#"{"flags": {"b": {"state": "ENABLED", "variants": {}}}}"#,
            "{",
        ] {
            assert_eq!(insert(text, "b"), None, "{text}");
        }
    }
}
