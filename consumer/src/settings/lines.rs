//! Files of one setting a line: `.properties` and `.env`.

use std::ops::Range;

use super::Setting;

/// A Java properties file. Lines that go on in the next one, and keys or values with escapes, are passed over.
pub(super) fn properties(text: &str) -> Vec<Setting> {
    let mut settings = Vec::new();
    let mut goes_on = false;
    for (line, range) in lines(text) {
        let written = &text[range.clone()];
        let continued = std::mem::replace(&mut goes_on, written.ends_with('\\'));
        let key = written.trim_start();
        if continued || goes_on || key.is_empty() || key.starts_with(['#', '!']) || written.contains('\\') {
            continue;
        }
        let Some(end) = key.find(|c: char| c == '=' || c == ':' || c.is_whitespace()) else { continue };
        let (name, rest) = key.split_at(end);
        let value = rest.trim_start();
        let value = value.strip_prefix(['=', ':']).unwrap_or(value).trim_start();
        let start = range.end - value.len();
        let value = value.trim_end();
        settings.push(Setting {
            keys: name.split('.').map(str::to_owned).collect(),
            value: value.to_owned(),
            line,
            range: start..start + value.len(),
        });
    }
    settings
}

/// A `.env` file: `KEY=value`, with or without `export` and quotes; ` #` begins a comment outside of quotes.
pub(super) fn env(text: &str) -> Vec<Setting> {
    let mut settings = Vec::new();
    for (line, range) in lines(text) {
        let written = &text[range.clone()];
        let stripped = written.trim_start();
        let stripped = stripped.strip_prefix("export ").map_or(stripped, str::trim_start);
        let Some((key, value)) = stripped.split_once('=') else { continue };
        if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            continue;
        }
        let start = range.end - value.len();
        let bytes = unquoted(value);
        settings.push(Setting {
            keys: vec![key.to_owned()],
            value: value[bytes.clone()].to_owned(),
            line,
            range: start + bytes.start..start + bytes.end,
        });
    }
    settings
}

/// Sections of `key = value` or `key: value`. A value that goes on in an indented line is passed over.
pub(super) fn ini(text: &str) -> Vec<Setting> {
    let mut settings: Vec<Setting> = Vec::new();
    let (mut section, mut last) = (Vec::new(), None);
    for (line, range) in lines(text) {
        let written = &text[range.clone()];
        let stripped = written.trim();
        if stripped.is_empty() || stripped.starts_with(['#', ';']) {
            continue;
        }
        if written.starts_with([' ', '\t']) {
            if let Some(at) = last.take() {
                settings.remove(at);
            }
            continue;
        }
        if let Some(name) = stripped.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.split('.').map(|part| part.trim().to_owned()).collect();
            continue;
        }
        let Some(end) = written.find(['=', ':']) else { continue };
        let value = written[end + 1..].trim_start();
        let start = range.end - value.len();
        let stop = [" ;", " #"].iter().filter_map(|mark| value.find(mark)).min().unwrap_or(value.len());
        let value = value[..stop].trim_end();
        let keys = section.iter().cloned().chain([written[..end].trim().to_owned()]).collect();
        last = Some(settings.len());
        settings.push(Setting { keys, value: value.to_owned(), line, range: start..start + value.len() });
    }
    settings
}

fn unquoted(value: &str) -> Range<usize> {
    if let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\''))
        && let Some(end) = value[1..].find(quote)
    {
        return 1..1 + end;
    }
    let end = value.find(" #").unwrap_or(value.len());
    0..value[..end].trim_end().len()
}

/// Lines by number, from 1, and range, without their ends.
fn lines(text: &str) -> impl Iterator<Item = (usize, Range<usize>)> {
    let mut start = 0;
    text.split_inclusive('\n').enumerate().map(move |(n, line)| {
        let begin = start;
        start += line.len();
        (n + 1, begin..begin + line.trim_end_matches(['\n', '\r']).len())
    })
}
