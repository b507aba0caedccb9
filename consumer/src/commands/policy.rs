//! `backtrail-consumer policy`: what gates patches, and whether it says what its fixtures expect.

use serde_json::json;

use crate::cli::{Exit, Failure, Out, PolicyCommand};
use backtrail_policy::{Policy, SHIPPED_RULES, test_dir};

/// Runs the command.
pub(crate) fn run(command: &PolicyCommand, out: &mut Out) -> Result<Exit, Failure> {
    match command {
        PolicyCommand::Show { policy, json } => show(&load(policy.as_deref())?, *json, out),
        PolicyCommand::Test { fixtures, policy, json } => {
            let policy = load(policy.as_deref())?;
            let report = test_dir(&policy, fixtures).map_err(|error| Failure::config(error.to_string()))?;
            let failed: Vec<String> = report.failed().map(backtrail_policy::Case::told).collect();
            if *json {
                out.json(&json!({ "cases": report.cases.len(), "failed": failed, "policy": policy.digest() }))?;
            } else {
                for told in &failed {
                    out.line(told)?;
                }
                out.line(&format!("{} fixtures, {} failed", report.cases.len(), failed.len()))?;
            }
            Ok(if failed.is_empty() && !report.cases.is_empty() { Exit::Ok } else { Exit::Problem })
        }
        PolicyCommand::Decide { input, policy, json } => {
            let policy = load(policy.as_deref())?;
            let bytes = super::read_at_most(input, 4 << 20)?;
            let value: serde_json::Value = serde_json::from_slice(&bytes)
                .map_err(|error| Failure::config(format!("{}: {error}", input.display())))?;
            let decision = policy.decide(&value);
            if *json {
                out.json(&decision)?;
            } else {
                for denial in &decision.denials {
                    out.line(&format!("{}: {}", denial.rule, denial.msg))?;
                }
                out.line(if decision.allow { "allowed" } else { "denied" })?;
            }
            Ok(if decision.allow { Exit::Ok } else { Exit::Problem })
        }
    }
}

fn show(policy: &Policy, as_json: bool, out: &mut Out) -> Result<Exit, Failure> {
    if as_json {
        out.json(&json!({ "policy": policy.digest(), "rules": SHIPPED_RULES, "disabled": policy.disabled() }))?;
        return Ok(Exit::Ok);
    }
    out.line(policy.digest())?;
    for rule in SHIPPED_RULES {
        let off = policy.disabled().iter().any(|disabled| disabled == rule);
        out.line(&format!("  {rule}{}", if off { "  (disabled)" } else { "" }))?;
    }
    Ok(Exit::Ok)
}

/// The shipped policy, with the rules of a folder if one is given.
pub(crate) fn load(dir: Option<&std::path::Path>) -> Result<Policy, Failure> {
    match dir {
        None => Ok(Policy::shipped()),
        Some(dir) => Policy::load(dir).map_err(|error| Failure::config(error.to_string())),
    }
}
