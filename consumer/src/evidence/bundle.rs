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
use crate::candidate::{Candidate, Proof, Stage};
use crate::event::Event;
use crate::journal::{Chain, digest, hex};
use crate::state::State;
use crate::step::Step;

const FORMAT: &str = "backtrail-bundle/1";
const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const TEST_RESULT: &str = "https://in-toto.io/attestation/test-result/v0.1";
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
    /// What the journal names by digest of the candidates that are proved: diffs, reports of tests, questions to the
    /// policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<Artifact>,
    /// The signed decision.
    pub decision: Envelope,
    /// A signed in-toto test result for each candidate that is proved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub test_results: Vec<Envelope>,
    /// The key that it is signed with: `SubjectPublicKeyInfo`, DER, base64.
    pub public_key: String,
}

/// Something that the journal names by its digest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// Candidate and what it is: `revert-0/patch.diff`.
    pub name: String,
    /// Its bytes: as text, or in base64 behind `base64,` when they are none.
    pub body: String,
}

/// What stands before bytes that are no text. Text that begins so is written in base64 as well.
const BASE64: &str = "base64,";

impl Artifact {
    fn new(name: String, bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes).ok().filter(|text| !text.starts_with(BASE64));
        let body = text.map_or_else(|| format!("{BASE64}{}", STANDARD.encode(bytes)), str::to_owned);
        Self { name, body }
    }

    /// Its bytes; none if they are not written as this program writes them.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match self.body.strip_prefix(BASE64) {
            Some(encoded) => STANDARD.decode(encoded).ok(),
            None => Some(self.body.clone().into_bytes()),
        }
    }
}

/// An in-toto statement, version 1.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Statement<P> {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    #[serde(rename = "predicateType")]
    predicate_type: String,
    predicate: P,
}

