//! What would end the failure, as far as telemetry tells, and whether a change took just that away.
//!
//! A recent change is a suspect because it is recent; that alone repairs nothing. It is taken back only if it removed a
//! protection that the failure lacks, moved a number the way that makes the failure worse, or brought the very error that
//! telemetry shows.

use std::collections::{BTreeMap, BTreeSet};

use backtrail_model::patch_request::{EdgeLoad, PatchRequest, TelemetrySummary};

use super::load::{Storm, fails, is_saturated};
use super::place::words;

/// Share of failed calls from which the caller is taken to give up.
const GIVES_UP: f64 = 0.05;
/// The suspect works this much longer than its caller waits.
const OUTLIVES: f64 = 1.2;

/// Words of code that spreads, limits or budgets repeats.
const SPREADING: [&str; 11] =
    ["jitter", "random", "uniform", "randint", "rand", "backoff", "exponential", "budget", "cap", "capped", "limit"];
/// Words of code that bounds how long something takes.
const BOUNDING: [&str; 4] = ["timeout", "deadline", "abort", "settimeout"];
/// Words of code that tells of a failure; status codes of servers are among them.
const TELLING: [&str; 12] =
    ["raise", "throw", "throws", "panic", "reject", "bail", "err", "500", "502", "503", "504", "internalservererror"];
/// Calls a request from which they are one for each thing.
const MANY: f64 = 3.0;
/// How statements begin that give something back whatever happens in between.
const SCOPED: [&str; 8] = ["with ", "async with ", "defer ", "using ", "using(", "finally", "} finally", "try ("];
/// How statements begin that leave a function.
const EXITS: [&str; 3] = ["return", "raise", "throw"];
/// Words of code that gives something back.
const RELEASING: [&str; 6] = ["close", "release", "dispose", "put", "give", "shutdown"];
/// The callee gets this share of what comes in at most, if the way to it is blocked.
const STARVED: f64 = 0.5;
/// Words with which an error says that there was none left of something that is lent out.
const LENT: [&str; 8] = ["pool", "exhausted", "acquire", "lease", "slot", "slots", "permit", "permits"];
/// The same, but words of other failures as well ("service not available"): they count beside another one.
const LEFT: [&str; 4] = ["free", "taken", "available", "idle"];

/// What the failure lacks.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent needs, each asked for by itself")]
pub(crate) struct Needs {
    /// Fewer repeats, or spread ones.
    pub(crate) retries: bool,
    /// An end of work that nobody waits for any more.
    pub(crate) time: bool,
    /// More of something that ran out, or giving it back.
    pub(crate) pool: bool,
    /// Telling that something below failed.
    pub(crate) errors: bool,
    /// One call for many things instead of one for each.
    pub(crate) fewer_calls: bool,
    /// Asking less of a callee that has no capacity left, without repeats.
    pub(crate) load: bool,
    /// More time for a callee that is as fast as ever.
    pub(crate) patience: bool,
    /// Names of exceptions and quoted texts in the error.
    pub(crate) marks: BTreeSet<String>,
}

fn says_exhausted(said: &BTreeSet<String>) -> bool {
    let count = |words: &[&str]| words.iter().filter(|word| said.contains(**word)).count();
    (count(&LENT) > 0 || count(&LEFT) > 1) && !said.contains("timed")
}

/// What log statements say that warn, or say nothing of their severity, and come more often than before. What a service
/// reports when all is well names no failure.
pub(super) fn complaints(summary: &TelemetrySummary) -> impl Iterator<Item = &str> {
    let calm = ["TRACE", "DEBUG", "INFO"];
    let louder = summary.log_motifs.iter().filter(|motif| motif.count as f64 > motif.expected);
    louder.filter(move |motif| !calm.contains(&motif.level.as_str())).map(|motif| motif.message.as_str())
}

/// Lines that a change removed and added, of files that are no tests.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Lines {
    pub(crate) removed: Vec<String>,
    pub(crate) added: Vec<String>,
}

impl Needs {
    pub(crate) fn of(request: &PatchRequest) -> Self {
        let summary = &request.telemetry_summary;
        let error = summary.divergent_span.as_ref().map_or("", |span| span.error.as_str());
        let said: BTreeSet<String> = std::iter::once(error).chain(complaints(summary)).flat_map(words).collect();
        Self {
            retries: Storm::of(request).is_some(),
            time: overrun(request).is_some(),
            pool: starved(request) || says_exhausted(&said),
            errors: is_hidden(request),
            fewer_calls: fans_out(request),
            load: Storm::of(request).is_none() && overloads(request),
            // Both at once would make every timeout wrong in either direction.
            patience: overrun(request).is_none() && gives_up_early(request, &said),
            marks: marks(error),
        }
    }

