//! Files of targets and labels.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serde::Deserialize;

use super::config::FileSd;
use super::watch::Address;

/// Most bytes of a file.
const MOST_FILE: u64 = 16 << 20;

/// Targets that have the same labels.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    targets: Vec<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// The files of one entry of the configuration, and what they said last.
pub(super) struct Files {
    pub(super) config: FileSd,
    known: BTreeMap<PathBuf, Known>,
    /// Paths whose folders could not be listed: said once.
    failing: BTreeSet<PathBuf>,
}

#[derive(Default)]
struct Known {
    stamp: Stamp,
    addresses: Vec<Address>,
    /// It could not be read since: said once.
    failing: bool,
}

/// A file that was written again has another stamp.
#[derive(PartialEq, Eq, Clone, Default)]
struct Stamp {
    modified: Option<SystemTime>,
    bytes: u64,
    inode: u64,
}

/// What came of looking at files again.
#[derive(Default)]
pub(super) struct Looked {
    /// Whether any says something else now.
    pub(super) changed: bool,
    /// Files that could not be read, with the reason.
    pub(super) failed: Vec<String>,
    /// Targets that have no name, or are no addresses.
    pub(super) skipped: u64,
}

impl Files {
    pub(super) fn new(config: &FileSd) -> Self {
        Self { config: config.clone(), known: BTreeMap::new(), failing: BTreeSet::new() }
    }

    /// Looks at the files again; with `all` also at those that seem not to have changed. What cannot be read keeps what it
    /// said before, but for a file that a pattern does not find any more: that is how files are taken away.
    pub(super) fn look(&mut self, labels: &[String], all: bool) -> Looked {
        let mut looked = Looked::default();
        let mut there = Vec::new();
        for pattern in &self.config.files {
            match list(pattern) {
                Ok(files) => {
                    self.failing.remove(pattern);
                    there.extend(files);
                }
                Err(error) => {
                    if self.failing.insert(pattern.clone()) {
                        looked.failed.push(format!("{}: {error}", pattern.display()));
                    }
                    let named = |path: &&PathBuf| is_like(pattern, path);
                    there.extend(self.known.keys().filter(named).cloned().collect::<Vec<_>>());
                }
            }
        }
        let before = self.known.len();
        self.known.retain(|path, _| there.contains(path));
        looked.changed |= self.known.len() != before;
        for path in there {
            self.look_at(path, labels, all, &mut looked);
        }
        looked
    }

    fn look_at(&mut self, path: PathBuf, labels: &[String], all: bool, looked: &mut Looked) {
        let shown = path.display().to_string();
        let read = stamp(&path).and_then(|stamp| {
            let same = self.known.get(&path).is_some_and(|known| known.stamp == stamp && !known.failing);
            if same && !all { Ok(None) } else { read(&path, labels, stamp.bytes).map(|read| Some((stamp, read))) }
        });
        match read {
            Ok(None) => {}
            Ok(Some((stamp, (addresses, skipped)))) => {
                looked.skipped += skipped;
                let other = self.known.get(&path).is_none_or(|known| known.addresses != addresses);
                looked.changed |= other;
                self.known.insert(path, Known { stamp, addresses, failing: false });
            }
            Err(why) => {
                let known = self.known.entry(path).or_default();
                if !std::mem::replace(&mut known.failing, true) {
                    looked.failed.push(format!("{shown}{why}"));
                }
            }
        }
    }

    /// All addresses, in the order of the files' names.
    pub(super) fn addresses(&self) -> impl Iterator<Item = &Address> {
        self.known.values().flat_map(|known| &known.addresses)
    }
}

/// The files that a path means: itself, or those in its folder whose names are like its last part.
fn list(pattern: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !pattern.to_string_lossy().contains('*') {
        return Ok(vec![pattern.to_owned()]);
    }
    let folder = pattern.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = pattern.with_file_name(entry?.file_name());
        if is_like(pattern, &path) {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Whether the path is what the pattern means; `*` stands for any part of the last name.
fn is_like(pattern: &Path, path: &Path) -> bool {
    if pattern.parent() != path.parent() {
        return false;
    }
    let (Some(pattern), Some(name)) = (pattern.file_name(), path.file_name()) else { return false };
    let (pattern, name) = (pattern.to_string_lossy(), name.to_string_lossy());
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = name.find(part) else { return false };
        name = &name[at + part.len()..];
    }
    name.ends_with(last)
}

fn stamp(path: &Path) -> Result<Stamp, String> {
    use std::os::unix::fs::MetadataExt;
    let about = std::fs::metadata(path).map_err(|error| format!(": {error}"))?;
    Ok(Stamp { modified: about.modified().ok(), bytes: about.len(), inode: about.ino() })
}

/// The addresses of a file, and how many of its targets are none or have no name. An error begins with its place.
fn read(path: &Path, labels: &[String], bytes: u64) -> Result<(Vec<Address>, u64), String> {
    if bytes > MOST_FILE {
        return Err(format!(": {bytes} bytes, at most {MOST_FILE} are read"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| format!(": {error}"))?;
    let groups: Vec<Group> = if path.extension().is_some_and(|extension| extension == "json") {
        serde_json::from_str(&text).map_err(|error| format!(":{}:{}: {error}", error.line(), error.column()))?
    } else {
        serde_saphyr::from_str(&text).map_err(|error| {
            let place = error.location().map_or_else(String::new, |at| format!(":{}:{}", at.line(), at.column()));
            format!("{place}: {}", error.to_string().lines().next().unwrap_or_default())
        })?
    };
    let (mut addresses, mut skipped) = (Vec::new(), 0);
    for group in groups {
        let name = labels.iter().find_map(|label| group.labels.get(label)).filter(|name| !name.is_empty());
        let Some(name) = name.map(|name| Arc::<str>::from(name.as_str())) else {
            skipped += group.targets.len() as u64;
            continue;
        };
        for target in &group.targets {
            match target_of(target) {
                Some((host, port)) => addresses.push(Address { host: host.into(), port, name: Arc::clone(&name) }),
                None => skipped += 1,
            }
        }
    }
    Ok((addresses, skipped))
}

/// Host and port of a target; an IPv6 address with a port stands in brackets.
fn target_of(target: &str) -> Option<(&str, Option<u16>)> {
    let target = target.trim();
    if target.is_empty() || target.contains(['/', ' ']) {
        return None;
    }
    match target.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && (!host.contains(':') || host.ends_with(']')) => {
            Some((host, Some(port.parse().ok()?)))
        }
        _ => Some((target, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_hosts_with_or_without_a_port() {
        for (text, expected) in [
            ("10.0.0.7:5432", Some(("10.0.0.7", Some(5432)))),
            ("db.internal", Some(("db.internal", None))),
            ("[2001:db8::1]:80", Some(("[2001:db8::1]", Some(80)))),
            ("2001:db8::1", Some(("2001:db8::1", None))),
            ("http://x:80/", None),
            ("db:postgres", None),
            ("db:70000", None),
            ("", None),
        ] {
            assert_eq!(target_of(text), expected, "{text}");
        }
    }

    #[test]
    fn a_star_stands_for_any_part_of_the_last_name() {
        for (pattern, path, expected) in [
            ("/a/*.json", "/a/x.json", true),
            ("/a/*.json", "/b/x.json", false),
            ("/a/t-*-*.yml", "/a/t-x-y.yml", true),
            ("/a/t-*-*.yml", "/a/t-x.yml", false),
            ("*", "x", true),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(is_like(Path::new(pattern), Path::new(path)), expected, "{pattern} {path}");
        }
    }
}
