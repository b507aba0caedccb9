//! Settings in configuration files, and changing one without touching anything else: comments, order, quotes, spaces and
//! line ends stay as they are.
//!
//! A file is read into [`Setting`]s with the place of each value in the text. [`set`] replaces the bytes of one value,
//! reads the result again, and refuses it unless exactly that one setting differs.

mod lines;
mod toml;
mod yaml;

use std::ops::Range;

/// Most bytes of a configuration file that is looked at.
pub const MOST_BYTES: usize = 1 << 20;
/// Most settings of a file.
const MOST_SETTINGS: usize = 20_000;

/// How a file is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// YAML 1.2, also several documents in one file.
    Yaml,
    /// JSON.
    Json,
    /// TOML 1.
    Toml,
    /// `key=value` or `key: value`, as Java reads it.
    Properties,
    /// `KEY=value`, as shells and docker read it.
    Env,
    /// Sections of `key = value`, as Python's `configparser` reads it.
    Ini,
}

impl Format {
    /// By the name of the file; none for what is not configuration.
    ///
    /// ```
    /// # use backtrail_consumer::settings::Format;
    /// assert_eq!(Format::of_path("deploy/values.yml"), Some(Format::Yaml));
    /// assert_eq!(Format::of_path(".env.production"), Some(Format::Env));
    /// assert_eq!(Format::of_path("src/main.py"), None);
    /// ```
    pub fn of_path(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next().unwrap_or(path);
        if name == ".env" || name.starts_with(".env.") {
            return Some(Self::Env);
        }
        Some(match name.rsplit_once('.')?.1 {
            "yaml" | "yml" => Self::Yaml,
            "json" => Self::Json,
            "toml" => Self::Toml,
            "properties" => Self::Properties,
            "env" => Self::Env,
            "ini" | "cfg" | "conf" => Self::Ini,
            _ => return None,
        })
    }
}

/// One scalar value of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// Where it is: keys from the outside in; positions in lists are numbers. Of a properties file, the parts between dots.
    pub keys: Vec<String>,
    /// The value without quotes.
    pub value: String,
    /// Line, from 1.
    pub line: usize,
    /// Bytes of the value without its quotes.
    range: Range<usize>,
}

impl Setting {
    /// The keys with dots between them.
    pub fn name(&self) -> String {
        self.keys.join(".")
    }
}

/// Why a file was not read or changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unusable {
    /// Past a limit.
    #[error("it is too large: {0}")]
    TooLarge(String),
    /// Not what its name says.
    #[error("it cannot be read: {0}")]
    Malformed(String),
    /// No such setting, or more than one.
    #[error("{found} settings are called '{name}'")]
    NotOne {
        /// Which.
        name: String,
        /// How many.
        found: usize,
    },
    /// The value cannot be written where the old one stands.
    #[error("'{value}' cannot be written there without quotes or escapes")]
    Value {
        /// Which.
        value: String,
    },
    /// Another setting would change with it.
    #[error("another setting would change with it")]
    SideEffect,
}

/// Reads all settings of a file.
pub fn read(format: Format, text: &str) -> Result<Vec<Setting>, Unusable> {
    if text.len() > MOST_BYTES {
        return Err(Unusable::TooLarge(format!("{} bytes", text.len())));
    }
    let settings = match format {
        Format::Yaml | Format::Json => yaml::read(text)?,
        Format::Toml => toml::read(text)?,
        Format::Properties => lines::properties(text),
        Format::Env => lines::env(text),
        Format::Ini => lines::ini(text),
    };
    if settings.len() > MOST_SETTINGS {
        return Err(Unusable::TooLarge(format!("{} settings", settings.len())));
    }
    Ok(settings)
}

