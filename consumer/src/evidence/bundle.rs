//! The bundle: request, journal and signed decision of a remediation in one file.
//!
//! Every byte of it counts. The request and the journal are under the signature by their digests, the key by the
//! signature itself, and whatever is left (spaces, order, escapes) by the rule that the file is exactly what this
//! program would write.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::dsse::Envelope;
use super::key::{PublicKey, Signer};
use crate::event::Event;
use crate::journal::{Chain, digest, hex};
use crate::state::State;
use crate::step::Step;

const FORMAT: &str = "backtrail-bundle/1";
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "https://backtrail.dev/decision/v1";

/// Most bytes of a bundle that are looked at: the largest request, escaped, and a long journal.
pub const MOST_BUNDLE_BYTES: u64 = 32 << 20;

/// The file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// `backtrail-bundle/1`.
    pub format: String,
    /// The event of the request, byte for byte as it was kept (see [`crate::redaction`]).
    pub request: String,
    /// The journal up to the decision: the bodies of its entries, byte for byte.
    pub journal: Vec<String>,
    /// The signed decision.
    pub decision: Envelope,
    /// The key that it is signed with: `SubjectPublicKeyInfo`, DER, base64.
    pub public_key: String,
}

/// An in-toto statement, version 1.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: Decision,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject {
    name: String,
    digest: Digests,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Digests {
    sha256: String,
}

impl Subject {
    fn new(name: &str, bytes: &[u8]) -> Self {
        Self { name: name.into(), digest: Digests { sha256: digest(bytes) } }
    }
}

/// What was decided: the predicate of the statement.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// The remediation.
    pub remediation: String,
    /// Its incident.
    pub incident: String,
    /// The revision of the incident.
    pub revision: u64,
    /// The suspect service.
    pub service: String,
    /// How it ended.
    pub state: State,
    /// Why.
    pub reason: String,
    /// Entries of the journal.
    pub entries: u64,
    /// Hash of the last one, hex: it stands for all of them.
    pub head: String,
    /// Who decided: this program and its version.
    pub decided_by: String,
}

/// What is wrong with a bundle.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Invalid {
    /// It is none.
    #[error("this is no bundle: {0}")]
    NotABundle(String),
    /// The file differs from what its content would be written as.
    #[error("the file was changed at byte {0}: its content would be written differently there")]
    NotCanonical(usize),
    /// Signature or key.
    #[error("the decision: {0}")]
    Decision(String),
    /// The key is not the one that was asked for.
    #[error("it is signed by key {found} and not by {wanted}")]
    ForeignKey {
        /// The bundle's.
        found: String,
        /// The one that was given.
        wanted: String,
    },
    /// The request is not the signed one.
    #[error("the request was changed: {0}")]
    Request(String),
    /// The journal is not the signed one.
    #[error("{0}")]
    Journal(String),
}

/// What a valid bundle says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Verified {
    /// The decision.
    pub decision: Decision,
    /// The key that it is signed with.
    pub key: String,
    /// Whether that is a key that the caller trusts, or only the one that the bundle brings along.
    pub key_was_given: bool,
}

impl Bundle {
    /// Makes the bundle of an ended remediation. The same journal, request and key give the same bytes.
    ///
    /// Entries behind the decision (the intent to write this very file) are left out.
    pub fn seal(chain: &Chain, request: &[u8], signer: &Signer) -> Result<Vec<u8>, Invalid> {
        let after = |step: &Step| matches!(step, Step::Intended { .. } | Step::Happened { .. });
        let kept = chain.entries.iter().take_while(|entry| !after(&entry.step)).count();
        let id = &chain.entries[0].remediation;
        let journal = chain.bodies[..kept].to_vec();
        let chain = Chain::read(id, journal, None).map_err(|error| Invalid::Journal(error.to_string()))?;
        let request = std::str::from_utf8(request).map_err(|error| Invalid::Request(error.to_string()))?;
        let statement = serde_json::to_vec(&statement(id, &chain, request)).map_err(not_a_bundle)?;
        let bundle = Self {
            format: FORMAT.into(),
            request: request.to_owned(),
            decision: Envelope::sign(&statement, signer),
            journal: chain.bodies,
            public_key: STANDARD.encode(signer.public().to_der()),
        };
        bundle.to_bytes()
    }

