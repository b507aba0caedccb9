//! What stands in place of a value: `[secret:jwt]`, `[email]`, `[email:1]`.
//!
//! A placeholder in the text is never looked into and never changed, so replacing twice is replacing once. Only the
//! known kinds count, so nothing but a few fixed words can hide in one.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use crate::kind::Kind;

static PLACEHOLDER: LazyLock<Regex> = LazyLock::new(|| {
    let names = |secret: bool| {
        let names: Vec<&str> = Kind::ALL.iter().filter(|kind| kind.is_secret() == secret).map(|k| k.name()).collect();
        names.join("|")
    };
    let shape = format!(r"\[(?:secret:(?:{})|(?:{})(?::[0-9]{{1,6}})?)\]", names(true), names(false));
    Regex::new(&shape).expect("made of the fixed names of kinds")
});

/// What stands for a value that does not come back.
pub(crate) fn one_way(kind: Kind) -> String {
    if kind.is_secret() { format!("[secret:{}]", kind.name()) } else { format!("[{}]", kind.name()) }
}

/// What stands for the `number`-th personal value of a kind.
pub(crate) fn numbered(kind: Kind, number: u32) -> String {
    format!("[{}:{number}]", kind.name())
}

/// Where placeholders stand.
pub(crate) fn all(text: &str) -> impl Iterator<Item = Range<usize>> {
    PLACEHOLDER.find_iter(text).map(|found| found.range())
}

/// The parts of a text between its placeholders.
pub(crate) fn segments(text: &str) -> Vec<Range<usize>> {
    let mut segments = Vec::new();
    let mut start = 0;
    for held in all(text) {
        segments.push(start..held.start);
        start = held.end;
    }
    segments.push(start..text.len());
    segments.retain(|segment| !segment.is_empty());
    segments
}
