//! A file of sections and `key = value`.

use std::collections::BTreeMap;

/// What the file says, by `section.key`.
#[derive(Debug, Default)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    pub fn parse(text: &str) -> Self {
        let mut section = String::new();
        let mut all = BTreeMap::new();
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
                section = format!("{name}.");
            } else if let Some((key, value)) = line.split_once('=') {
                all.insert(format!("{section}{}", key.trim()), value.trim().trim_matches('"').to_string());
            }
        }
        Self(all)
    }

    pub fn load(path: &str) -> std::io::Result<Self> {
        std::fs::read_to_string(path).map(|text| Self::parse(&text))
    }

    pub fn number(&self, key: &str, otherwise: u64) -> u64 {
        self.0.get(key).and_then(|v| v.parse().ok()).unwrap_or(otherwise)
    }
}