    /// How a change took away what the failure lacks; empty if it did not.
    pub(crate) fn taken_by(&self, lines: &Lines) -> Vec<String> {
        let mut why = Vec::new();
        let lost = |kind: &[&str]| count(&lines.removed, kind) > count(&lines.added, kind);
        let hides = hiding(&lines.added) > hiding(&lines.removed) && count(&lines.added, &TELLING) == 0;
        for (took, what) in [
            (self.retries && lost(&SPREADING), "it removed what limited or spread repeated calls"),
            (self.retries && endless(&lines.added) > endless(&lines.removed), "it took the end off a loop"),
            (self.time && lost(&BOUNDING), "it removed what bounded the time of a call"),
            (self.errors && lost(&TELLING), "it removed what told that something failed"),
            (self.errors && hides, "it added what hides that something failed"),
        ] {
            if took {
                why.push(what.to_owned());
            }
        }
        why.extend(
            moved(lines)
                .into_iter()
                .filter(|moved| self.is_worse(&moved.name, moved.before, moved.after))
                .map(|moved| format!("it moved {} from {} to {}", moved.name, moved.before, moved.after)),
        );
        let brought = self.marks.iter().filter(|mark| {
            let has = |lines: &[String]| lines.iter().any(|line| line.contains(mark.as_str()));
            has(&lines.added) && !has(&lines.removed)
        });
        why.extend(brought.map(|mark| format!("it brought '{mark}', which the error names")));
        why
    }

    /// Whether a setting that moved so makes this failure worse; a value of another kind says nothing.
    pub(crate) fn is_worse(&self, name: &str, before: f64, after: f64) -> bool {
        let words = words(name);
        let any = |kind: &[&str]| words.iter().any(|word| kind.contains(&word.as_str()));
        let (grew, shrank) = (after > before, after < before);
        if any(&["budget", "ratio"]) && any(&["retry", "retries"]) {
            return self.retries && (grew || (after == 0.0 && before > 0.0));
        }
        if any(&["delay", "pause", "backoff", "wait", "jitter", "interval"]) {
            return self.retries && shrank;
        }
        if any(&["timeout", "deadline"]) {
            return self.time && grew || self.patience && shrank;
        }
        if any(&["retries", "retry", "attempts", "tries"]) {
            return self.retries && grew;
        }
        if any(&["pool", "connections", "conns", "sessions", "leases", "slots", "permits", "workers", "threads"]) {
            return self.pool && shrank;
        }
        if any(&["ttl", "cache", "expiry", "expires", "expire", "refresh", "poll", "age"]) {
            return self.load && after <= before / 2.0;
        }
        if any(&["batch", "bulk", "chunk"]) {
            return (self.load || self.fewer_calls) && after <= before / 2.0;
        }
        false
    }
}

/// Whether calls fail because they are given up before the callee has usually answered: it is as fast as ever.
fn gives_up_early(request: &PatchRequest, said: &BTreeSet<String>) -> bool {
    let suspect = &request.suspect_ref.entity.service;
    let timed = ["timeout", "timed", "deadline", "aborted", "abort"].iter().any(|word| said.contains(*word));
    let mut goes =
        request.telemetry_summary.load.iter().filter(|load| load.from == *suspect && load.quiet_p95_ms > 0.0);
    timed
        && goes.any(|load| {
            let lost =
                load.errors as f64 >= GIVES_UP * load.calls as f64 && load.errors > 0 || fails(request, &load.to);
            let as_ever = load.served_p95_ms <= OUTLIVES * load.quiet_p95_ms;
            lost && as_ever && load.p95_ms > 0.0 && load.p95_ms < OUTLIVES * load.quiet_p95_ms
        })
}

/// How many lines begin a loop that does not end by itself.
fn endless(lines: &[String]) -> usize {
    let begins = |line: &&String| {
        let line: String = line.chars().filter(|c| !c.is_whitespace()).collect();
        ["whileTrue:", "while1:", "while(true)", "for(;;)", "loop{"].iter().any(|text| line.contains(text))
            || line == "for{"
    };
    lines.iter().filter(begins).count()
}

