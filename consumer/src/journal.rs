//! The journal of a remediation: entries in a chain of hashes, so that a changed, missing or moved entry is found.
//!
//! `hash(n) = SHA-256(hash(n - 1) || body(n))`, where `body` is the entry's JSON exactly as it was stored and the first
//! link is 32 zero bytes. The body names its remediation and its place, so no entry fits anywhere else.

use backtrail_model::time::UnixNano;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::state::Remediation;
use crate::step::Step;

/// A SHA-256.
pub type Hash = [u8; 32];

/// What the first entry's hash is chained to.
pub const GENESIS: Hash = [0; 32];

/// An entry as it is written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Whose journal.
    pub remediation: String,
    /// Its place, from 0.
    pub seq: u64,
    /// When it was written.
    pub at_unix_nano: UnixNano,
    /// What happened.
    pub step: Step,
}

/// The hash of an entry's `body` behind `previous`.
pub fn link(previous: &Hash, body: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(previous);
    hasher.update(body);
    hasher.finalize().into()
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 in hex.
pub fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// A whole journal, checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chain {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Their bodies, byte for byte.
    pub bodies: Vec<String>,
    /// The last hash.
    pub head: Hash,
    /// What the entries add up to.
    pub remediation: Remediation,
}

impl Chain {
    /// Reads the bodies of the journal of `remediation`. With `hashes` (as stored) the first entry that does not fit is
    /// named; without them (a bundle) the caller compares the head.
    pub fn read(remediation: &str, bodies: Vec<String>, hashes: Option<&[Hash]>) -> Result<Self, Error> {
        let tampered = |entry: usize, what: &str| Error::Tampered {
            remediation: remediation.to_owned(),
            entry: entry as u64,
            what: what.to_owned(),
        };
        let mut head = GENESIS;
        let mut state = None;
        let mut entries = Vec::with_capacity(bodies.len());
        for (n, body) in bodies.iter().enumerate() {
            head = link(&head, body.as_bytes());
            if hashes.is_some_and(|hashes| hashes.get(n) != Some(&head)) {
                return Err(tampered(n, "its hash does not follow from its content and the entry before"));
            }
            let entry: Entry = serde_json::from_str(body).map_err(|error| tampered(n, &error.to_string()))?;
            if entry.remediation != remediation || entry.seq != n as u64 {
                return Err(tampered(n, &format!("it is entry {} of {}", entry.seq, entry.remediation)));
            }
            state = Some(
                Remediation::after(state, &entry.step)
                    .map_err(|error| tampered(n, &format!("in the state it was written in, {error}")))?,
            );
            entries.push(entry);
        }
        let Some(remediation) = state else { return Err(tampered(0, "it is missing")) };
        Ok(Self { entries, bodies, head, remediation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::tests::{a_life, mapping};

    fn bodies(steps: &[Step]) -> (Vec<String>, Vec<Hash>) {
        let mut head = GENESIS;
        let entry = |(seq, step): (usize, &Step)| Entry {
            remediation: "r".into(),
            seq: seq as u64,
            at_unix_nano: UnixNano(seq as u64),
            step: step.clone(),
        };
        let entries = steps.iter().enumerate().map(entry);
        let bodies: Vec<String> = entries.map(|entry| serde_json::to_string(&entry).expect("serializes")).collect();
        let hashes = bodies
            .iter()
            .map(|body| {
                head = link(&head, body.as_bytes());
                head
            })
            .collect();
        (bodies, hashes)
    }

    #[test]
    fn a_chain_reads_back_to_its_state() {
        let (bodies, hashes) = bodies(&a_life());
        let chain = Chain::read("r", bodies, Some(&hashes)).expect("intact");
        assert_eq!(chain.head, *hashes.last().expect("entries"));
        assert_eq!(chain.remediation.mapping, Some(mapping()));
    }

    #[test]
    fn every_kind_of_tampering_is_found_and_the_entry_named() {
        let (bodies, hashes) = bodies(&a_life());
        let named = |bodies: Vec<String>, hashes: &[Hash]| match Chain::read("r", bodies, Some(hashes)) {
            Err(Error::Tampered { entry, .. }) => entry,
            other => panic!("{other:?}"),
        };
        for n in 0..bodies.len() {
            let mut changed = bodies.clone();
            changed[n] = changed[n].replace("\"at_unix_nano\":", "\"at_unix_nano\":1");
            assert_eq!(named(changed, &hashes), n as u64);
            let (mut missing, mut fewer) = (bodies.clone(), hashes.clone());
            missing.remove(n);
            fewer.remove(n);
            if n + 1 < bodies.len() {
                assert_eq!(named(missing, &fewer), n as u64);
            }
        }
        let mut swapped = bodies.clone();
        swapped.swap(1, 2);
        assert_eq!(named(swapped, &hashes), 1);
        let foreign: Vec<String> = bodies.iter().map(|body| body.replace("\"r\"", "\"q\"")).collect();
        assert!(Chain::read("r", foreign, None).is_err());
        assert!(Chain::read("r", Vec::new(), None).is_err());
    }
}
