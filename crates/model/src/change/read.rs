//! Reading changes from JSON or YAML: a plain list, one change, or lists of commits, deploys and flags by their kind.

use serde::Deserialize;
use serde_json::Value;

use super::{Change, ChangeKind, ChangedFile};
use crate::moment::Time;

/// A text that holds no changes.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is neither JSON nor YAML.
    #[error("neither JSON nor YAML: {0}")]
    Syntax(String),
    /// It is something else than changes.
    #[error(
        "not a list of changes; write a list, an object with `changes`, or one with `commits`, `deploys` and `flags`"
    )]
    Shape,
}

/// An entry that was not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejected {
    /// Where it stands, such as `commits[3]`.
    pub place: String,
    /// What is wrong with it.
    pub why: String,
}

/// What was read.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Taken {
    /// Changes within the bounds, in the order of the text.
    pub changes: Vec<Change>,
    /// Entries that are none. They cost the others nothing.
    pub rejected: Vec<Rejected>,
}

/// What other tools call the fields of an entry.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Foreign {
    #[serde(alias = "date")]
    timestamp: Option<Time>,
    #[serde(alias = "commit_sha")]
    sha: String,
    files_changed: Vec<String>,
    /// `off->on`
    change: String,
}

/// Reads changes.
///
/// # Errors
/// If the text as a whole cannot be understood; single bad entries are among [`Taken::rejected`].
///
/// ```
/// use backtrail_model::change::{ChangeKind, read};
/// let taken = read("- { time: 2026-06-18T14:58:00Z, kind: deploy, service: cart, version: v2 }").unwrap();
/// assert_eq!((taken.changes[0].kind, &*taken.changes[0].version), (ChangeKind::Deploy, "v2"));
/// let taken = read(r#"{"commits": [{"sha": "5642d6b", "timestamp": "2026-06-19T10:20:00Z", "message": "x (#7)"}]}"#)
///     .unwrap();
/// assert_eq!((&*taken.changes[0].commit, taken.changes[0].pr), ("5642d6b", Some(7)));
/// ```
pub fn read(text: &str) -> Result<Taken, ReadError> {
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(json) => serde_saphyr::from_str(text).map_err(|yaml| {
            // Whoever sent JSON wants to hear what is wrong with the JSON.
            let is_json = text.trim_start().starts_with(['{', '[']);
            ReadError::Syntax(if is_json { json.to_string() } else { yaml.to_string() })
        })?,
    };
    let mut taken = Taken::default();
    match value {
        Value::Array(list) => taken.add("changes", list, ChangeKind::Commit),
        Value::Object(mut object) => {
            let lists = [
                ("changes", ChangeKind::Commit),
                ("commits", ChangeKind::Commit),
                ("deploys", ChangeKind::Deploy),
                ("configs", ChangeKind::Config),
                ("flags", ChangeKind::Flag),
                ("scalings", ChangeKind::Scale),
            ];
            let mut known = false;
            for (name, kind) in lists {
                match object.remove(name) {
                    Some(Value::Array(list)) => taken.add(name, list, kind),
                    Some(Value::Null) => {}
                    Some(_) => return Err(ReadError::Shape),
                    None => continue,
                }
                known = true;
            }
            if !known && !object.contains_key("time") && !object.contains_key("timestamp") {
                return Err(ReadError::Shape);
            }
            if !known {
                taken.add("change", vec![Value::Object(object)], ChangeKind::Commit);
            }
        }
        _ => return Err(ReadError::Shape),
    }
    Ok(taken)
}

impl Taken {
    fn add(&mut self, name: &str, list: Vec<Value>, kind: ChangeKind) {
        for (i, mut entry) in list.into_iter().enumerate() {
            if let Value::Object(fields) = &mut entry {
                // A missing kind is the list's. Nulls are what other tools write for "nothing".
                fields.retain(|_, value| !value.is_null());
                for (ours, theirs) in [("subject", "message"), ("author", "actor")] {
                    if fields.contains_key(ours) {
                        fields.remove(theirs);
                    }
                }
                fields.entry("kind").or_insert_with(|| kind.name().into());
            }
            match change(entry) {
                Ok(change) => self.changes.push(change.bounded()),
                Err(why) => self.rejected.push(Rejected { place: format!("{name}[{i}]"), why }),
            }
        }
    }
}