/// Whether what fails below the suspect is not heard of above it.
fn is_hidden(request: &PatchRequest) -> bool {
    let suspect = &request.suspect_ref.entity.service;
    let load = &request.telemetry_summary.load;
    let lost = |load: &&EdgeLoad| {
        load.errors as f64 >= GIVES_UP * load.calls as f64 && load.errors > 0
            || (load.served as f64) < (1.0 - GIVES_UP) * load.calls as f64
            || fails(request, &load.to)
    };
    let above = load
        .iter()
        .filter(|load| load.to == *suspect)
        .any(|load| load.errors as f64 >= GIVES_UP * load.calls as f64 && load.errors > 0);
    !above && !fails(request, suspect) && load.iter().filter(|load| load.from == *suspect).any(|load| lost(&load))
}

/// Whether each request makes many calls that are no repeats.
fn fans_out(request: &PatchRequest) -> bool {
    let suspect = &request.suspect_ref.entity.service;
    let load = &request.telemetry_summary.load;
    let comes: u64 = load.iter().filter(|load| load.to == *suspect).map(|load| load.requests).sum();
    let mut outgoing = load.iter().filter(|load| load.from == *suspect);
    comes > 0 && outgoing.any(|load| load.requests as f64 >= MANY * comes as f64)
}

/// Whether a callee of the suspect has no capacity left.
fn overloads(request: &PatchRequest) -> bool {
    let suspect = &request.suspect_ref.entity.service;
    request.telemetry_summary.load.iter().any(|load| load.from == *suspect && is_saturated(load))
}

/// How many lines hide a failure: they catch, or put something in its place.
fn hiding(lines: &[String]) -> usize {
    let hides = |line: &&String| {
        ["unwrap_or", ".ok()", "orElse", "return nil, nil"].iter().any(|text| line.contains(text))
            || words(line)
                .iter()
                .any(|word| ["except", "catch", "rescue", "recover", "suppress"].contains(&word.as_str()))
    };
    lines.iter().filter(hides).count()
}

/// Whether the suspect works on while little of what comes in reaches what it calls, which has room: it waits for itself.
fn starved(request: &PatchRequest) -> bool {
    let suspect = &request.suspect_ref.entity.service;
    let load = &request.telemetry_summary.load;
    let comes: u64 = load.iter().filter(|load| load.to == *suspect).map(|load| load.requests).sum();
    let waits = load.iter().any(|load| load.to == *suspect && is_saturated(load));
    let calm = |load: &EdgeLoad| load.from == *suspect && load.quiet_p95_ms > 0.0 && !is_saturated(load);
    waits && load.iter().any(|load| calm(load) && (load.calls as f64) < STARVED * comes as f64)
}

/// How a function came to keep what it takes, between two versions of its text: a statement that gives back whatever
/// happens is gone, or there are more ways out before the place that gives back.
pub(crate) fn keeps(before: &str, after: &str) -> Option<&'static str> {
    let begins = |line: &str, kinds: &[&str]| kinds.iter().any(|kind| line.trim_start().starts_with(kind));
    let scoped = |text: &str| text.lines().filter(|line| begins(line, &SCOPED)).count();
    if scoped(after) < scoped(before) {
        return Some("it removed a statement that gives back whatever happens");
    }
    let gives_back =
        |line: &str| begins(line, &SCOPED) || words(line).iter().any(|word| RELEASING.contains(&word.as_str()));
    let exits = |text: &str| {
        let place = text.lines().position(gives_back)?;
        Some(text.lines().take(place).filter(|line| begins(line, &EXITS)).count())
    };
    match (exits(before), exits(after)) {
        (Some(before), Some(after)) if after > before => Some("it put a way out before the place that gives back"),
        _ => None,
    }
}

/// The caller that gives up before the suspect is done: it fails, or its calls end at one time while the suspect works on.
pub(crate) fn overrun(request: &PatchRequest) -> Option<&EdgeLoad> {
    let suspect = &request.suspect_ref.entity.service;
    request.telemetry_summary.load.iter().find(|load| {
        let gave_up = load.errors as f64 >= GIVES_UP * load.calls as f64;
        // Without a count of errors the shape tells: nobody waits longer than the 95th percentile of the caller.
        let told = load.errors > 0 || is_saturated(load);
        load.to == *suspect
            && told
            && (gave_up || load.errors == 0)
            && load.p95_ms > 0.0
            && load.served_p95_ms > OUTLIVES * load.p95_ms
    })
}

