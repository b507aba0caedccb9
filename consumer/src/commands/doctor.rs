//! `backtrail-consumer doctor`: known defects in policies, rollout files, patches and generated tests.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::json;

use super::read_at_most;
use crate::cli::{Doctor, Exit, Failure, Out};
use backtrail_policy::lint_files;

/// Most files that are looked at, and how deep.
const MOST_FILES: usize = 2000;
const MOST_DEPTH: usize = 12;
/// Most bytes of one.
const MOST_BYTES: u64 = 1 << 20;

/// Runs the command. Files that are no text are passed over; a finding is a problem that was found.
pub(crate) fn run(args: &Doctor, out: &mut Out) -> Result<Exit, Failure> {
    let mut paths = Vec::new();
    for path in &args.paths {
        collect(path, 0, &mut paths)?;
    }
    let mut texts = Vec::new();
    for path in &paths {
        if let Ok(text) = String::from_utf8(read_at_most(path, MOST_BYTES)?) {
            texts.push((path.display().to_string(), text));
        }
    }
    let files: Vec<(&str, &str)> = texts.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let findings = lint_files(&files);
    if args.json {
        out.json(&json!({ "files": files.len(), "findings": findings }))?;
    } else {
        for finding in &findings {
            out.line(&format!(
                "{}:{}:{}: {}: {}",
                finding.path, finding.line, finding.column, finding.rule, finding.what
            ))?;
            out.line(&format!("  why   {}", finding.why))?;
            out.line(&format!("  mend  {}", finding.mend))?;
        }
        out.line(&format!("{} files, {} findings", files.len(), findings.len()))?;
    }
    Ok(if findings.is_empty() { Exit::Ok } else { Exit::Problem })
}

fn collect(path: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let meta = std::fs::symlink_metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    if meta.is_dir() && depth < MOST_DEPTH {
        let entries = std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        entries.sort();
        for entry in entries.iter().filter(|entry| entry.file_name().is_none_or(|name| name != ".git")) {
            collect(entry, depth + 1, found)?;
        }
    } else if meta.is_file() {
        if found.len() >= MOST_FILES {
            return Err(Failure::usage(format!("more than {MOST_FILES} files"), "name the folders that matter"));
        }
        found.push(path.to_owned());
    }
    Ok(())
}
