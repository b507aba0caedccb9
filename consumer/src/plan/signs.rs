//! What telemetry says about how it fails, in words that can be compared with what a change touches.

use std::collections::BTreeSet;

use backtrail_model::patch_request::PatchRequest;

use super::place::words;

/// Words that mean the same kind of trouble.
const KINDS: [(&str, &[&str]); 5] = [
    (
        "retries",
        &[
            "retry", "retries", "retrying", "attempt", "attempts", "backoff", "jitter", "budget", "resend", "sleep",
            "delay",
        ],
    ),
    ("time", &["timeout", "timeouts", "deadline", "timed", "expired", "cancelled", "canceled", "ttl"]),
    (
        "pool",
        &[
            "pool",
            "pools",
            "exhausted",
            "acquire",
            "release",
            "checkout",
            "connection",
            "connections",
            "conn",
            "conns",
            "close",
            "leak",
            "idle",
        ],
    ),
    ("volume", &["batch", "loop", "query", "queries", "fetch", "select", "n+1", "bulk", "page", "many"]),
    ("switch", &["flag", "flags", "feature", "toggle", "variant", "enabled", "rollout"]),
];
/// Words that say nothing about the cause.
const EMPTY: [&str; 24] = [
    "the",
    "and",
    "for",
    "with",
    "from",
    "error",
    "errors",
    "exception",
    "failed",
    "failure",
    "request",
    "requests",
    "http",
    "https",
    "status",
    "internal",
    "server",
    "client",
    "service",
    "call",
    "calls",
    "none",
    "null",
    "self",
];

/// What a text is about.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Signs {
    kinds: BTreeSet<&'static str>,
    words: BTreeSet<String>,
    /// Whether a pool ran out.
    pub(crate) pool: bool,
}

impl Signs {
    /// Of the failure.
    pub(crate) fn of(request: &PatchRequest) -> Self {
        let summary = &request.telemetry_summary;
        let mut signs = Self::default();
        if let Some(span) = &summary.divergent_span {
            signs.add(&span.error);
            if span.retries > 0.2 {
                signs.kinds.insert("retries");
            }
        }
        for motif in &summary.log_motifs {
            signs.add(&motif.message);
        }
        if summary.load.iter().any(|load| load.requests > 0 && load.calls > load.requests + load.requests / 5) {
            signs.kinds.insert("retries");
        }
        signs.pool = ["pool", "exhausted", "acquire"].iter().any(|word| signs.words.contains(*word));
        signs
    }

    /// Of changed lines.
    pub(crate) fn of_lines<'a>(lines: impl IntoIterator<Item = &'a str>) -> Self {
        let mut signs = Self::default();
        for line in lines {
            signs.add(line);
        }
        signs
    }

    fn add(&mut self, text: &str) {
        for word in text.split_whitespace().flat_map(words) {
            let kind = KINDS.iter().find(|(_, words)| words.contains(&word.as_str()));
            self.kinds.extend(kind.map(|(kind, _)| *kind));
            if word.len() > 2 && !EMPTY.contains(&word.as_str()) && !word.chars().all(|c| c.is_ascii_digit()) {
                self.words.insert(word);
            }
        }
    }

    /// What both are about: kinds of trouble first, then words.
    pub(crate) fn shared(&self, other: &Self) -> (Vec<&'static str>, Vec<String>) {
        let kinds = self.kinds.intersection(&other.kinds).copied().collect();
        (kinds, self.words.intersection(&other.words).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_and_a_change_share_what_they_are_about() {
        let failure = Signs::of_lines(["TimeoutError: bank did not answer, giving up after 4 attempts"]);
        let change = Signs::of_lines(["for attempt in range(self.max_retries + 1):", "time.sleep(0.01)"]);
        let (kinds, words) = failure.shared(&change);
        assert_eq!(kinds, ["retries"]);
        assert!(words.is_empty(), "{words:?}");
        let (kinds, words) = failure.shared(&Signs::of_lines(["log.info('charging %s', order)"]));
        assert!(kinds.is_empty() && words.is_empty(), "{kinds:?} {words:?}");
        let missing = Signs::of_lines(["KeyError: 'currency'"]);
        assert_eq!(missing.shared(&Signs::of_lines(["total = order['currency']"])).1, ["currency"]);
    }
}
