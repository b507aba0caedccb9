//! `key=value` a line.

use std::collections::HashMap;

pub struct Conf(HashMap<String, String>);

impl Conf {
    pub fn load(path: &str) -> std::io::Result<Self> {
        let text = std::fs::read_to_string(path)?;
        let pairs = text.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.split_once('='));
        Ok(Self(pairs.map(|(k, v)| (k.trim().into(), v.trim().into())).collect()))
    }

    /// # Panics
    /// When it is not there: a service without settings does not start.
    pub fn number(&self, key: &str) -> u64 {
        self.0[key].parse().expect("a number")
    }
}
