//! Counts what the public shapes find in the text files below some folders: `scan [--show] FOLDER...`.
//!
//! This is how false alarms are measured: every secret that is found in published source code is one, or is a test's.
#![expect(clippy::print_stdout, reason = "the count is what this program is for")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use backtrail_redact::{Counts, find};

fn main() -> std::io::Result<()> {
    let (options, folders): (Vec<String>, Vec<String>) = std::env::args().skip(1).partition(|arg| arg == "--show");
    let (mut files, mut lines, mut counts) = (0_u64, 0_u64, Counts::new());
    let mut by_file = BTreeMap::new();
    let mut open: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            for entry in fs::read_dir(&path)? {
                let entry = entry?;
                if !entry.file_type()?.is_symlink() && !is_foreign(&entry.path()) {
                    open.push(entry.path());
                }
            }
            continue;
        }
        let Ok(text) = fs::read_to_string(&path) else { continue };
        files += 1;
        lines += text.lines().count() as u64;
        for found in find(&text) {
            *counts.entry(found.kind).or_default() += 1;
            let line = text.lines().nth(found.line as usize - 1).unwrap_or_default();
            by_file.insert((path.clone(), found.line, found.range.start), format!("{:?}: {}", found.kind, line.trim()));
        }
    }
    println!("{files} files, {lines} lines");
    for (kind, count) in &counts {
        println!("{:>8} {}{}", count, kind.name(), if kind.is_secret() { "" } else { " (personal)" });
    }
    if !options.is_empty() {
        for ((path, line, _), text) in by_file {
            println!("{}:{line}: {}", path.display(), text.chars().take(160).collect::<String>());
        }
    }
    Ok(())
}

fn is_foreign(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name == ".git" || name == "target" || name == "node_modules" || name == "__pycache__")
}
