//! Approvals: an owner's signature under one diff of one remediation. It opens the gate `confirm-patch` and nothing else.
//!
//! ```yaml
//! # approvers.yaml
//! approvers:
//!   ana@example.com:
//!     teams: ["@shop/payments"]      # as CODEOWNERS and ownership.yaml name them
//!     key: |
//!       -----BEGIN PUBLIC KEY-----
//!       MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
//!       -----END PUBLIC KEY-----
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use backtrail_model::time::UnixNano;
use serde::{Deserialize, Serialize};

use crate::candidate::Candidate;
use crate::error::Error;
use crate::evidence::{Envelope, PublicKey, Signer};

/// The gate that an approval opens, as rollout controllers call it.
pub const GATE: &str = "confirm-patch";
/// How long a signature counts.
pub const VALID: Duration = Duration::from_hours(24);
/// The type of payload that an approval is.
const PAYLOAD_TYPE: &str = "application/vnd.backtrail.approval+json";
/// Most bytes of `approvers.yaml`.
const MOST_BYTES: u64 = 1 << 20;

/// What an approver signs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// The gate.
    pub gate: String,
    /// The remediation.
    pub remediation: String,
    /// The candidate.
    pub candidate: String,
    /// SHA-256 of the diff, hex: another diff needs another approval.
    pub diff: String,
    /// Who, as `approvers.yaml` and CODEOWNERS name them.
    pub by: String,
    /// When.
    pub at_unix_nano: UnixNano,
    /// Until when it may be used.
    pub expires_unix_nano: UnixNano,
}

/// An approval in the journal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The candidate.
    pub candidate: String,
    /// SHA-256 of its diff, hex.
    pub diff: String,
    /// Who.
    pub by: String,
    /// What was signed, and the signature.
    pub signed: Envelope,
    /// The key that it is signed with, PEM.
    pub key: String,
}

/// Why an approval does not count.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Void {
    /// Not one.
    #[error("this is no approval: {0}")]
    Malformed(String),
    /// Nobody knows them.
    #[error("'{0}' is not among the approvers")]
    Unknown(String),
    /// Somebody else's key, or other content.
    #[error("the signature is not {by}'s: {what}")]
    Signature {
        /// Who it claims to be of.
        by: String,
        /// What is wrong.
        what: String,
    },
    /// For something else: replayed, or the diff changed since.
    #[error("it is for {what} '{found}' and not for '{wanted}'")]
    Foreign {
        /// What differs.
        what: &'static str,
        /// As signed.
        found: String,
        /// As it is.
        wanted: String,
    },
    /// Too late, or dated in the future.
    #[error("it counts from {from} to {until} and it is {now}")]
    Time {
        /// Begin.
        from: UnixNano,
        /// End.
        until: UnixNano,
        /// Now.
        now: UnixNano,
    },
    /// Not theirs to approve.
    #[error("{by} does not own it; {} do", owners.join(", "))]
    NotOwner {
        /// Who.
        by: String,
        /// Who owns it.
        owners: Vec<String>,
    },
    /// Nobody's to approve.
    #[error("nobody is known to own it: name a team in ownership.yaml or owners in CODEOWNERS")]
    NoOwner,
    /// Their own work.
    #[error("{0} wrote it, or what it takes back: another owner must approve")]
    Author(String),
}

/// Who may approve.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approvers {
    approvers: BTreeMap<String, Approver>,
}

#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Approver {
    key: String,
    #[serde(default)]
    teams: Vec<String>,
}

/// What is approved, and whose it is.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The remediation.
    pub remediation: &'a str,
    /// The candidate.
    pub candidate: &'a Candidate,
    /// People and teams that own what it changes.
    pub owners: &'a [String],
}

impl Approvers {
    /// Reads `approvers.yaml`.
    pub fn read(path: &Path) -> Result<Self, Error> {
        use std::io::Read as _;
        let wrong = |what: String| Error::Approvers { path: path.to_owned(), what };
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(|error| wrong(error.to_string()))?;
        file.take(MOST_BYTES).read_to_string(&mut text).map_err(|error| wrong(error.to_string()))?;
        let read: Self = serde_saphyr::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        for (name, approver) in &read.approvers {
            if PublicKey::from_pem(&approver.key).is_none() {
                return Err(wrong(format!("the key of {name} is no ed25519 public key in PEM")));
            }
        }
        Ok(read)
    }

