//! What this program writes of what others wrote is looked at first: reasons, titles, what tests say, what the policy is
//! asked. A secret or personal data in it becomes a placeholder before it is in the journal, an artifact or a log.
//!
//! An event is looked at when it is taken in: one without secrets is kept byte for byte, in one with secrets their values
//! are replaced and the rest is kept. What stays as it is: paths and names of functions and tests, hashes, the ids of an
//! event, the names and addresses of authors (who may not approve is told by them), and personal data in an event,
//! which the collector takes out before it sends one. A difference that holds a secret is no candidate at all.

use std::path::Path;

use backtrail_redact::Redactor;
use serde_json::Value;

use crate::candidate::{Candidate, LeftOut};
use crate::step::Step;
use crate::triage::Missing;

/// Most bytes of a file of denied values.
const MOST_BYTES: u64 = 1 << 20;

/// A redactor that also knows values by name: a file of them, one a line, and others.
pub fn with_denied(file: Option<&Path>, others: &[&str]) -> Result<Redactor, String> {
    let mut values: Vec<String> = others.iter().map(|value| (*value).to_owned()).collect();
    if let Some(file) = file {
        let wrong = |what: String| format!("{}: {what}", file.display());
        let meta = std::fs::metadata(file).map_err(|error| wrong(error.to_string()))?;
        if meta.len() > MOST_BYTES {
            return Err(wrong(format!("{} bytes of denied values are too many, {MOST_BYTES} are read", meta.len())));
        }
        let text = std::fs::read_to_string(file).map_err(|error| wrong(error.to_string()))?;
        values.extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned));
    }
    Redactor::new().with_denied(values).map_err(|error| error.to_string())
}

/// A text without secrets and personal data.
pub fn text(redactor: &Redactor, text: &str) -> String {
    redactor.replace(text).0
}

/// The same for every text of a document, names of fields included.
pub fn document(redactor: &Redactor, value: Value) -> Value {
    each(value, &|said| text(redactor, said))
}

/// An event without secrets; none if it has none and can be kept as it is.
pub fn event(redactor: &Redactor, bytes: &[u8]) -> Option<Vec<u8>> {
    let secret = |text: &str| redactor.find(text).iter().any(|found| found.kind.is_secret());
    let Ok(document) = serde_json::from_slice::<Value>(bytes) else {
        // No document: what can be read of it is looked at as a whole.
        let said = String::from_utf8_lossy(bytes);
        return secret(&said).then(|| text(redactor, &said).into_bytes());
    };
    let clean = each(document.clone(), &|said| if secret(said) { text(redactor, said) } else { said.to_owned() });
    if clean == document { None } else { serde_json::to_vec(&clean).ok() }
}

/// The kinds of secrets in a difference, with its lines.
pub fn secrets(redactor: &Redactor, patch: &[u8]) -> Vec<String> {
    let said = String::from_utf8_lossy(patch);
    let found = redactor.find(&said).into_iter().filter(|found| found.kind.is_secret());
    found.map(|found| format!("{} in line {}", found.kind.name(), found.line)).collect()
}

fn each(value: Value, clean: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(clean(&text)),
        Value::Array(list) => Value::Array(list.into_iter().map(|one| each(one, clean)).collect()),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(name, one)| (clean(&name), each(one, clean))).collect())
        }
        other => other,
    }
}

/// A step whose words are fit to be kept. Names, hashes and authors stay: what follows depends on them.
pub fn step(redactor: &Redactor, step: Step) -> Step {
    let clean = |said: String| text(redactor, &said);
    let cleaned = |list: Vec<String>| list.into_iter().map(clean).collect::<Vec<_>>();
    let reasons = |list: Vec<LeftOut>| {
        list.into_iter().map(|LeftOut { recipe, why }| LeftOut { recipe, why: clean(why) }).collect::<Vec<_>>()
    };
    match step {
        Step::ContextReady { mut context } => {
            context.skipped = cleaned(context.skipped);
            Step::ContextReady { context }
        }
        Step::Planned { candidates, left_out } => {
            let candidates = candidates.into_iter().map(|one| candidate(redactor, one)).collect();
            Step::Planned { candidates, left_out: reasons(left_out) }
        }
        Step::NoSafePatch { missing } => {
            let missing = missing.into_iter().map(|one| match one {
                Missing::Recipe { left_out } => Missing::Recipe { left_out: reasons(left_out) },
                Missing::Commit { stated } => Missing::Commit { stated: clean(stated) },
                other => other,
            });
            Step::NoSafePatch { missing: missing.collect() }
        }
        Step::CandidateRefused { candidate, by, why } => Step::CandidateRefused { candidate, by, why: cleaned(why) },
        other => other,
    }
}

fn candidate(redactor: &Redactor, mut candidate: Candidate) -> Candidate {
    let clean = |said: &mut String| *said = text(redactor, said);
    let proposal = &mut candidate.proposal;
    let mechanism = &mut proposal.mechanism;
    for said in [&mut proposal.title, &mut proposal.risk, &mut proposal.undo, &mut mechanism.now, &mut mechanism.claim]
    {
        clean(said);
    }
    let impact = &mut candidate.impact;
    let reached = impact.functions.iter_mut().chain(&mut impact.callers).chain(&mut impact.endpoints);
    let reached = reached.chain(&mut impact.tests).chain(&mut impact.slos).chain(&mut impact.traffic);
    let said = proposal.why.iter_mut().chain(&mut proposal.computation).chain(&mut impact.unknown);
    for said in said.chain(reached) {
        clean(said);
    }
    candidate
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AKIAIOSFODNN7EXAMPLE";

    #[test]
    fn an_event_without_secrets_is_kept_byte_for_byte_and_one_with_them_without_their_values() {
        let redactor = Redactor::new().with_denied(["moonlit-harbour"]).expect("a fair value");
        let plain =
            br#"{ "id": "0d9c5f3e-1111-5222-8333-944444444444", "sha": "3f2504e04f8911d39a0c0305e82c3301b7a1c9de",
            "author": "Ann <ann@corp.example>", "n": 1661140434123456789 }"#;
        assert_eq!(event(&redactor, plain), None);
        let text =
            format!(r#"{{"id": "i", "log": ["key {KEY} used"], "moonlit-harbour": {{"n": 1661140434123456789}}}}"#);
        let clean = String::from_utf8(event(&redactor, text.as_bytes()).expect("changed")).expect("text");
        assert!(clean.contains("key [secret:aws_access_key] used") && clean.contains("1661140434123456789"), "{clean}");
        assert!(!clean.contains(KEY) && !clean.contains("moonlit"), "{clean}");
        let broken = event(&redactor, &[b"\xff{".as_slice(), KEY.as_bytes()].concat()).expect("changed");
        assert!(!String::from_utf8_lossy(&broken).contains(KEY));
        assert_eq!(event(&redactor, b"\xff\xfe"), None, "what holds nothing stays as it came");
    }

    #[test]
    fn hashes_and_numbers_of_a_journal_are_no_secrets() {
        let redactor = Redactor::new();
        for said in [
            "asked m (openai_chat): question sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "git revert 3f2504e04f8911d39a0c0305e82c3301b7a1c9de",
            "size = ceil(1.5 * 12.3) = 19; 1661140434123456789 ns",
            "services/payments/config.yaml:9 max_retries = 3",
        ] {
            assert_eq!(text(&redactor, said), said);
        }
    }
}