    fn to_bytes(&self) -> Result<Vec<u8>, Invalid> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(not_a_bundle)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Checks every byte of a bundle, by `trusted` or, without it, by the key that the bundle brings along: then it says
    /// that the parts belong together, and not who signed them.
    pub fn verify(bytes: &[u8], trusted: Option<&PublicKey>) -> Result<Verified, Invalid> {
        let bundle: Self = serde_json::from_slice(bytes).map_err(not_a_bundle)?;
        if bundle.format != FORMAT {
            return Err(Invalid::NotABundle(format!("its format is '{}' and not {FORMAT}", bundle.format)));
        }
        let key = STANDARD.decode(&bundle.public_key).ok().and_then(|der| PublicKey::from_der(&der));
        let key = key.ok_or_else(|| Invalid::Decision("the public key is none".into()))?;
        if let Some(trusted) = trusted.filter(|trusted| **trusted != key) {
            return Err(Invalid::ForeignKey { found: key.id(), wanted: trusted.id() });
        }
        let payload = bundle.decision.open(&key).map_err(Invalid::Decision)?;
        let signed: Statement =
            serde_json::from_slice(&payload).map_err(|error| Invalid::Decision(error.to_string()))?;
        bundle.fits(&signed)?;
        let canonical = bundle.to_bytes()?;
        if canonical != bytes {
            let at = canonical.iter().zip(bytes).position(|(a, b)| a != b);
            return Err(Invalid::NotCanonical(at.unwrap_or(canonical.len().min(bytes.len()))));
        }
        Ok(Verified { decision: signed.predicate, key: key.id(), key_was_given: trusted.is_some() })
    }

    /// Whether request and journal are those of the statement.
    fn fits(&self, signed: &Statement) -> Result<(), Invalid> {
        let [request, _] = signed.subject.as_slice() else {
            return Err(Invalid::Decision("the statement is not about a request and a journal".into()));
        };
        let found = digest(self.request.as_bytes());
        if request.digest.sha256 != found {
            let wanted = &request.digest.sha256;
            return Err(Invalid::Request(format!("its digest is {found}, the signed one is {wanted}")));
        }
        Event::parse(self.request.as_bytes()).map_err(|refusal| Invalid::Request(refusal.to_string()))?;
        let id = &signed.predicate.remediation;
        let chain = Chain::read(id, self.journal.clone(), None).map_err(|error| Invalid::Journal(error.to_string()))?;
        if hex(&chain.head) != signed.predicate.head {
            return Err(Invalid::Journal(format!(
                "the journal was changed: {} entries end with another hash than the {} signed ones",
                chain.entries.len(),
                signed.predicate.entries
            )));
        }
        if chain.remediation.request.digest != found {
            return Err(Invalid::Request("it is not the one that the journal names".into()));
        }
        let producer = &signed.predicate.decided_by;
        let mut wanted = statement(id, &chain, &self.request);
        // Another version of this program may have made the bundle.
        wanted.predicate.decided_by.clone_from(producer);
        if wanted != *signed {
            return Err(Invalid::Decision("it does not follow from the journal".into()));
        }
        Ok(())
    }
}