/// The in-toto predicate of a test result.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TestResult {
    result: String,
    configuration: Vec<Subject>,
    #[serde(rename = "passedTests")]
    passed_tests: Vec<String>,
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
    /// An artifact, a test result or an approval is not the one that the journal names.
    #[error("{what}: {why}")]
    Part {
        /// Which.
        what: String,
        /// How it differs.
        why: String,
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
    /// `artifact` gives the bytes of a digest that the journal names.
    pub fn seal<E>(
        chain: &Chain,
        request: &[u8],
        signer: &Signer,
        artifact: impl Fn(&str) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<Result<Vec<u8>, Invalid>, E> {
        let mut artifacts = Vec::new();
        for Named { name, digest } in named(chain) {
            match artifact(&digest)? {
                Some(bytes) => artifacts.push(Artifact::new(name, &bytes)),
                None => return Ok(Err(Invalid::Part { what: name, why: "it is gone, or was changed".into() })),
            }
        }
        Ok(Self::sealed(chain, request, artifacts, signer))
    }

    fn sealed(chain: &Chain, request: &[u8], artifacts: Vec<Artifact>, signer: &Signer) -> Result<Vec<u8>, Invalid> {
        let after = |step: &Step| matches!(step, Step::Intended { .. } | Step::Happened { .. });
        let kept = chain.entries.iter().take_while(|entry| !after(&entry.step)).count();
        let id = &chain.entries[0].remediation;
        let journal = chain.bodies[..kept].to_vec();
        let chain = Chain::read(id, journal, None).map_err(|error| Invalid::Journal(error.to_string()))?;
        let request = std::str::from_utf8(request).map_err(|error| Invalid::Request(error.to_string()))?;
        let statement = serde_json::to_vec(&statement(id, &chain, request)).map_err(not_a_bundle)?;
        let test_results = test_results(&chain)
            .into_iter()
            .map(|result| Ok(Envelope::sign(&serde_json::to_vec(&result).map_err(not_a_bundle)?, signer)));
        let test_results = test_results.collect::<Result<_, Invalid>>()?;
        let bundle = Self {
            format: FORMAT.into(),
            request: request.to_owned(),
            artifacts,
            decision: Envelope::sign(&statement, signer),
            test_results,
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
        Self::opened(bytes, trusted).map(|(_, verified, _)| verified)
    }

    /// The same, with what was checked and the key that it was checked by.
    pub(super) fn opened(bytes: &[u8], trusted: Option<&PublicKey>) -> Result<(Self, Verified, PublicKey), Invalid> {
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
        let signed: Statement<Decision> =
            serde_json::from_slice(&payload).map_err(|error| Invalid::Decision(error.to_string()))?;
        let chain = bundle.fits(&signed)?;
        bundle.parts_fit(&signed.predicate.remediation, &chain, &key)?;
        let canonical = bundle.to_bytes()?;
        if canonical != bytes {
            let at = canonical.iter().zip(bytes).position(|(a, b)| a != b);
            return Err(Invalid::NotCanonical(at.unwrap_or(canonical.len().min(bytes.len()))));
        }
        let verified = Verified { decision: signed.predicate, key: key.id(), key_was_given: trusted.is_some() };
        Ok((bundle, verified, key))
    }

    /// Whether request and journal are those of the statement.
    fn fits(&self, signed: &Statement<Decision>) -> Result<Chain, Invalid> {
        let [request, _, ..] = signed.subject.as_slice() else {
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
        Ok(chain)
    }

    /// Whether artifacts, test results and approvals are those of the journal.
    fn parts_fit(&self, id: &str, chain: &Chain, key: &PublicKey) -> Result<(), Invalid> {
        let wrong = |what: &str, why: &str| Invalid::Part { what: what.to_owned(), why: why.to_owned() };
        let named = named(chain);
        if named.len() != self.artifacts.len() {
            return Err(wrong("the artifacts", "there are more or fewer than the journal names"));
        }
        for (artifact, named) in self.artifacts.iter().zip(&named) {
            let found = artifact.bytes().map(|bytes| digest(&bytes));
            if artifact.name != named.name || found.as_ref() != Some(&named.digest) {
                return Err(wrong(&named.name, "it is not the one that the journal names"));
            }
        }
        let wanted = test_results(chain);
        if wanted.len() != self.test_results.len() {
            return Err(wrong("the test results", "there are more or fewer than candidates that are proved"));
        }
        for (envelope, wanted) in self.test_results.iter().zip(wanted) {
            let payload = envelope.open(key).map_err(|why| wrong("a test result", &why))?;
            if serde_json::from_slice::<Statement<TestResult>>(&payload).ok().as_ref() != Some(&wanted) {
                return Err(wrong("a test result", "it does not follow from the journal"));
            }
        }
        for entry in &chain.entries {
            if let Step::Approved { approval } = &entry.step {
                let consent = approval.holds(id).map_err(|why| wrong("the approval", &why))?;
                let at = entry.at_unix_nano;
                if at < consent.at_unix_nano || at >= consent.expires_unix_nano {
                    return Err(wrong("the approval", "it did not count when it was used"));
                }
            }
        }
        Ok(())
    }
}

/// An artifact as the journal names it.
struct Named {
    name: String,
    digest: String,
}

/// What the journal names of the candidates that are proved, in order.
fn named(chain: &Chain) -> Vec<Named> {
    let mut all = Vec::new();
    for (candidate, proof) in proved(chain) {
        let parts = [
            ("patch.diff", &candidate.diff),
            ("report.json", &proof.report),
            ("policy_input.json", &proof.policy_input),
        ];
        all.extend(
            parts.map(|(part, digest)| Named { name: format!("{}/{part}", candidate.id), digest: digest.clone() }),
        );
    }
    all
}

fn proved(chain: &Chain) -> impl Iterator<Item = (&Candidate, &Proof)> {
    chain.remediation.candidates.iter().filter_map(|tried| match &tried.stage {
        Stage::Verified { proof } => Some((&tried.candidate, &**proof)),
        _ => None,
    })
}

/// A test result for each candidate that is proved: about its diff, with the report and the policy as configuration.
fn test_results(chain: &Chain) -> Vec<Statement<TestResult>> {
    let of_digest = |name: String, sha256: &str| Subject { name, digest: Digests { sha256: sha256.into() } };
    let result = |(candidate, proof): (&Candidate, &Proof)| Statement {
        kind: STATEMENT.into(),
        subject: vec![of_digest(format!("{}/patch.diff", candidate.id), &candidate.diff)],
        predicate_type: TEST_RESULT.into(),
        predicate: TestResult {
            // What has no proof is in no bundle as proved.
            result: "PASSED".into(),
            configuration: vec![
                of_digest(format!("{}/report.json", candidate.id), &proof.report),
                of_digest("policy".into(), proof.policy.trim_start_matches("sha256:")),
            ],
            passed_tests: proof.added.clone(),
        },
    };
    proved(chain).map(result).collect()
}

fn statement(id: &str, chain: &Chain, request: &str) -> Statement<Decision> {
    let remediation = &chain.remediation;
    let about = &remediation.request;
    let mut subject = vec![
        Subject::new("request.json", request.as_bytes()),
        Subject::new("journal.jsonl", chain.bodies.join("\n").as_bytes()),
    ];
    let of = |Named { name, digest }| Subject { name, digest: Digests { sha256: digest } };
    subject.extend(named(chain).into_iter().map(of));
    Statement {
        kind: STATEMENT.into(),
        subject,
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
        let none = |_: &str| Ok::<_, std::convert::Infallible>(None);
        let Ok(sealed) = Bundle::seal(&chain, &body, signer, none);
        sealed.expect("sealed")
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
