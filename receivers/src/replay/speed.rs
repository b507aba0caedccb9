//! How fast recorded time passes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `max`, or how many recorded seconds pass in one: `1x`, `10x`, `0.5x`.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct Speed(Option<f64>);

impl Speed {
    /// As fast as the pipeline takes it.
    pub const MAX: Self = Self(None);

    /// Recorded seconds a second, `None` for `max`.
    pub const fn factor(self) -> Option<f64> {
        self.0
    }
}

impl std::str::FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == "max" {
            return Ok(Self::MAX);
        }
        let factor = text.trim().strip_suffix('x').and_then(|number| number.parse::<f64>().ok());
        match factor {
            Some(factor) if factor.is_finite() && factor > 0.0 => Ok(Self(Some(factor))),
            _ => Err(format!("'{text}' is no speed; write max, or a factor such as 1x, 10x or 0.5x")),
        }
    }
}

impl TryFrom<String> for Speed {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Speed> for String {
    fn from(speed: Speed) -> Self {
        speed.0.map_or_else(|| "max".to_owned(), |factor| format!("{factor}x"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_parse_and_print() {
        for text in ["max", "1x", "10x", "0.5x"] {
            assert_eq!(String::from(text.parse::<Speed>().expect("a speed")), text);
        }
        for text in ["", "10", "x", "0x", "-1x", "infx", "NaNx"] {
            assert!(text.parse::<Speed>().is_err(), "{text}");
        }
    }
}
