//! Asking the admin listener of a running pipeline.

use std::time::Duration;

use serde_json::Value;

use crate::cli::Failure;

/// How long an answer may take: judging takes a second where there is much to judge.
const PATIENCE: Duration = Duration::from_secs(30);

/// Posts a document; answers the reply of a success.
pub(super) fn post(admin: &str, path: &str, body: &Value) -> Result<Value, Failure> {
    let url = format!("http://{admin}{path}");
    let limits = ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).http_status_as_error(false);
    let agent = ureq::Agent::new_with_config(limits.build());
    let nobody = |error: ureq::Error| {
        Failure::from(anyhow::anyhow!("nothing answers at {admin}: {error}"))
            .hint("start a pipeline with 'backtrail run', or name its service.admin.endpoint with --admin")
    };
    let sent = agent.post(&url).header("content-type", "application/json").send(body.to_string());
    let mut reply = sent.map_err(nobody)?;
    let text = reply.body_mut().read_to_string().map_err(nobody)?;
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    if reply.status().as_u16() == 200 {
        return Ok(answer);
    }
    let says = answer["error"].as_str().map_or_else(|| format!("it answered {}", reply.status()), str::to_owned);
    Err(Failure::from(anyhow::Error::msg(says)).hint(hint(&answer)))
}

/// What can be asked about instead.
fn hint(answer: &Value) -> String {
    let known: Vec<&str> = answer["known"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if known.is_empty() {
        return answer["hint"].as_str().unwrap_or_default().to_owned();
    }
    format!("ask about one of: {}", known.join(", "))
}
