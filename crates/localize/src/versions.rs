//! Which versions of a service ran: a version that came with the window is worth a sentence and a name.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::blocks::Stretch;

/// (`service.version`, commit), either may be empty.
pub(crate) type Version = (Arc<str>, Arc<str>);

/// The versions of `service` that the stretch states.
pub(crate) fn versions(stretch: &Stretch<'_>, service: &str) -> BTreeSet<Version> {
    let stated = stretch.parts().filter_map(|(_, part)| part.versions.get(service));
    stated.flatten().cloned().collect()
}

/// The version to name: the one that is new in the window, else the only one. None if that is ambiguous.
pub(crate) fn named(before: &BTreeSet<Version>, now: &BTreeSet<Version>) -> Option<Version> {
    let only =
        |mut list: Box<dyn Iterator<Item = &Version> + '_>| list.next().filter(|_| list.next().is_none()).cloned();
    let new = arrived(before, now);
    if new.is_empty() { only(Box::new(now.iter())) } else { only(Box::new(new.into_iter())) }
}

/// Versions that the window has and the baseline lacks, if the baseline states any.
pub(crate) fn arrived<'a>(before: &BTreeSet<Version>, now: &'a BTreeSet<Version>) -> Vec<&'a Version> {
    if before.is_empty() { Vec::new() } else { now.iter().filter(|version| !before.contains(*version)).collect() }
}

/// A version in words: the version, the commit, or both.
pub(crate) fn in_words((version, commit): &Version) -> String {
    match (version.is_empty(), commit.is_empty()) {
        (false, false) => format!("{version} (commit {commit})"),
        (false, true) => version.to_string(),
        (true, false) => format!("commit {commit}"),
        (true, true) => "an unnamed version".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(list: &[&str]) -> BTreeSet<Version> {
        list.iter().map(|version| ((*version).into(), "".into())).collect()
    }

    #[test]
    fn the_new_version_is_named_and_several_are_not() {
        let name = |before: &[&str], now: &[&str]| named(&set(before), &set(now)).map(|version| version.0.to_string());
        assert_eq!(name(&["1"], &["1", "2"]).as_deref(), Some("2"));
        assert_eq!(name(&["1"], &["1"]).as_deref(), Some("1"));
        assert_eq!(name(&[], &["1", "2"]), None);
        assert_eq!(name(&["1"], &["2", "3"]), None);
    }
}
