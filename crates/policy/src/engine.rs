//! Rego in this process: rules are read once, and asked with a limit on time. Every way to fail ends in an error, never
//! in an empty answer.

use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use regorus::utils::limits::ExecutionTimerConfig;
use serde_json::Value;

use crate::error::Problem;

/// The package of every rule that is asked.
pub(crate) const PACKAGE: &str = "backtrail.patch";
/// The rule that is asked.
const DENY: &str = "data.backtrail.patch.deny";
/// How long one question may take. The shipped rules need about a millisecond.
const TIME: Duration = Duration::from_secs(2);
/// Denials taken from one answer; a policy that gives more is at fault, and denies anyway.
const MAX_DENIALS: usize = 10_000;

/// A set of rules and data, ready to be asked.
#[derive(Clone)]
pub(crate) struct Engine {
    rules: regorus::Engine,
}

impl Engine {
    pub(crate) fn new() -> Self {
        let mut rules = regorus::Engine::new();
        rules.set_rego_v0(false);
        // A builtin that fails would otherwise make its rule silently undefined.
        rules.set_strict_builtin_errors(true);
        let every = NonZeroU32::new(64).expect("64 is not 0");
        rules.set_execution_timer_config(ExecutionTimerConfig { limit: TIME, check_interval: every });
        Self { rules }
    }

    /// Adds a file; gives the package that it states, as `data.backtrail.patch`.
    pub(crate) fn add(&mut self, file: &str, text: &str) -> Result<String, Problem> {
        let added = guarded(|| self.rules.add_policy(file.to_owned(), text.to_owned()));
        added.map_err(|error| located(file, &error))
    }

    pub(crate) fn add_data(&mut self, data: &Value) -> Result<(), String> {
        guarded(|| self.rules.add_data_json(&data.to_string()))
    }

    /// Makes ready what every question needs, once. Mistakes that show only when rules are asked, whatever the input, as
    /// a function that does not exist, show here.
    pub(crate) fn prepare(&mut self) -> Result<(), String> {
        guarded(|| {
            self.rules.set_input_json("{}")?;
            self.rules.eval_rule(DENY.to_owned())
        })?;
        Ok(())
    }

    /// The entries of `deny` for an input.
    pub(crate) fn denials(&self, input: &Value) -> Result<Vec<Value>, String> {
        let mut rules = self.rules.clone();
        let answer = guarded(|| {
            rules.set_input_json(&input.to_string())?;
            rules.eval_rule(DENY.to_owned())?.to_json_str()
        })?;
        let answer: Value = serde_json::from_str(&answer).map_err(|error| format!("deny is no JSON: {error}"))?;
        match answer {
            Value::Array(entries) if entries.len() <= MAX_DENIALS => Ok(entries),
            Value::Array(entries) => Err(format!("{} denials, at most {MAX_DENIALS} are taken", entries.len())),
            _ => Err("deny is not a set: write 'deny contains {...} if {...}'".to_owned()),
        }
    }
}

/// Runs a part of the engine. A panic in it is its error: the caller then denies, and goes on living.
fn guarded<T, E: ToString>(work: impl FnOnce() -> Result<T, E>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the engine broke down".to_owned()),
    }
}

/// Reads the place out of a message of the engine: `--> file:line:column`, a picture of the line, `error: what`.
pub(crate) fn located(file: &str, error: &str) -> Problem {
    let place = error.lines().find_map(|line| line.trim().strip_prefix("--> "));
    let mut numbers = place.unwrap_or_default().rsplitn(3, ':');
    let column = numbers.next().and_then(|text| text.trim().parse().ok());
    let line = numbers.next().and_then(|text| text.parse().ok());
    let name = numbers.next().unwrap_or(file);
    let said = error.lines().rev().find_map(|line| line.trim().strip_prefix("error: "));
    let (Some(line), Some(column), Some(said)) = (line, column, said) else {
        return Problem::of_file(file, error.trim().replace('\n', "; "), "");
    };
    Problem { file: name.to_owned(), line, column, message: said.to_owned(), hint: hint(said) }
}

fn hint(said: &str) -> String {
    let hint = if said.contains("`if`") || said.contains("`contains`") || said.contains("if keyword") {
        "this is Rego v1: write 'name if { ... }' and 'deny contains {...} if { ... }'"
    } else if said.contains("unsafe") || said.contains("undefined") || said.contains("not found") {
        "define it, or import it by its full name"
    } else {
        ""
    };
    hint.to_owned()
}

/// What regorus is asked here is `Send` and `Sync`: decisions run from several threads.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Engine>();
};
