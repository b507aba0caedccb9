//! `backtrail feedback`: tells a running pipeline whether a verdict was right.

use serde_json::{Value, json};

use super::ask;
use crate::cli::{Exit, Failure, Feedback, Out};

/// Runs the command.
pub(crate) fn run(args: &Feedback, out: &mut Out) -> Result<Exit, Failure> {
    let mut body = json!({ "verdict_id": args.verdict_id });
    match &args.culprit {
        Some(culprit) => body["culprit"] = json!(culprit),
        None => body["wrong"] = json!(true),
    }
    let answer = ask::post(&args.admin, "/v1/feedback", &body)?;
    if args.json {
        out.json(&answer)?;
    } else {
        out.line(&says(&answer))?;
    }
    Ok(Exit::Ok)
}

fn says(answer: &Value) -> String {
    let said = &answer["written"]["said"];
    let Some(level) = said["level"].as_str() else {
        return "written down; what the verdict said is not known any more".to_owned();
    };
    let (culprit, score) = (said["culprit"].as_str().unwrap_or_default(), said["score"].as_f64().unwrap_or_default());
    let right = if answer["right"] == true { "right" } else { "wrong" };
    format!("written down: the verdict named {culprit} ({level}, {score:.2}) and was {right}")
}
