//! `backtrail status`: what a running pipeline counts, or what the last one had counted.

use std::io::Write;
use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;

use crate::cli::{Exit, Failure, Out, Status};
use crate::render::table::Table;
use crate::render::text::grouped;

/// Runs the command.
pub(crate) fn run(args: &Status, out: &mut Out) -> Result<Exit, Failure> {
    let (text, source) = match ask(args) {
        Ok(text) => (text, format!("running at {}", args.endpoint)),
        Err(Asked::Refused(message)) => return Err(Failure::usage(message, "leave --pipeline out to see all nodes")),
        Err(Asked::Nobody(why)) => last(args, &why)?,
    };
    let status: Value = serde_json::from_str(&text).context("the status is no JSON")?;
    if args.json {
        out.json(&status)?;
    } else {
        let rows: Rows = serde_json::from_value(status).context("the status lacks its nodes")?;
        out.line(&format!("{} ({source})", rows.state))?;
        for line in table(&rows) {
            out.line(&line)?;
        }
    }
    Ok(Exit::Ok)
}

enum Asked {
    /// It answered "no".
    Refused(String),
    /// Nobody answered.
    Nobody(String),
}

fn ask(args: &Status) -> Result<String, Asked> {
    let query = args.pipeline.as_ref().map(|name| format!("?pipeline={name}")).unwrap_or_default();
    let url = format!("http://{}/status{query}", args.endpoint);
    let limits = ureq::Agent::config_builder().timeout_global(Some(Duration::from_secs(5))).http_status_as_error(false);
    let agent = ureq::Agent::new_with_config(limits.build());
    let mut reply = agent.get(&url).call().map_err(|error| Asked::Nobody(error.to_string()))?;
    let text = reply.body_mut().read_to_string().map_err(|error| Asked::Nobody(error.to_string()))?;
    match reply.status().as_u16() {
        200 => Ok(text),
        404 => Err(Asked::Refused(format!("there is no pipeline '{}'", args.pipeline.as_deref().unwrap_or_default()))),
        code => Err(Asked::Nobody(format!("it answered {code}"))),
    }
}

/// The status that the last run left behind.
fn last(args: &Status, why: &str) -> Result<(String, String), Failure> {
    let path = args.data_dir.join("status.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        let nothing = format!("nothing runs at {} ({why}), and there is no {}", args.endpoint, path.display());
        let hint = "start one with 'backtrail run', or name it with --endpoint or --data-dir";
        return Err(Failure::from(anyhow::Error::msg(nothing)).hint(hint));
    };
    // On stderr, so that --json stays pure.
    let _ = writeln!(
        std::io::stderr().lock(),
        "note: nothing runs at {} ({why}); this is the last status of {}",
        args.endpoint,
        path.display()
    );
    Ok((text, format!("ended; read from {}", path.display())))
}

#[derive(Deserialize)]
struct Rows {
    #[serde(default)]
    state: String,
    nodes: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    node: String,
    accepted: u64,
    sent: u64,
    #[serde(default)]
    dropped: std::collections::BTreeMap<String, u64>,
    held: u64,
    #[serde(default)]
    derived: u64,
    #[serde(default)]
    notes: std::collections::BTreeMap<String, u64>,
}

fn table(rows: &Rows) -> Vec<String> {
    let mut table = Table::new(&["node", ">accepted", ">sent", ">dropped", ">held", ">made"]);
    for row in &rows.nodes {
        let dropped = row.dropped.values().sum();
        let numbers = [row.accepted, row.sent, dropped, row.held, row.derived].map(grouped);
        table.row(std::iter::once(row.node.clone()).chain(numbers).collect());
    }
    let mut lines = table.lines();
    for row in &rows.nodes {
        let dropped = row.dropped.iter().map(|(reason, n)| format!("  {}: dropped {} {reason}", row.node, grouped(*n)));
        let notes = row.notes.iter().map(|(what, n)| format!("  {}: noted {} {what}", row.node, grouped(*n)));
        lines.extend(dropped.chain(notes));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_stand_in_columns_and_reasons_below() {
        let text = r#"{"state": "running", "nodes": [
            {"node": "receivers.otlp", "accepted": 12000, "sent": 11990, "dropped": {"too_large": 10}, "held": 0},
            {"node": "processors.ochiai", "accepted": 11990, "sent": 11990, "dropped": {}, "held": 0, "derived": 4}]}"#;
        let rows: Rows = serde_json::from_str(text).expect("rows");
        insta::assert_snapshot!(table(&rows).join("\n"));
    }
}
