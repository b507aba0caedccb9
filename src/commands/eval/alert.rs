//! Cases that come with an alert and with changes: the alert is the trigger, and the commit is a level of its own.
//!
//! `alert.json` and `changes.json` lie beside `truth.json`. Nothing of the label reaches the pipeline: the incident
//! opens when the alert fires, and its window begins the trigger's usual lead before that. `root_cause.commit` of the
//! label is the commit that must come first; `null` or `"none"` says that "no commit" must.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use backtrail_localize::Scores;
use backtrail_localize::changes::NO_COMMIT;
use backtrail_localize::rank::pessimistic_rank;
use backtrail_model::alert;
use backtrail_model::verdict::Suspect;
use serde_json::{Value, json};

use crate::commands::load::Override;

/// The lead of `anomaly_trigger`, which the case's slices are aligned to.
const LEAD: std::time::Duration = std::time::Duration::from_mins(15);

/// Overrides that put the case's alert in the place of the label's window, and make its changes suspects.
pub(super) fn overrides(dir: &Path) -> anyhow::Result<Vec<Override>> {
    let set = |key: &str, value: Value| (key.to_owned(), value);
    let mut out = Vec::new();
    let changes = dir.join("changes.json");
    if changes.exists() {
        out.push(set("processors.verdict.changes.file", json!(changes)));
    }
    let file = dir.join("alert.json");
    if file.exists() {
        let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let taken = alert::read(&text).with_context(|| format!("{} is no alert", file.display()))?;
        let first = taken.alerts.iter().map(|alert| alert.starts_at).min();
        let first = first.with_context(|| format!("{}: {}", file.display(), taken.rejected.join("; ")))?;
        out.push(set("service.slice_origin", json!(first.minus(LEAD).0)));
        out.push(set("processors.anomaly_trigger.window", Value::Null));
        out.push(set("processors.anomaly_trigger.shift.enabled", json!(false)));
        out.push(set("processors.anomaly_trigger.alerts.file", json!(file)));
    }
    Ok(out)
}

/// Adds the rank of the labelled commit (or of "no commit") among the changes, if the label names one.
pub(super) fn rank_commit(dir: &Path, suspects: &[Suspect], ranks: &mut BTreeMap<&'static str, Vec<Option<u32>>>) {
    let label = std::fs::read_to_string(dir.join("truth.json")).unwrap_or_default();
    let label: Value = serde_json::from_str(&label).unwrap_or_default();
    let Some(commit) = label["root_cause"].get("commit") else { return };
    let truth = commit.as_str().filter(|commit| *commit != "none").unwrap_or(NO_COMMIT);
    ranks.insert("commit", vec![pessimistic_rank(&scores(suspects), truth)]);
}

/// Scores of "no commit" and of every commit; a flag or a scaling has none and stands in no commit's way.
fn scores(suspects: &[Suspect]) -> Scores {
    let changes = suspects.iter().filter(|suspect| suspect.entity.kind == "change").filter_map(|suspect| {
        let entity = &suspect.entity;
        let name = if entity.name == NO_COMMIT { NO_COMMIT } else { entity.commit.as_str() };
        (!name.is_empty()).then(|| (Arc::from(name), suspect.score.total))
    });
    changes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alert_takes_the_place_of_the_labels_window() {
        let dir = tempfile::tempdir().expect("a folder");
        assert!(overrides(dir.path()).expect("nothing to read").is_empty());
        let alert = r#"{"service": "cart", "fired_at": "2026-06-18T15:06:00Z"}"#;
        std::fs::write(dir.path().join("alert.json"), alert).expect("written");
        std::fs::write(dir.path().join("changes.json"), "{}").expect("written");
        let set: BTreeMap<String, Value> = overrides(dir.path()).expect("an alert").into_iter().collect();
        assert_eq!(set["processors.anomaly_trigger.window"], Value::Null);
        assert_eq!(set["service.slice_origin"], json!(1_781_794_260_000_000_000_u64));
        assert!(set.contains_key("processors.verdict.changes.file"));
        std::fs::write(dir.path().join("alert.json"), r#"{"service": "cart"}"#).expect("written");
        assert!(overrides(dir.path()).is_err());
    }

    #[test]
    fn a_label_without_a_commit_has_no_such_level_and_none_is_no_commit() {
        let dir = tempfile::tempdir().expect("a folder");
        let label = |text: &str| std::fs::write(dir.path().join("truth.json"), text).expect("written");
        let mut ranks = BTreeMap::new();
        label(r#"{"root_cause": {"service": "a"}}"#);
        rank_commit(dir.path(), &[], &mut ranks);
        assert!(ranks.is_empty());
        label(r#"{"root_cause": {"commit": "none"}}"#);
        rank_commit(dir.path(), &[], &mut ranks);
        assert_eq!(ranks["commit"], [None]);
    }
}
