//! What is known of an incident beside the slices: the alert that opened it, and the changes before it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use backtrail_localize::symptoms::AlertText;
use backtrail_model::change::{Change, read};
use backtrail_model::incident::{DetectorKind, Incident};
use backtrail_pipeline::NodeError;

use super::config::Changes;

/// Most bytes of a file of changes.
const MOST_FILE: u64 = 64 << 20;

/// The alert's words, if an alert opened the incident.
pub(super) fn alert_of(incident: &Incident) -> Option<AlertText<'_>> {
    let detector = &incident.detector;
    (detector.kind == DetectorKind::Alert).then_some(AlertText {
        service: &incident.endpoint.service,
        summary: &detector.slo,
        metric: &detector.unit,
    })
}

/// The changes that took effect before the end of the window and at most `max_age` before its start, by id: what was
/// posted counts before what the file says.
pub(super) fn recent(
    file: &[Arc<Change>],
    posted: &[Arc<Change>],
    incident: &Incident,
    max_age: Duration,
) -> Vec<Arc<Change>> {
    let (first, last) = (incident.window.start_unix_nano.minus(max_age), incident.window.end_unix_nano);
    let all = file.iter().chain(posted).filter(|change| (first..last).contains(&change.time.0));
    let by_id: BTreeMap<&str, &Arc<Change>> = all.map(|change| (change.id.as_str(), change)).collect();
    by_id.into_values().map(Arc::clone).collect()
}

/// Reads the configured file. Entries that are no changes are logged and cost the others nothing.
pub(super) fn changes_of_file(config: &Changes) -> Result<Vec<Arc<Change>>, NodeError> {
    let Some(path) = &config.file else { return Ok(Vec::new()) };
    let place = path.display();
    let failed = |why: String| NodeError::Config {
        message: format!("changes.file {place}: {why}"),
        hint: "name a JSON or YAML file with a list of changes, or leave changes.file out".to_owned(),
    };
    let size = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if size > MOST_FILE {
        return Err(failed("larger than 64 MiB".to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let taken = read(&text).map_err(|error| failed(error.to_string()))?;
    for rejected in &taken.rejected {
        tracing::warn!(file = %place, entry = rejected.place, why = rejected.why, "a change was not taken");
    }
    Ok(taken.changes.into_iter().map(Arc::new).collect())
}