fn change(entry: Value) -> Result<Change, String> {
    let foreign = Foreign::deserialize(&entry).map_err(|error| error.to_string())?;
    let mut change: Change = serde_json::from_value(entry).map_err(|error| error.to_string())?;
    change.time = foreign.timestamp.unwrap_or(change.time);
    if change.time == Time::default() {
        return Err("no time".to_owned());
    }
    if change.commit.is_empty() {
        change.commit = foreign.sha;
    }
    if change.files.is_empty() {
        let file = |path| ChangedFile { path, lines: Vec::new() };
        change.files = foreign.files_changed.into_iter().map(file).collect();
    }
    if let Some((old, new)) = foreign.change.split_once("->") {
        (change.old, change.new) = (old.trim().to_owned(), new.trim().to_owned());
    }
    Ok(change)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_by_kind_are_understood_and_a_bad_entry_costs_only_itself() {
        let text = r#"{
            "commits": [
                {"sha": "559e94ce", "author": "a", "timestamp": "2026-06-18T14:58:00Z", "message": "Merge pull request #9 from x",
                 "files_changed": ["a/b.go"], "diff": null, "colour": "unknown fields are ignored"},
                {"sha": "nothing says when"},
                {"sha": "x", "timestamp": "yesterday"},
                7],
            "deploys": [{"timestamp": "2026-06-18T14:59:30Z", "service": "checkout", "commit_sha": "559e94ce", "version": "v1"}],
            "flags": [{"timestamp": "2026-06-18T14:45:00Z", "flag": "rail", "service": "web", "change": "off->on", "actor": "b"}]
        }"#;
        let taken = read(text).expect("changes");
        let kinds: Vec<ChangeKind> = taken.changes.iter().map(|change| change.kind).collect();
        assert_eq!(kinds, [ChangeKind::Commit, ChangeKind::Deploy, ChangeKind::Flag]);
        assert_eq!((taken.changes[0].pr, &*taken.changes[0].files[0].path), (Some(9), "a/b.go"));
        assert_eq!(taken.changes[1].commit, "559e94ce");
        assert_eq!((&*taken.changes[2].old, &*taken.changes[2].new, &*taken.changes[2].author), ("off", "on", "b"));
        let places: Vec<&str> = taken.rejected.iter().map(|rejected| rejected.place.as_str()).collect();
        assert_eq!(places, ["commits[1]", "commits[2]", "commits[3]"]);
        assert_eq!(taken.rejected[0].why, "no time");
    }

    #[test]
    fn yaml_and_json_say_the_same_and_ids_are_made_of_what_is_known() {
        let yaml =
            "changes:\n  - { time: 2026-06-18T14:58:00Z, commit: abc, files: [{ path: x.go, lines: [[3, 9]] }] }\n";
        let json =
            r#"[{"time": "2026-06-18T14:58:00Z", "commit": "abc", "files": [{"path": "x.go", "lines": [[3, 9]]}]}]"#;
        let (yaml, json) = (read(yaml).expect("yaml"), read(json).expect("json"));
        assert_eq!(yaml, json);
        assert_eq!(yaml.changes[0].files[0].lines, [[3, 9]]);
        assert_eq!(yaml.changes[0].id.len(), 36);
        let again = read(&serde_json::to_string(&yaml.changes).expect("json")).expect("what was written is read");
        assert_eq!(again.changes, yaml.changes);
    }

    #[test]
    fn what_is_no_list_of_changes_is_refused_with_the_reason() {
        for wrong in ["{\"commits\": 3}", "{}", "7", "[", "a: ["] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(read("[{").expect_err("no JSON").to_string().contains("JSON"), "the reason names the format");
    }

    #[test]
    fn texts_and_lists_are_bounded() {
        let files = vec![serde_json::json!({"path": "x".repeat(5000)}); 300];
        let text = serde_json::json!([{"time": 1, "diff": "ü".repeat(40_000), "files": files}]).to_string();
        let change = &read(&text).expect("a change").changes[0];
        assert_eq!((change.diff.len(), change.files.len(), change.files[0].path.len()), (32 * 1024, 200, 1024));
    }
}
