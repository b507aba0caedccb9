//! What a report is made from: a checked journal, the request that it names by digest, the artifacts that it names.

use std::collections::BTreeMap;

use backtrail_model::patch_request::PatchRequest;

use super::Evidence;
use super::prose::quoted;
use super::words;
use crate::error::Error;
use crate::event::{Content, Event};
use crate::journal::{Chain, Entry, GENESIS, digest, hex, link};
use crate::state::{Remediation, State, Tried};
use crate::step::{Effect, Step};
use crate::store::Store;

/// Digits of an artifact's digest in its id.
const SHORT: usize = 8;

/// A remediation with everything that its journal names.
pub struct Case {
    id: String,
    pub(super) chain: Chain,
    /// The request; none when its bytes are not kept, or not those that the journal names.
    pub(super) request: Option<PatchRequest>,
    /// By digest.
    artifacts: BTreeMap<String, Vec<u8>>,
    /// The state after each entry.
    states: Vec<State>,
}

impl Case {
    /// Reads one from the store.
    pub fn read(store: &Store, id: &str) -> Result<Self, Error> {
        let chain = store.chain(id)?;
        let request = store.body(&chain.remediation.request.event_id)?;
        let mut artifacts = BTreeMap::new();
        for (digest, _) in named_by(&chain) {
            artifacts.extend(store.artifact(&digest)?.map(|body| (digest, body)));
        }
        Ok(Self::new(id, chain, request.as_deref(), artifacts))
    }

    /// Reads of one what its [`super::Measures`] need.
    pub(super) fn to_measure(store: &Store, id: &str) -> Result<Self, Error> {
        let mut case = Self::new(id, store.chain(id)?, None, BTreeMap::new());
        if let Some(diff) = case.chosen().map(|tried| tried.candidate.diff.clone()) {
            case.artifacts.extend(store.artifact(&diff)?.map(|body| (diff, body)));
        }
        Ok(case)
    }

    /// One from its parts: the journal, the bytes of the event with the request, artifacts by digest. What is not what
    /// the journal names by digest is left out.
    pub fn new(id: &str, chain: Chain, request: Option<&[u8]>, artifacts: BTreeMap<String, Vec<u8>>) -> Self {
        let wanted = &chain.remediation.request.digest;
        let request = request.filter(|body| digest(body) == *wanted).and_then(|body| Event::parse(body).ok());
        let request = request.and_then(|event| match event.content {
            Content::Request(request) => Some(*request),
            Content::Incident(_) => None,
        });
        let artifacts = artifacts.into_iter().filter(|(wanted, body)| digest(body) == *wanted).collect();
        let mut states = Vec::with_capacity(chain.entries.len());
        let mut now = None;
        for entry in &chain.entries {
            // A chain is read by the same fold, so it cannot fail here.
            now = Remediation::after(now, &entry.step).ok();
            states.extend(now.as_ref().map(|now: &Remediation| now.state));
        }
        Self { id: id.to_owned(), chain, request, artifacts, states }
    }