/// Names of exceptions (`KeyError`, `java.net.SocketException`) and quoted texts of an error.
fn marks(error: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for word in error.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')) {
        let name = word.trim_matches('.').rsplit('.').next().unwrap_or_default();
        // Exceptions that waiting brings say what failed and not who brought it.
        let generic = name.contains("Timeout") || name.contains("Connection");
        if !generic && ["Error", "Exception", "Panic"].iter().any(|end| name.len() > end.len() && name.ends_with(end)) {
            found.insert(name.to_owned());
        }
    }
    for quote in ['\'', '"'] {
        let mut parts = error.split(quote);
        parts.next();
        while let (Some(inside), Some(_)) = (parts.next(), parts.next()) {
            if (3..=80).contains(&inside.len()) {
                found.insert(inside.to_owned());
            }
        }
    }
    found
}

fn count(lines: &[String], kind: &[&str]) -> usize {
    lines.iter().flat_map(|line| words(line)).filter(|word| kind.contains(&word.as_str())).count()
}

/// A number that a change moved.
struct Moved {
    name: String,
    before: f64,
    after: f64,
}

/// Numbers that a change assigns to the same name before and after.
fn moved(lines: &Lines) -> Vec<Moved> {
    let numbers =
        |lines: &[String]| -> BTreeMap<String, f64> { lines.iter().filter_map(|line| assigned(line)).collect() };
    let (before, after) = (numbers(&lines.removed), numbers(&lines.added));
    let both = before.into_iter().filter_map(|(name, before)| {
        let after = *after.get(&name)?;
        (before.to_bits() != after.to_bits()).then_some(Moved { name, before, after })
    });
    both.collect()
}

/// `name = number`, `name: number` and `name(number)`, with whatever stands around them. A number of a named unit of time
/// is in milliseconds.
fn assigned(line: &str) -> Option<(String, f64)> {
    let lower = line.to_lowercase();
    let unit = [("milli", 1.0), ("minute", 60_000.0), ("second", 1000.0), ("secs", 1000.0)];
    let unit = unit.into_iter().find(|(name, _)| lower.contains(name)).map_or(1.0, |(_, factor)| factor);
    let (name, number) = given(line).or_else(|| handed(line))?;
    Some((name, number * unit))
}

/// `setName(number)`.
fn handed(line: &str) -> Option<(String, f64)> {
    let (open, _) = line.match_indices('(').find(|(at, _)| line[at + 1..].starts_with(|c: char| c.is_ascii_digit()))?;
    let name = line[..open].rsplit(|c: char| !(c.is_alphanumeric() || c == '_')).next()?;
    let inside = line[open + 1..].split(')').next()?;
    let digits = inside.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_')).next()?.replace('_', "");
    Some((name.to_owned(), digits.parse().ok()?)).filter(|(name, _)| !name.is_empty())
}