fn statement(id: &str, chain: &Chain, request: &str) -> Statement {
    let remediation = &chain.remediation;
    let about = &remediation.request;
    Statement {
        kind: STATEMENT.into(),
        subject: vec![
            Subject::new("request.json", request.as_bytes()),
            Subject::new("journal.jsonl", chain.bodies.join("\n").as_bytes()),
        ],
        predicate_type: PREDICATE.into(),
        predicate: Decision {
            remediation: id.to_owned(),
            incident: about.incident.clone(),
            revision: about.revision,
            service: about.service.clone(),
            state: remediation.state,
            reason: remediation.reason.clone().unwrap_or_default(),
            entries: chain.entries.len() as u64,
            head: hex(&chain.head),
            decided_by: concat!("backtrail-consumer ", env!("CARGO_PKG_VERSION")).into(),
        },
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn not_a_bundle(error: serde_json::Error) -> Invalid {
    Invalid::NotABundle(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use backtrail_model::time::UnixNano;

    use super::*;
    use crate::event::tests::{event, request};
    use crate::journal::Entry;
    use crate::step::{Request, Step};
    use crate::triage::Missing;

    fn bundle(signer: &Signer) -> Vec<u8> {
        let body = event(&request("i", 3, "pay"));
        let (event_id, digest) = ("i-3".into(), digest(&body));
        let request = Request { event_id, digest, incident: "i".into(), service: "pay".into(), revision: 3 };
        let steps = [Step::Received { request }, Step::NoSafePatch { missing: vec![Missing::Place] }];
        let entry = |(seq, step): (usize, &Step)| {
            let (remediation, seq, at_unix_nano) = ("r".into(), seq as u64, UnixNano(7));
            serde_json::to_string(&Entry { remediation, seq, at_unix_nano, step: step.clone() }).expect("serializes")
        };
        let chain = Chain::read("r", steps.iter().enumerate().map(entry).collect(), None).expect("a chain");
        Bundle::seal(&chain, &body, signer).expect("sealed")
    }

    #[test]
    fn a_bundle_is_verified_by_the_key_that_signed_it() {
        let signer = Signer::from_seed([1; 32]);
        let bytes = bundle(&signer);
        assert_eq!(bytes, bundle(&signer), "the same bytes again");
        let verified = Bundle::verify(&bytes, Some(&signer.public())).expect("valid");
        assert_eq!((verified.decision.state, verified.decision.entries), (State::NoSafePatch, 2));
        assert!(verified.decision.reason.contains("no place") && verified.key_was_given);
        assert!(!Bundle::verify(&bytes, None).expect("valid").key_was_given);
        let foreign = Signer::from_seed([2; 32]).public();
        assert!(matches!(Bundle::verify(&bytes, Some(&foreign)), Err(Invalid::ForeignKey { .. })));
    }

    #[test]
    fn one_changed_byte_anywhere_fails_and_says_what() {
        let signer = Signer::from_seed([1; 32]);
        let bytes = bundle(&signer);
        let mut said = BTreeSet::new();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            // A neighbour: digits stay digits and letters letters, so that most changes are still JSON.
            changed[at] ^= 1;
            let error = Bundle::verify(&changed, Some(&signer.public())).expect_err("changed");
            said.insert(error.to_string().split([':', ',']).next().unwrap_or_default().to_owned());
        }
        for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            assert!(Bundle::verify(&bytes[..cut], None).is_err());
        }
        assert!(Bundle::verify(&[&bytes[..], b" "].concat(), None).is_err());
        for what in ["this is no bundle", "the decision", "the request was changed", "the journal of r was changed"] {
            assert!(said.iter().any(|said| said.starts_with(what)), "{what} is missing in {said:#?}");
        }
    }

    #[test]
    fn spaces_and_escapes_are_bytes_too() {
        let signer = Signer::from_seed([1; 32]);
        let text = String::from_utf8(bundle(&signer)).expect("UTF-8");
        for changed in [text.replacen("\": ", "\":  ", 1), text.replacen("bundle/1", "bundle\\/1", 1)] {
            assert!(matches!(Bundle::verify(changed.as_bytes(), None), Err(Invalid::NotCanonical(_))));
        }
    }

    #[test]
    fn a_statement_that_its_own_signer_bent_is_found() {
        let signer = Signer::from_seed([1; 32]);
        let mut bundle: Bundle = serde_json::from_slice(&bundle(&signer)).expect("a bundle");
        let payload = bundle.decision.open(&signer.public()).expect("signed");
        let bent = String::from_utf8(payload).expect("UTF-8").replace("no_safe_patch", "cancelled");
        bundle.decision = Envelope::sign(bent.as_bytes(), &signer);
        let error = Bundle::verify(&bundle.to_bytes().expect("written"), None).expect_err("bent");
        assert_eq!(error, Invalid::Decision("it does not follow from the journal".into()));
    }
}
