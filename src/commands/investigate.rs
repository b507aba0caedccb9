//! `backtrail investigate`: asks a running pipeline for a verdict on the last while of an endpoint.

use anyhow::Context;
use backtrail_model::verdict::Verdict;
use serde_json::json;

use super::ask;
use crate::cli::{Exit, Failure, Investigate, Out};
use crate::render::verdict;

/// Runs the command.
pub(crate) fn run(args: &Investigate, out: &mut Out) -> Result<Exit, Failure> {
    let question = json!({ "endpoint": args.endpoint, "last": format!("{}ms", args.last.as_millis()) });
    let mut answer = ask::post(&args.admin, "/v1/investigate", &question);
    if let Err(failure) = &mut answer {
        let error = std::mem::replace(&mut failure.error, anyhow::Error::msg(""));
        failure.error = error.context(format!("no verdict on '{}'", args.endpoint));
    }
    let answer = answer?;
    if args.json {
        out.json(&answer)?;
    } else {
        let verdict: Verdict = serde_json::from_value(answer).context("the answer is no verdict")?;
        out.text(&verdict::face(&verdict, &[], out.paint()))?;
    }
    Ok(Exit::Ok)
}