/// The text with one setting changed.
///
/// ```
/// # use backtrail_consumer::settings::{Format, set};
/// let before = "bank:\n  retries: 3   # since May\n";
/// let after = set(Format::Yaml, before, &["bank", "retries"], "0").expect("changed");
/// assert_eq!(after, "bank:\n  retries: 0   # since May\n");
/// ```
pub fn set<K: AsRef<str>>(format: Format, text: &str, keys: &[K], value: &str) -> Result<String, Unusable> {
    let wanted: Vec<&str> = keys.iter().map(AsRef::as_ref).collect();
    let before = read(format, text)?;
    let mut places = before.iter().enumerate().filter(|(_, setting)| setting.keys == wanted);
    let (Some((at, setting)), None) = (places.next(), places.next()) else {
        let found = before.iter().filter(|setting| setting.keys == wanted).count();
        return Err(Unusable::NotOne { name: wanted.join("."), found });
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-+%/".contains(c);
    if value.is_empty() || !value.chars().all(plain) {
        return Err(Unusable::Value { value: value.to_owned() });
    }
    let mut after = text.to_owned();
    after.replace_range(setting.range.clone(), value);
    let now = read(format, &after)?;
    let as_wanted = |(n, (old, new)): (usize, (&Setting, &Setting))| {
        old.keys == new.keys && if n == at { new.value == value } else { old.value == new.value }
    };
    if now.len() != before.len() || !before.iter().zip(&now).enumerate().all(as_wanted) {
        return Err(Unusable::SideEffect);
    }
    Ok(after)
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(format: Format, text: &str) -> Vec<(String, String, usize)> {
        let settings = read(format, text).expect("readable");
        settings.into_iter().map(|setting| (setting.name(), setting.value, setting.line)).collect()
    }

    fn one(name: &str, value: &str, line: usize) -> (String, String, usize) {
        (name.into(), value.into(), line)
    }

    #[test]
    fn each_format_is_read_with_its_lines() {
        let yaml = "# a\nbank:\n  url: \"http://b\"  # b\n  hosts: [a, 'c']\nn: 1\n";
        let wanted = [
            one("bank.url", "http://b", 3),
            one("bank.hosts.0", "a", 4),
            one("bank.hosts.1", "c", 4),
            one("n", "1", 5),
        ];
        assert_eq!(names(Format::Yaml, yaml), wanted);
        assert_eq!(
            names(Format::Json, "{\"a\": {\n\"b\": [1, true]}}"),
            [one("a.b.0", "1", 2), one("a.b.1", "true", 2)]
        );
        let toml = "[bank]\ntimeout = 300 # ms\nx.y = \"z\"\n[[pools]]\nsize = 4\n";
        let wanted = [one("bank.timeout", "300", 2), one("bank.x.y", "z", 3), one("pools.0.size", "4", 5)];
        assert_eq!(names(Format::Toml, toml), wanted);
        let properties = "# c\n! d\nspring.pool.size = 5\r\nurl: jdbc:x\n\nlong=a\\\n  b\n";
        assert_eq!(
            names(Format::Properties, properties)[..2],
            [one("spring.pool.size", "5", 3), one("url", "jdbc:x", 4)]
        );
        let ini = "; c\n[pool]\nsize = 5 ; d\n[retry]\nmax: 3\n  4\n";
        assert_eq!(names(Format::Ini, ini), [one("pool.size", "5", 3)], "a value of two lines is passed over");
        let env = "export POOL=5\n#X=1\nURL='a b' # c\n";
        assert_eq!(names(Format::Env, env), [one("POOL", "5", 1), one("URL", "a b", 3)]);
    }

    #[test]
    fn variables_of_containers_are_settings_by_their_names() {
        let pods = "env:\n  - name: POOL_SIZE\n    value: \"5\"\n  - {name: HOST, value: b}\n  - name: KEY\n    valueFrom: x\n";
        let wanted = [
            one("env.0.name", "POOL_SIZE", 2),
            one("env.0.POOL_SIZE", "5", 3),
            one("env.1.name", "HOST", 4),
            one("env.1.HOST", "b", 4),
            one("env.2.name", "KEY", 5),
            one("env.2.valueFrom", "x", 6),
        ];
        assert_eq!(names(Format::Yaml, pods), wanted);
        let compose = "environment:\n  - POOL_SIZE=5\n  - \"HOST=b\"\n  - just text\n";
        let wanted = [
            one("environment.0.POOL_SIZE", "5", 2),
            one("environment.1.HOST", "b", 3),
            one("environment.2", "just text", 4),
        ];
        assert_eq!(names(Format::Yaml, compose), wanted);
        let changed = set(Format::Yaml, pods, &["env", "0", "POOL_SIZE"], "9").expect("changed");
        assert_eq!(changed, pods.replace("\"5\"", "\"9\""));
        let changed = set(Format::Yaml, compose, &["environment", "0", "POOL_SIZE"], "9").expect("changed");
        assert_eq!(changed, compose.replace("=5", "=9"));
    }

    #[test]
    fn one_value_changes_and_every_other_byte_stays() {
        for (format, before, keys, after) in [
            (Format::Yaml, "a:\r\n  b: '3' # x\r\n", vec!["a", "b"], "a:\r\n  b: '0.1' # x\r\n"),
            (Format::Json, "{ \"a\":{\"b\" : 3 }}", vec!["a", "b"], "{ \"a\":{\"b\" : 0.1 }}"),
            (Format::Toml, "# t\n[a]\nb=3#x\n", vec!["a", "b"], "# t\n[a]\nb=0.1#x\n"),
            (Format::Properties, "a.b = 3\n", vec!["a", "b"], "a.b = 0.1\n"),
            (Format::Env, "A_B=\"3\"\n", vec!["A_B"], "A_B=\"0.1\"\n"),
        ] {
            assert_eq!(set(format, before, &keys, "0.1").as_deref(), Ok(after), "{format:?}");
        }
    }

    #[test]
    fn what_is_ambiguous_shared_or_unwritable_is_refused() {
        let not_one = |found| Err(Unusable::NotOne { name: "a".into(), found });
        assert_eq!(set(Format::Yaml, "b: 1\n", &["a"], "2"), not_one(0));
        assert_eq!(set(Format::Env, "a=1\na=2\n", &["a"], "3"), not_one(2));
        assert_eq!(set(Format::Yaml, "a: 1\n", &["a"], "2\nb: 3"), Err(Unusable::Value { value: "2\nb: 3".into() }));
        assert!(matches!(set(Format::Yaml, "a: [1\n", &["a"], "2"), Err(Unusable::Malformed(_))));
        assert!(matches!(read(Format::Json, &"[".repeat(MOST_BYTES + 1)), Err(Unusable::TooLarge(_))));
        // An alias is another name for a value that stands elsewhere.
        assert_eq!(set(Format::Yaml, "b: &x 1\na: *x\n", &["a"], "2"), not_one(0));
    }

    proptest! {
        #[test]
        fn no_text_makes_reading_panic(text in "(?s).{0,200}") {
            for format in [Format::Yaml, Format::Json, Format::Toml, Format::Properties, Format::Env, Format::Ini] {
                let settings = read(format, &text).unwrap_or_default();
                prop_assert!(settings.iter().all(|setting| text.get(setting.range.clone()).is_some()));
            }
        }
    }
}