    /// Checks a signed consent for exactly this subject, now.
    pub fn accept(&self, signed: &Envelope, subject: Subject<'_>, now: UnixNano) -> Result<Approval, Void> {
        let claimed = signed.peek(PAYLOAD_TYPE).map_err(Void::Malformed)?;
        let consent: Consent = serde_json::from_slice(&claimed).map_err(|error| Void::Malformed(error.to_string()))?;
        let by = consent.by.clone();
        let approver = self.approvers.get(&by).ok_or_else(|| Void::Unknown(by.clone()))?;
        let key = PublicKey::from_pem(&approver.key).ok_or_else(|| Void::Unknown(by.clone()))?;
        signed.open_as(PAYLOAD_TYPE, &key).map_err(|what| Void::Signature { by: by.clone(), what })?;
        let Candidate { id, diff, proposal, .. } = subject.candidate;
        for (what, found, wanted) in [
            ("gate", &*consent.gate, GATE),
            ("remediation", &*consent.remediation, subject.remediation),
            ("candidate", &*consent.candidate, id),
            ("diff", &*consent.diff, diff),
        ] {
            if found != wanted {
                return Err(Void::Foreign { what, found: found.into(), wanted: wanted.into() });
            }
        }
        let (from, until) = (consent.at_unix_nano, consent.expires_unix_nano);
        if now < from || now >= until || until > from.plus(VALID) {
            return Err(Void::Time { from, until, now });
        }
        if subject.owners.is_empty() {
            return Err(Void::NoOwner);
        }
        if !subject.owners.iter().any(|owner| *owner == by || approver.teams.contains(owner)) {
            return Err(Void::NotOwner { by, owners: subject.owners.to_vec() });
        }
        if proposal.authors.iter().any(|author| is_person(author, &by)) {
            return Err(Void::Author(by));
        }
        Ok(Approval {
            candidate: id.clone(),
            diff: diff.clone(),
            by,
            signed: signed.clone(),
            key: approver.key.clone(),
        })
    }
}

impl Consent {
    /// The consent of `by` to a candidate, from now on.
    pub fn new(remediation: &str, candidate: &Candidate, by: &str, now: UnixNano) -> Self {
        Self {
            gate: GATE.into(),
            remediation: remediation.into(),
            candidate: candidate.id.clone(),
            diff: candidate.diff.clone(),
            by: by.into(),
            at_unix_nano: now,
            expires_unix_nano: now.plus(VALID),
        }
    }

    /// Signs it.
    pub fn sign(&self, signer: &Signer) -> Envelope {
        let payload = serde_json::to_vec(self).unwrap_or_default();
        Envelope::sign_as(PAYLOAD_TYPE, &payload, signer)
    }
}

impl Approval {
    /// Whether the signature is the named key's and says what is noted: for who checks a bundle later.
    pub fn holds(&self, remediation: &str) -> Result<Consent, String> {
        let key = PublicKey::from_pem(&self.key).ok_or("the approver's key is none")?;
        let payload = self.signed.open_as(PAYLOAD_TYPE, &key)?;
        let consent: Consent = serde_json::from_slice(&payload).map_err(|error| error.to_string())?;
        let noted = (GATE, remediation, &*self.candidate, &*self.diff, &*self.by);
        let Consent { gate, remediation, candidate, diff, by, .. } = &consent;
        if (&**gate, &**remediation, &**candidate, &**diff, &**by) == noted {
            Ok(consent)
        } else {
            Err("the approval was signed for something else".into())
        }
    }
}

