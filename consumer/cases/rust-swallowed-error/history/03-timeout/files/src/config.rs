//! Settings: `NAME=value` lines.

use std::collections::HashMap;
use std::time::Duration;

/// What operations may tune.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub listen: String,
    /// Name and address.
    pub warehouses: Vec<(String, String)>,
    pub timeout: Duration,
    pub reserve: u32,
}

impl Config {
    /// Parses the file's text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut values = HashMap::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, value) = line
                .split_once('=')
                .ok_or(format!("line {}: expected NAME=value", number + 1))?;
            values.insert(name.trim(), value.trim());
        }
        let text = |name: &str| {
            values
                .get(name)
                .copied()
                .ok_or(format!("{name} is missing"))
        };
        let number = |name: &str| {
            text(name)?
                .parse::<u32>()
                .map_err(|_| format!("{name}: expected a number"))
        };
        let warehouse = |part: &str| {
            let (name, address) = part
                .split_once('=')
                .ok_or(format!("warehouse {part:?}: expected name=address"))?;
            Ok((name.to_owned(), address.to_owned()))
        };
        Ok(Self {
            listen: text("STOCK_LISTEN")?.to_owned(),
            warehouses: text("STOCK_WAREHOUSES")?
                .split(',')
                .map(warehouse)
                .collect::<Result<_, String>>()?,
            timeout: Duration::from_millis(number("STOCK_TIMEOUT_MS")?.into()),
            reserve: number("STOCK_RESERVE")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_the_repository_is_good() {
        let config = Config::parse(include_str!("../config/stock.env")).unwrap();
        assert_eq!(config.warehouses.len(), 2);
        assert_eq!(config.timeout, Duration::from_millis(300));
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(
            Config::parse("STOCK_LISTEN").unwrap_err(),
            "line 1: expected NAME=value"
        );
        assert_eq!(Config::parse("").unwrap_err(), "STOCK_LISTEN is missing");
    }
}
