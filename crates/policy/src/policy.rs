//! A policy: the shipped rules, and what a user adds to them.

mod read;
mod recursion;

use std::collections::BTreeSet;
use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::decision::{Decision, Denial, canonical, digest};
use crate::engine::{Engine, located};
use crate::error::Error;

/// The shipped files by name.
pub const SHIPPED: &[(&str, &str)] = &[
    ("complete.rego", include_str!("../rego/complete.rego")),
    ("consistent.rego", include_str!("../rego/consistent.rego")),
    ("observability.rego", include_str!("../rego/observability.rego")),
    ("revert.rego", include_str!("../rego/revert.rego")),
    ("scope.rego", include_str!("../rego/scope.rego")),
    ("security.rego", include_str!("../rego/security.rego")),
    ("size.rego", include_str!("../rego/size.rego")),
    ("tests.rego", include_str!("../rego/tests.rego")),
    ("type.rego", include_str!("../rego/type.rego")),
];

/// Ids of the shipped rules, sorted.
pub const SHIPPED_RULES: &[&str] = &[
    "complete",
    "consistent",
    "observability.counter",
    "observability.span_attrs",
    "revert.proof",
    "scope.binary",
    "scope.mode",
    "scope.path",
    "scope.repository",
    "scope.submodule",
    "scope.symlink",
    "security.dependencies",
    "security.egress",
    "security.pii",
    "security.secrets",
    "security.syntax",
    "security.undefined_names",
    "size.empty",
    "size.files",
    "size.functions",
    "size.lines",
    "size.noop",
    "tests.added",
    "tests.changed",
    "tests.failing_before",
    "tests.flaky",
    "tests.newly_failing",
    "tests.passing_after",
    "tests.repeats",
    "type.ci",
    "type.contract",
    "type.dependency",
    "type.flag",
    "type.kind",
    "type.migration",
    "type.public_api",
    "type.tier",
];

/// Rules that nobody can switch off: without them, a field that is not there would pass.
pub const ALWAYS: &[&str] = &["complete", "consistent"];

/// The file that is asked before all others.
const COMPLETE: &str = "complete.rego";
/// Bytes of an input as JSON.
const MAX_INPUT: usize = 4 << 20;
/// Maps and lists of an input inside each other.
const MAX_DEPTH: usize = 32;

/// Rules that decide on patches.
///
/// First come the rules of `complete.rego`: an input that they refuse is answered by them alone, because every other rule
/// would compare what is not there. The shipped rules are asked on their own, so that nothing in a user's files can weaken them, not even another body
/// for one of their functions. A user's rules are asked together with them, and only what they add counts.
#[derive(Clone)]
pub struct Policy {
    /// The rules that say whether all facts are there.
    complete: Engine,
    shipped: Engine,
    /// The shipped rules with a user's rules and data.
    extended: Option<Engine>,
    disabled: Vec<String>,
    digest: String,
}

impl Policy {
    /// The rules that come with this program.
    ///
    /// # Panics
    /// Never: a test reads the same text.
    pub fn shipped() -> Self {
        Self::of(SHIPPED).expect("the shipped rules are tested")
    }

    /// Rules from texts in place of the shipped ones; for tests of the rules themselves.
    #[doc(hidden)]
    pub fn of(files: &[(&str, &str)]) -> Result<Self, Error> {
        let (mut complete, mut shipped) = (Engine::new(), Engine::new());
        let rejected = |problem| Error::Rejected(vec![problem]);
        for (name, text) in files {
            shipped.add(name, text).map_err(rejected)?;
            if *name == COMPLETE {
                complete.add(name, text).map_err(rejected)?;
            }
        }
        for engine in [&mut complete, &mut shipped] {
            engine.prepare().map_err(|error| rejected(located("policy", &error)))?;
        }
        let digest = digest_of(files.iter().copied());
        Ok(Self { complete, shipped, extended: None, disabled: Vec::new(), digest })
    }