/// Whether `author` ("Name <mail>", or one of them) is `person`.
fn is_person(author: &str, person: &str) -> bool {
    let (name, mail) = author.split_once('<').map_or((author, ""), |(name, mail)| (name, mail.trim_end_matches('>')));
    [author, name.trim(), mail.trim()].iter().any(|one| !one.is_empty() && one.eq_ignore_ascii_case(person))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::state::tests::a_candidate;

    const NOW: UnixNano = UnixNano(1_000_000_000_000);

    fn approvers(teams: &str) -> Approvers {
        let key = |seed| Signer::from_seed([seed; 32]).public().to_pem().replace('\n', "\n      ");
        let text = format!(
            "approvers:\n  ana@x.org:\n    teams: {teams}\n    key: |\n      {}\n  bob@x.org:\n    key: |\n      {}\n",
            key(1),
            key(2)
        );
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("approvers.yaml");
        std::fs::write(&path, text).expect("writable");
        Approvers::read(&path).expect("valid")
    }

    fn judged(change: impl FnOnce(&mut Consent), seed: u8, now: UnixNano) -> Result<Approval, Void> {
        let candidate = a_candidate("revert-0");
        let mut consent = Consent::new("r", &candidate, "ana@x.org", NOW);
        change(&mut consent);
        let signed = consent.sign(&Signer::from_seed([seed; 32]));
        let owners = ["@shop/pay".to_owned(), "bob@x.org".to_owned()];
        let subject = Subject { remediation: "r", candidate: &candidate, owners: &owners };
        approvers("['@shop/pay']").accept(&signed, subject, now)
    }

    #[test]
    fn an_owner_s_signature_under_this_diff_counts_and_can_be_checked_later() {
        let approval = judged(|_| {}, 1, NOW).expect("counts");
        assert_eq!((approval.by.as_str(), approval.candidate.as_str()), ("ana@x.org", "revert-0"));
        approval.holds("r").expect("holds");
        assert!(approval.holds("another").is_err());
        let other = Approval { diff: "other".into(), ..approval };
        assert!(other.holds("r").is_err());
        assert!(judged(|consent| consent.by = "bob@x.org".into(), 2, NOW).is_ok(), "named as an owner");
    }

    type Check = Box<dyn Fn(&Void) -> bool>;
    type Change = fn(&mut Consent);

    #[test]
    fn every_other_signature_is_void_for_its_reason() {
        let foreign = |what| move |void: &Void| matches!(void, Void::Foreign { what: found, .. } if *found == what);
        let cases: [(Change, u8, UnixNano, Check); 9] = [
            (|_| {}, 2, NOW, Box::new(|void| matches!(void, Void::Signature { .. }))),
            (|consent| consent.remediation = "q".into(), 1, NOW, Box::new(foreign("remediation"))),
            (|consent| consent.diff = "q".into(), 1, NOW, Box::new(foreign("diff"))),
            (|consent| consent.gate = "confirm-promotion".into(), 1, NOW, Box::new(foreign("gate"))),
            (|consent| consent.by = "eve@x.org".into(), 1, NOW, Box::new(|void| matches!(void, Void::Unknown(_)))),
            (|_| {}, 1, NOW.plus(VALID), Box::new(|void| matches!(void, Void::Time { .. }))),
            (|_| {}, 1, UnixNano(1), Box::new(|void| matches!(void, Void::Time { .. }))),
            (
                |consent| consent.expires_unix_nano = UnixNano::MAX,
                1,
                NOW,
                Box::new(|void| matches!(void, Void::Time { .. })),
            ),
            (|consent| consent.candidate = "x".into(), 1, NOW, Box::new(foreign("candidate"))),
        ];
        for (n, (change, seed, now, is)) in cases.into_iter().enumerate() {
            let void = judged(change, seed, now).expect_err("void");
            assert!(is(&void), "case {n}: {void}");
        }
    }

    #[test]
    fn only_an_owner_who_is_not_the_author_may() {
        let mut candidate = a_candidate("revert-0");
        let signed = Consent::new("r", &candidate, "ana@x.org", NOW).sign(&Signer::from_seed([1; 32]));
        let known = approvers("['@shop/pay']");
        let accept = |candidate: &Candidate, owners: &[String]| {
            known.accept(&signed, Subject { remediation: "r", candidate, owners }, NOW)
        };
        let pay = ["@shop/pay".to_owned()];
        assert!(accept(&candidate, &pay).is_ok());
        assert_eq!(accept(&candidate, &[]), Err(Void::NoOwner));
        assert!(matches!(accept(&candidate, &["@shop/cart".into()]), Err(Void::NotOwner { .. })));
        candidate.proposal.authors = vec!["Ana Q <ANA@x.org>".into()];
        assert_eq!(accept(&candidate, &pay), Err(Void::Author("ana@x.org".into())));
    }
}