fn given(line: &str) -> Option<(String, f64)> {
    let at = line.find(['=', ':'])?;
    let name = line[..at].trim().trim_matches(['"', '\'', ' ']).rsplit([' ', '.']).next()?.to_owned();
    let value = line[at + 1..].trim_start_matches(['=', ':', ' ', '"', '\'']);
    let digits = value.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-')).next()?;
    Some((name, digits.parse().ok()?)).filter(|(name, _)| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(removed: &[&str], added: &[&str]) -> Lines {
        let own = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        Lines { removed: own(removed), added: own(added) }
    }

    fn storm() -> Needs {
        Needs { retries: true, ..Needs::default() }
    }

    #[test]
    fn a_change_that_removed_the_protection_is_the_cause_and_one_that_kept_it_is_not() {
        let removed_jitter = lines(&["time.sleep(random.uniform(0, delay))"], &["time.sleep(self.delay_s)"]);
        assert_eq!(storm().taken_by(&removed_jitter), ["it removed what limited or spread repeated calls"]);
        assert!(Needs { time: true, ..Needs::default() }.taken_by(&removed_jitter).is_empty(), "another need");
        let kept = lines(&["time.sleep(2)"], &["time.sleep(self.pause)", "log.info('attempt %d', attempt)"]);
        assert!(storm().taken_by(&kept).is_empty());
        let moved_about = lines(&["backoff(random())"], &["wait = backoff(random())"]);
        assert!(storm().taken_by(&moved_about).is_empty());
    }

    #[test]
    fn a_number_counts_only_in_the_direction_that_hurts() {
        assert_eq!(
            storm().taken_by(&lines(&["  max_retries: 1"], &["  max_retries: 3"])),
            ["it moved max_retries from 1 to 3"]
        );
        assert!(storm().taken_by(&lines(&["  max_retries: 3"], &["  max_retries: 1"])).is_empty());
        assert!(storm().is_worse("bank.retry_budget", 0.1, 0.0), "0 switches it off");
        let slow = Needs { time: true, ..Needs::default() };
        assert!(slow.is_worse("INVENTORY_TIMEOUT_MS", 600.0, 5000.0) && !slow.is_worse("timeout", 800.0, 700.0));
        let dry = Needs { pool: true, ..Needs::default() };
        let busy = Needs { load: true, ..Needs::default() };
        assert!(busy.is_worse("cache.ttl", 60_000.0, 60.0) && !busy.is_worse("cache.ttl", 60.0, 50.0));
        assert!(dry.is_worse("db.pool.size", 16.0, 4.0) && !dry.is_worse("media_connections", 16.0, 64.0));
    }

    #[test]
    fn numbers_in_code_are_read_with_their_units_and_in_calls() {
        let slow = Needs { time: true, ..Needs::default() };
        let moved = lines(&["\ttimeout := 500 * time.Millisecond"], &["\ttimeout := 5 * time.Second"]);
        assert_eq!(slow.taken_by(&moved), ["it moved timeout from 500 to 5000"]);
        let dry = Needs { pool: true, ..Needs::default() };
        assert_eq!(
            dry.taken_by(&lines(&["db.SetMaxOpenConns(20)"], &["db.SetMaxOpenConns(2)"])),
            ["it moved SetMaxOpenConns from 20 to 2"]
        );
        let ends = lines(&["for attempt in range(3):"], &["while True:"]);
        assert_eq!(storm().taken_by(&ends), ["it took the end off a loop"]);
        let hasty = Needs { patience: true, ..Needs::default() };
        assert!(hasty.is_worse("bank.timeout_ms", 2000.0, 20.0) && !hasty.is_worse("bank.timeout_ms", 20.0, 2000.0));
    }

    #[test]
    fn a_failure_is_hidden_by_what_catches_it_and_by_what_no_longer_tells() {
        let needs = Needs { errors: true, ..Needs::default() };
        let hides = lines(&["return fetch()"], &["try:", "return fetch()", "except BackendError:", "return []"]);
        assert_eq!(needs.taken_by(&hides), ["it added what hides that something failed"]);
        let silent = lines(&["    raise NotFound()"], &["    return None"]);
        assert_eq!(needs.taken_by(&silent), ["it removed what told that something failed"]);
        assert!(needs.taken_by(&lines(&["x = 1"], &["try:", "except A:", "raise B"])).is_empty());
        assert!(Needs::default().taken_by(&hides).is_empty(), "nothing is hidden");
    }

    #[test]
    fn a_function_keeps_what_it_takes_when_the_way_back_can_be_missed() {
        let good = "c = take()\n    with closing(c):\n        return c.get()\n";
        let bad = "c = take()\n    value = c.get()\n    put(c)\n    return value\n";
        assert_eq!(keeps(good, bad), Some("it removed a statement that gives back whatever happens"));
        assert_eq!(keeps(bad, good), None);
        let go = "r, err := get()\nif err != nil {\nreturn err\n}\ndefer r.Close()\nif r.Status != 200 {\nreturn errBad\n}\n";
        let late = "r, err := get()\nif err != nil {\nreturn err\n}\nif r.Status != 200 {\nreturn errBad\n}\ndefer r.Close()\n";
        assert_eq!(keeps(go, late), Some("it put a way out before the place that gives back"));
        assert_eq!((keeps(late, go), keeps(go, go)), (None, None));
    }

    #[test]
    fn an_error_is_brought_by_the_change_that_names_it_first() {
        let needs = Needs { marks: marks("KeyError: 'currency'"), ..Needs::default() };
        let brings =
            lines(&["total = sum(o['price'] for o in orders)"], &["total = convert(o['price'], o['currency'])"]);
        assert_eq!(needs.taken_by(&brings), ["it brought 'currency', which the error names"]);
        assert!(needs.taken_by(&lines(&["o['currency']"], &["order['currency']"])).is_empty());
        assert!(marks("java.net.http.HttpTimeoutException: request timed out").is_empty());
    }
}
