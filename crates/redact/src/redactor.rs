//! The search over a text, and the replacement of what it finds.

use std::fmt;
use std::ops::Range;
use std::sync::LazyLock;

use crate::denied::{Denied, DeniedError};
use crate::kind::{Counts, Kind};
use crate::{assignment, encoded, personal, placeholder, shapes};

/// Something that should not leave. It says where, never what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// What it is.
    pub kind: Kind,
    /// Where it is, in bytes.
    pub range: Range<usize>,
    /// Its line, from 1.
    pub line: u32,
}

/// Times that encoded text within encoded text is looked into.
const DEPTH: u32 = 2;

/// Rounds of replacing before what is left is taken out as a whole: taking something out can bring something else to
/// light, and a text made for it could do so for ever.
const ROUNDS: usize = 8;

/// Finds and replaces secrets and personal data.
#[derive(Clone, Default)]
pub struct Redactor {
    denied: Option<Denied>,
    addresses: bool,
}

impl Redactor {
    /// The public shapes, without denied values and without IP addresses.
    pub fn new() -> Self {
        Self::default()
    }

    /// Also finds these values: as they stand, escaped as in JSON, percent-encoded, in hexadecimal and in base64.
    pub fn with_denied<S: Into<String>>(self, values: impl IntoIterator<Item = S>) -> Result<Self, DeniedError> {
        let values: Vec<String> = values.into_iter().map(Into::into).collect();
        Ok(Self { denied: Denied::new(&values)?, ..self })
    }

    /// Also finds public IP addresses. Versions with four parts look like them, so this is for telemetry, not for code.
    #[must_use]
    pub fn with_addresses(self) -> Self {
        Self { addresses: true, ..self }
    }

    /// Everything that is found, in order, without overlaps. Placeholders are not looked into.
    pub fn find(&self, text: &str) -> Vec<Found> {
        let mut found = Vec::new();
        for segment in placeholder::segments(text) {
            let mut inside = Vec::new();
            self.scan(&text[segment.clone()], 0, &mut inside);
            found.extend(inside.into_iter().map(|(kind, at)| (kind, at.start + segment.start..at.end + segment.start)));
        }
        with_lines(text, united(found))
    }

    /// Only what is certain whatever stands around it: denied values, across placeholders too, and the shapes of
    /// credentials. For a last look at text that was put together from parts which were looked at before.
    pub fn find_certain(&self, text: &str) -> Vec<Found> {
        let mut found = Vec::new();
        if let Some(denied) = &self.denied {
            denied.find(text, &mut found);
        }
        for segment in placeholder::segments(text) {
            let mut inside = Vec::new();
            shapes::find(&text[segment.clone()], &mut inside);
            found.extend(inside.into_iter().map(|(kind, at)| (kind, at.start + segment.start..at.end + segment.start)));
        }
        with_lines(text, united(found))
    }

    /// The text with a typed placeholder in place of everything that is found. Replacing twice is replacing once.
    ///
    /// ```
    /// let (text, counts) = backtrail_redact::replace("key AKIAIOSFODNN7EXAMPLE of bob@corp.com");
    /// assert_eq!(text, "key [secret:aws_access_key] of [email]");
    /// assert_eq!(counts.values().sum::<u64>(), 2);
    /// ```
    pub fn replace(&self, text: &str) -> (String, Counts) {
        self.replace_by(text, &mut |kind, _| placeholder::one_way(kind))
    }

    /// Replaces with placeholders of the caller's choice, until nothing is found any more.
    pub(crate) fn replace_by(&self, text: &str, stand_in: &mut dyn FnMut(Kind, &str) -> String) -> (String, Counts) {
        let mut counts = Counts::new();
        let mut text = text.to_owned();
        for _ in 0..ROUNDS {
            let found = self.find(&text);
            if found.is_empty() {
                return (text, counts);
            }
            let mut replaced = String::with_capacity(text.len());
            let mut end = 0;
            for Found { kind, range, .. } in found {
                replaced.push_str(&text[end..range.start]);
                replaced.push_str(&stand_in(kind, &text[range.clone()]));
                end = range.end;
                *counts.entry(kind).or_default() += 1;
            }
            replaced.push_str(&text[end..]);
            text = replaced;
        }
        if self.find(&text).is_empty() {
            return (text, counts);
        }
        *counts.entry(Kind::Dense).or_default() += 1;
        (placeholder::one_way(Kind::Dense), counts)
    }

    fn scan(&self, text: &str, depth: u32, into: &mut Vec<(Kind, Range<usize>)>) {
        if let Some(denied) = &self.denied {
            denied.find(text, into);
        }
        shapes::find(text, into);
        assignment::find(text, into);
        personal::find(text, self.addresses, into);
        if depth < DEPTH {
            let inner = |text: &str, into: &mut Vec<(Kind, Range<usize>)>| self.scan(text, depth + 1, into);
            encoded::percent(text, &inner, into);
            encoded::base64(text, &inner, into);
        }
    }
}

/// Shows that there are denied values, and none of them.
impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let denied = self.denied.as_ref().map_or(0, |denied| denied.count);
        f.debug_struct("Redactor").field("denied", &denied).field("addresses", &self.addresses).finish()
    }
}

static PUBLIC: LazyLock<Redactor> = LazyLock::new(Redactor::new);

/// [`Redactor::find`] with the public shapes.
pub fn find(text: &str) -> Vec<Found> {
    PUBLIC.find(text)
}

/// [`Redactor::replace`] with the public shapes.
pub fn replace(text: &str) -> (String, Counts) {
    PUBLIC.replace(text)
}

/// Joins overlapping findings, so that no tail of one is left beside another. Among the kinds of a joint finding the
/// most certain secret names it: kinds are in that order.
fn united(mut found: Vec<(Kind, Range<usize>)>) -> Vec<(Kind, Range<usize>)> {
    found.retain(|(_, range)| !range.is_empty());
    found.sort_by_key(|(kind, range)| (range.start, range.end, *kind));
    let mut united: Vec<(Kind, Range<usize>)> = Vec::with_capacity(found.len());
    for (kind, range) in found {
        match united.last_mut() {
            Some((known, held)) if range.start < held.end => {
                *known = (*known).min(kind);
                held.end = held.end.max(range.end);
            }
            _ => united.push((kind, range)),
        }
    }
    united
}

fn with_lines(text: &str, found: Vec<(Kind, Range<usize>)>) -> Vec<Found> {
    let (mut line, mut counted) = (1_u32, 0);
    let count = |part: &str| u32::try_from(part.bytes().filter(|&b| b == b'\n').count()).unwrap_or(u32::MAX);
    let place = |(kind, range): (Kind, Range<usize>)| {
        line = line.saturating_add(count(&text[counted..range.start]));
        counted = range.start;
        Found { kind, range, line }
    };
    found.into_iter().map(place).collect()
}