    /// The remediation's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.chain.remediation.state
    }

    pub(super) fn artifact(&self, digest: &str) -> Option<&[u8]> {
        self.artifacts.get(digest).map(Vec::as_slice)
    }

    /// The candidate that is approved, or the one that is proposed.
    pub(super) fn chosen(&self) -> Option<&Tried> {
        let remediation = &self.chain.remediation;
        let approved = remediation.approved.as_deref().and_then(|id| remediation.candidate(id));
        approved.or_else(|| remediation.proposed())
    }

    /// The first entry, with which everything begins.
    pub(super) fn first(&self) -> &Entry {
        &self.chain.entries[0]
    }

    pub(super) fn last(&self) -> &Entry {
        &self.chain.entries[self.chain.entries.len() - 1]
    }

    /// The last entry whose step is such.
    pub(super) fn entry(&self, is: impl Fn(&Step) -> bool) -> Option<&Entry> {
        self.chain.entries.iter().rev().find(|entry| is(&entry.step))
    }

    /// The entry that led to the state of today.
    pub(super) fn decisive(&self) -> &Entry {
        let before = self.states.iter().rposition(|state| *state != self.state());
        &self.chain.entries[before.map_or(0, |before| before + 1).min(self.chain.entries.len() - 1)]
    }

    /// The state before an entry.
    pub(super) fn state_before(&self, entry: &Entry) -> Option<State> {
        usize::try_from(entry.seq).ok()?.checked_sub(1).and_then(|before| self.states.get(before).copied())
    }

    /// Seconds from the request to the first entry whose step is such.
    pub(super) fn seconds_until(&self, is: impl Fn(&Step) -> bool) -> Option<f64> {
        let entry = self.chain.entries.iter().find(|entry| is(&entry.step))?;
        Some(entry.at_unix_nano.since(self.first().at_unix_nano).as_secs_f64())
    }

    /// The id of an artifact: as many digits of its digest as tell it apart.
    pub(super) fn artifact_id(&self, digest: &str) -> String {
        let digits: String = digest.chars().filter(char::is_ascii_alphanumeric).collect();
        let short = digits.get(..SHORT).unwrap_or(&digits);
        let alike = named_by(&self.chain).iter().filter(|(other, _)| other.starts_with(short)).count();
        format!("a:{}", if alike > 1 { &digits } else { short })
    }

    /// The id of the request: its bytes if they are there, the entry that names them otherwise.
    pub(super) fn request_id(&self) -> String {
        if self.request.is_some() { "r".into() } else { entry_id(self.requested()) }
    }

    /// The entry that names the request in force.
    pub(super) fn requested(&self) -> &Entry {
        self.entry(|step| matches!(step, Step::Received { .. } | Step::Merged { .. })).unwrap_or_else(|| self.first())
    }

    /// Everything that there is.
    pub(super) fn evidence(&self) -> Vec<Evidence> {
        let mut all = Vec::new();
        if self.request.is_some() {
            let request = &self.chain.remediation.request;
            let what = format!("the request: event {}", quoted(&request.event_id));
            all.push(Evidence { id: "r".into(), what, sha256: request.digest.clone() });
        }
        let mut head = GENESIS;
        for (entry, body) in self.chain.entries.iter().zip(&self.chain.bodies) {
            head = link(&head, body.as_bytes());
            let what =
                format!("entry {} of the journal, {}, {}", entry.seq, words::of(&entry.step), entry.at_unix_nano);
            all.push(Evidence { id: entry_id(entry), what, sha256: hex(&head) });
        }
        for (sha256, what) in named_by(&self.chain) {
            let kept = match self.artifact(&sha256) {
                Some(body) => format!("{what}, {} bytes", body.len()),
                None => format!("{what}, not kept"),
            };
            all.push(Evidence { id: self.artifact_id(&sha256), what: kept, sha256 });
        }
        all
    }
}

/// The id of an entry.
pub(super) fn entry_id(entry: &Entry) -> String {
    format!("j{}", entry.seq)
}

/// Artifacts that the journal names, each once: digest and what it is.
fn named_by(chain: &Chain) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut add = |digest: &String, what: String| {
        if !found.iter().any(|(known, _)| known == digest) {
            found.push((digest.clone(), what));
        }
    };
    for entry in &chain.entries {
        match &entry.step {
            Step::Planned { candidates, .. } => {
                for candidate in candidates {
                    add(&candidate.diff, format!("the diff of {}", quoted(&candidate.id)));
                }
            }
            Step::PolicyPassed { candidate, input, .. } => {
                add(input, format!("what the policy was asked about {} before the tests", quoted(candidate)));
            }
            Step::Verified { candidate, proof } => {
                add(&proof.report, format!("the report of the tests of {}", quoted(candidate)));
                add(
                    &proof.policy_input,
                    format!("what the policy was asked about {} after the tests", quoted(candidate)),
                );
            }
            Step::Intended { effect: Effect::Seal { file, digest } } => {
                add(digest, format!("the bundle {}, a file beside the database", quoted(file)));
            }
            _ => {}
        }
    }
    found
}
