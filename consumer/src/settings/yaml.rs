//! YAML, and JSON as the part of it that it is.

use granit_parser::{Event, Parser, Span};

use super::{Setting, Unusable};

/// Deepest nesting.
const MOST_DEPTH: usize = 64;

enum Open {
    /// A mapping, with the key whose value comes next.
    Mapping(Option<String>),
    /// A list, with the position of what comes next.
    Sequence(usize),
}

pub(super) fn read(text: &str) -> Result<Vec<Setting>, Unusable> {
    let malformed = |what: String| Unusable::Malformed(what);
    let mut settings = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| malformed(error.to_string()))?;
        match event {
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                if open.len() >= MOST_DEPTH {
                    return Err(malformed(format!("it is nested deeper than {MOST_DEPTH}")));
                }
                if let Some(Open::Mapping(key @ None)) = open.last_mut() {
                    // A key that is a list or a mapping: nothing below it can be named.
                    *key = Some("?".into());
                    return Err(malformed("a key is no scalar".into()));
                }
                let mapping = matches!(event, Event::MappingStart(..));
                open.push(if mapping { Open::Mapping(None) } else { Open::Sequence(0) });
            }
            Event::MappingEnd | Event::SequenceEnd => {
                open.pop();
                passed(&mut open);
            }
            Event::Scalar(value, ..) => {
                if let Some(Open::Mapping(key @ None)) = open.last_mut() {
                    *key = Some(value.into_owned());
                } else {
                    settings.extend(setting(text, &open, value.into_owned(), &span));
                    passed(&mut open);
                }
            }
            Event::Alias(..) | Event::UnresolvedAlias(..) => match open.last_mut() {
                Some(Open::Mapping(key @ None)) => *key = Some("*".into()),
                _ => passed(&mut open),
            },
            _ => {}
        }
    }
    variables(&mut settings);
    Ok(settings)
}

/// Environment variables of containers get the names that code knows them by: `- name: X` with `value: 5` (Kubernetes),
/// and `- X=5` in a list of the environment (Compose).
fn variables(settings: &mut [Setting]) {
    for at in 1..settings.len() {
        let (before, rest) = settings.split_at_mut(at);
        let (name, value) = (&before[at - 1], &mut rest[0]);
        let inside = name.keys.len() - 1;
        let pair = name.keys[inside] == "name" && value.keys.last().is_some_and(|last| last == "value");
        if pair && value.keys.len() == name.keys.len() && value.keys[..inside] == name.keys[..inside] {
            value.keys[inside].clone_from(&name.value);
        }
    }
    for setting in settings {
        let listed = matches!(setting.keys.as_slice(), [.., list, _] if list == "environment" || list == "env");
        let Some((name, value)) = setting.value.split_once('=').filter(|_| listed) else { continue };
        let upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        if !name.is_empty() && name.chars().all(upper) {
            let (name, value) = (name.to_owned(), value.to_owned());
            setting.range.start += name.len() + 1;
            setting.keys.push(name);
            setting.value = value;
        }
    }
}

/// A value is over: the mapping waits for its next key, the list moves on.
fn passed(open: &mut [Open]) {
    match open.last_mut() {
        Some(Open::Mapping(key)) => *key = None,
        Some(Open::Sequence(at)) => *at += 1,
        None => {}
    }
}

fn setting(text: &str, open: &[Open], value: String, span: &Span) -> Option<Setting> {
    let keys: Vec<String> = open
        .iter()
        .map(|open| match open {
            Open::Mapping(key) => key.clone().unwrap_or_default(),
            Open::Sequence(at) => at.to_string(),
        })
        .collect();
    let mut range = span.byte_range()?;
    let written = text.get(range.clone())?;
    let quoted = written.len() >= 2 && (written.starts_with('"') || written.starts_with('\''));
    if quoted {
        range = range.start + 1..range.end - 1;
    }
    // A value with escapes, or over several lines, is not written as it reads: it is known and cannot be replaced.
    let plain = text.get(range.clone()) == Some(value.as_str());
    let line = span.start.line();
    (plain && !keys.is_empty()).then_some(Setting { keys, value, line, range })
}
