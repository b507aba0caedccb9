//! Which log statements of a service go with the problem: those that write more, or less, for each call than before.

use std::collections::{BTreeMap, BTreeSet};

use backtrail_model::edges::EdgeKind;
use backtrail_model::log::severity_name;
use backtrail_model::log_motifs::{LogMotifSlice, MotifCounts, MotifKey};
use backtrail_model::patch_request::LogMotif;

use crate::Slices;
use crate::edge_blame::merge_edges;
use crate::stats::{universal_threshold, xlogx};

/// Most statements that are named.
const MOST: usize = 10;
/// OpenTelemetry's severity number of WARN.
const WARN: u8 = 13;
/// A statement that writes less than twice as often as before, or more than half as often, tells nothing to anybody,
/// however sure the change is.
const FACTOR: f64 = 2.0;
/// Stands for what varies in a text, as in templates.
const MASK: &str = "<*>";
/// Longer words are no words.
const LONGEST_WORD: usize = 24;

/// The statements of `service` whose records changed in number, warnings and worse first, then by how sure that is.
///
/// With `a` records in the window, `b` before, and a share `p` of all calls to the service in the window (of the time,
/// where no calls are known), `G = 2 (a ln(a / (a + b) p) + b ln(b / (a + b) (1 - p)))` must exceed `2 ln m` for `m`
/// statements. Source: the likelihood ratio of two Poisson rates, Wilks 1938; the gate of [`universal_threshold`].
pub fn log_motifs(baseline: &Slices<'_>, window: &Slices<'_>, service: &str) -> Vec<LogMotif> {
    let (before, after) = (motifs(&baseline.logs, service), motifs(&window.logs, service));
    let keys: BTreeSet<&MotifKey> = before.keys().chain(after.keys()).copied().collect();
    let (quiet, now) = exposure(baseline, window, service);
    if quiet <= 0.0 || now <= 0.0 {
        return Vec::new();
    }
    let (gate, share) = (universal_threshold(keys.len()), now / (quiet + now));
    let mut found: Vec<(bool, f64, LogMotif)> = Vec::new();
    for key in keys {
        let count = |of: &Motifs<'_>| of.get(key).map_or(0, |counts| counts.count);
        let (was, is) = (count(&before) as f64, count(&after) as f64);
        let (expected, all) = (was / quiet * now, was + is);
        let g = 2.0 * (xlogx(is) + xlogx(was) - xlogx(all) - is * share.ln() - was * (1.0 - share).ln());
        let moved = is > FACTOR * expected || is * FACTOR < expected;
        if g <= gate || !moved {
            continue;
        }
        let example = after.get(key).or(before.get(key)).map_or("", |counts| &*counts.example);
        found.push((key.severity >= WARN, g, motif(key, example, is as u64, expected)));
    }
    found.sort_by(|a, b| b.0.cmp(&a.0).then(b.1.total_cmp(&a.1)).then_with(|| a.2.message.cmp(&b.2.message)));
    found.into_iter().take(MOST).map(|(_, _, motif)| motif).collect()
}

type Motifs<'a> = BTreeMap<&'a MotifKey, MotifCounts>;

fn motifs<'a>(slices: &[&'a LogMotifSlice], service: &str) -> Motifs<'a> {
    let mut out = Motifs::new();
    let own = slices.iter().flat_map(|slice| &slice.motifs).filter(|(key, _)| &*key.service == service);
    for (key, counts) in own {
        out.entry(key).and_modify(|known| known.merge(counts)).or_insert_with(|| counts.clone());
    }
    out
}

/// What the records of both stretches are held against: calls to the service, or slices with log records.
fn exposure(baseline: &Slices<'_>, window: &Slices<'_>, service: &str) -> (f64, f64) {
    let calls = |slices: &Slices<'_>| -> f64 {
        let to = merge_edges(&slices.edges).into_iter().filter(|(key, _)| {
            &*key.callee == service && matches!(key.kind, EdgeKind::Call | EdgeKind::Entry | EdgeKind::Messaging)
        });
        to.map(|(_, counts)| counts.calls as f64).sum()
    };
    let (quiet, now) = (calls(baseline), calls(window));
    if quiet > 0.0 && now > 0.0 {
        return (quiet, now);
    }
    let slices = |slices: &Slices<'_>| slices.logs.iter().map(|part| part.slice).collect::<BTreeSet<_>>().len() as f64;
    (slices(baseline), slices(window))
}

fn motif(key: &MotifKey, example: &str, count: u64, expected: f64) -> LogMotif {
    let place = key.template.split_once('#').map(|(place, _)| place).filter(|place| !place.contains(' '));
    let message = match place {
        Some(_) => format!("{}: {}", key.template, masked(example)),
        None => key.template.to_string(),
    };
    LogMotif {
        level: severity_name(key.severity).to_owned(),
        message,
        file: place.unwrap_or_default().to_owned(),
        count,
        expected,
    }
}

/// A text without what varies or belongs to somebody: words with digits, addresses, assignments, and long ones.
fn masked(text: &str) -> String {
    let is_word = |word: &str| {
        word.len() <= LONGEST_WORD && !word.contains(|c: char| c.is_ascii_digit() || matches!(c, '@' | '=' | '/'))
    };
    let mut out: Vec<&str> = Vec::new();
    for word in text.split_whitespace() {
        match is_word(word) {
            true => out.push(word),
            false if out.last() == Some(&MASK) => {}
            false => out.push(MASK),
        }
    }
    out.join(" ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use backtrail_model::time::{Slice, UnixNano};

    use super::*;

    fn slice(n: u64, records: &[(&str, u8, u64)]) -> LogMotifSlice {
        let mut slice = LogMotifSlice::new(Slice(n));
        for &(template, severity, count) in records {
            let counts = MotifCounts {
                count,
                in_traces: 0,
                first: UnixNano(n),
                last: UnixNano(n),
                example: Arc::from("no connection for user 4711 of a@b.example left"),
            };
            slice.add(MotifKey { service: "pay".into(), template: template.into(), severity }, counts);
        }
        slice
    }

    fn found(quiet: &LogMotifSlice, now: &LogMotifSlice) -> Vec<LogMotif> {
        let slices = |slice| Slices { logs: vec![slice], ..Slices::default() };
        log_motifs(&slices(quiet), &slices(now), "pay")
    }

    #[test]
    fn statements_that_come_or_go_are_named_and_the_usual_ones_are_not() {
        let quiet = slice(1, &[("INFO done <*>", 9, 400), ("INFO stored", 9, 300), ("pay.Pool#42", 17, 1)]);
        let now = slice(2, &[("INFO done <*>", 9, 420), ("pay.Pool#42", 17, 50)]);
        let found = found(&quiet, &now);
        let told: Vec<_> = found.iter().map(|motif| (motif.level.as_str(), motif.file.as_str(), motif.count)).collect();
        assert_eq!(told, [("ERROR", "pay.Pool", 50), ("INFO", "", 0)]);
        assert_eq!(found[0].message, "pay.Pool#42: no connection for user <*> of <*> left");
        assert_eq!(found[1].message, "INFO stored");
        assert!((found[1].expected - 300.0).abs() < 1e-9, "{}", found[1].expected);
    }

    #[test]
    fn a_few_records_more_are_chance() {
        let (quiet, now) = (slice(1, &[("a", 17, 2), ("b", 17, 10)]), slice(2, &[("a", 17, 5), ("b", 17, 12)]));
        assert_eq!(found(&quiet, &now), []);
        assert_eq!(log_motifs(&Slices::default(), &Slices::default(), "pay"), []);
    }
}