    /// The shipped rules and a user's folder with `*.rego` files, which add denials, and perhaps a `data.json`, which
    /// they can read as `data`. `{"disabled": ["size.lines"]}` in it switches shipped rules off; every decision says so.
    ///
    /// # Errors
    /// Everything that is wrong in these files, with line and column.
    pub fn load(dir: &Path) -> Result<Self, Error> {
        let files = read::folder(dir)?;
        let mut policy = Self::shipped();
        let mut problems = Vec::new();
        let mut engine = policy.shipped.clone();
        for (name, text) in &files.rego {
            read::check(name, text, &mut engine, &mut problems);
        }
        problems.extend(recursion::find(&files.rego));
        if let Some((name, text)) = &files.data {
            match read::data(name, text, &mut engine) {
                Ok(disabled) => policy.disabled = disabled,
                Err(found) => problems.extend(found),
            }
        }
        if problems.is_empty()
            && let Err(error) = engine.prepare()
        {
            problems.push(located("policy", &error));
        }
        if !problems.is_empty() {
            problems.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
            problems.dedup();
            return Err(Error::Rejected(problems));
        }
        let users = files.rego.iter().chain(&files.data).map(|(name, text)| (name.as_str(), text.as_str()));
        policy.digest = digest_of(SHIPPED.iter().copied().chain(users));
        policy.extended = Some(engine);
        Ok(policy)
    }

    /// Digest over all rules and data, as `sha256:...`.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Shipped rules that are switched off.
    pub fn disabled(&self) -> &[String] {
        &self.disabled
    }

    /// Decides on an [`crate::Input`], or on the same as JSON. Whatever goes wrong is a denial by the rule `engine`.
    pub fn decide(&self, input: &impl Serialize) -> Decision {
        let (input_digest, denials) = match bounded(input) {
            Ok((input, text)) => (digest(text.as_bytes()), self.denials(&input)),
            Err(denial) => (digest(b""), BTreeSet::from([denial])),
        };
        Decision {
            allow: denials.is_empty(),
            denials: denials.into_iter().collect(),
            policy_digest: self.digest.clone(),
            input_digest,
            disabled: self.disabled.clone(),
        }
    }

    fn denials(&self, input: &Value) -> BTreeSet<Denial> {
        match ask(&self.complete, input) {
            Ok(denials) if denials.is_empty() => {}
            Ok(denials) => return denials,
            Err(denial) => return BTreeSet::from([denial]),
        }
        let shipped = match ask(&self.shipped, input) {
            Ok(denials) => denials,
            Err(denial) => return BTreeSet::from([denial]),
        };
        let added = match self.extended.as_ref().map(|engine| ask(engine, input)) {
            None => BTreeSet::new(),
            Some(Ok(all)) => all.difference(&shipped).cloned().collect(),
            Some(Err(denial)) => BTreeSet::from([denial]),
        };
        let mut denials: BTreeSet<Denial> =
            shipped.into_iter().filter(|denial| !self.disabled.contains(&denial.rule)).collect();
        denials.extend(added);
        denials
    }
}

/// The input as a value and as canonical text, if it is within the limits.
fn bounded(input: &impl Serialize) -> Result<(Value, String), Denial> {
    let input = serde_json::to_value(input).map_err(|error| Denial::engine(format!("the input: {error}")))?;
    if deeper(&input, MAX_DEPTH) {
        return Err(Denial::engine(format!("the input has more than {MAX_DEPTH} levels inside each other")));
    }
    let text = canonical(&input);
    if text.len() > MAX_INPUT {
        let size = text.len();
        return Err(Denial::engine(format!("the input has {size} bytes, at most {MAX_INPUT} are read")));
    }
    Ok((input, text))
}

fn ask(engine: &Engine, input: &Value) -> Result<BTreeSet<Denial>, Denial> {
    let entries = engine.denials(input).map_err(|error| Denial::engine(error.trim().replace('\n', "; ")))?;
    Ok(entries.iter().map(Denial::take).collect())
}

fn deeper(value: &Value, left: usize) -> bool {
    match value {
        Value::Object(map) => left == 0 || map.values().any(|value| deeper(value, left - 1)),
        Value::Array(items) => left == 0 || items.iter().any(|value| deeper(value, left - 1)),
        _ => false,
    }
}

/// Names and lengths are part of it: text moved from one file to another is another policy.
fn digest_of<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut all = String::new();
    for (name, text) in files {
        all.push_str(&format!("{} {}\n{name}\n{text}\n", name.len(), text.len()));
    }
    digest(all.as_bytes())
}

/// Says which shipped rule somebody may have meant.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    let subject = name.split('.').next().unwrap_or_default();
    let last = name.rsplit('.').next().unwrap_or_default();
    let ends = |rule: &&&str| rule.rsplit('.').next() == Some(last);
    let begins = |rule: &&&str| rule.split('.').next() == Some(subject);
    SHIPPED_RULES.iter().find(ends).or_else(|| SHIPPED_RULES.iter().find(begins)).copied()
}
