//! The state machine of a remediation: what can happen, and what follows from it. The state is the fold of the journal
//! and nothing else.

use serde::{Deserialize, Serialize};

use crate::triage::{Mapping, Missing};

/// Where a remediation stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Taken in.
    Received,
    /// Mapped to its code.
    Triaged,
    /// Ended: nothing safe can be done, and the reason is stated.
    NoSafePatch,
    /// Ended: the request is too old to act on.
    Expired,
    /// Ended: a newer revision of the incident took its place.
    Superseded,
    /// Ended: the incident is over.
    Resolved,
    /// Ended by the operator.
    Cancelled,
}

impl State {
    /// All of them, in the order of a life.
    pub const ALL: [Self; 7] = [
        Self::Received,
        Self::Triaged,
        Self::NoSafePatch,
        Self::Expired,
        Self::Superseded,
        Self::Resolved,
        Self::Cancelled,
    ];

    /// Whether nothing follows.
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Received | Self::Triaged)
    }

    /// The name in documents and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Triaged => "triaged",
            Self::NoSafePatch => "no_safe_patch",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
            Self::Resolved => "resolved",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The request that a remediation is about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Id of its event.
    pub event_id: String,
    /// SHA-256 of the event's bytes, hex.
    pub digest: String,
    /// The incident.
    pub incident: String,
    /// The suspect service.
    pub service: String,
    /// The revision of the incident.
    pub revision: u64,
}

/// Something that happened: the content of a journal entry.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// A request began a remediation.
    Received {
        /// The request.
        request: Request,
    },
    /// A newer revision came before any work was done: it takes the place of the request.
    Merged {
        /// The newer request.
        request: Request,
    },
    /// The suspect is mapped to its code.
    Triaged {
        /// Where.
        mapping: Mapping,
    },
    /// Nothing safe can be done.
    NoSafePatch {
        /// What is missing.
        missing: Vec<Missing>,
    },
    /// The request is too old.
    Expired {
        /// Seconds since the end of the incident's window.
        age_seconds: u64,
        /// Seconds that are allowed.
        limit_seconds: u64,
    },
    /// A newer revision came.
    Superseded {
        /// Its event.
        by: String,
        /// Its revision.
        revision: u64,
    },
    /// The incident is over.
    Resolved {
        /// The revision that says so.
        revision: u64,
    },
    /// The operator ended it.
    Cancelled {
        /// Why, in the operator's words; may be empty.
        why: String,
    },
    /// An effect on the world is about to happen.
    Intended {
        /// Which.
        effect: Effect,
    },
    /// It has happened.
    Happened {
        /// Which.
        effect: Effect,
        /// Whether it was found done after a restart, not done now.
        observed: bool,
    },
}

/// A change of the world outside the database.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Effect {
    /// The evidence is written as a file.
    Seal {
        /// Its name below the folder of bundles.
        file: String,
        /// SHA-256 of its bytes, hex.
        digest: String,
    },
}

/// A remediation as its journal tells it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Remediation {
    /// Where it stands.
    pub state: State,
    /// The request in force.
    pub request: Request,
    /// Where the code is; after triage.
    pub mapping: Option<Mapping>,
    /// Why it ended, in words; when it has.
    pub reason: Option<String>,
    /// An effect that was intended and whose outcome is not known.
    pub open: Option<Effect>,
    /// The evidence, once it is written.
    pub sealed: Option<Effect>,
}

/// A step that cannot follow.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("'{step}' cannot follow on {state}")]
pub struct Illegal {
    step: &'static str,
    state: String,
}

impl Remediation {
    /// What `before` becomes by `step`.
    pub fn after(before: Option<Self>, step: &Step) -> Result<Self, Illegal> {
        let illegal = |before: &Option<Self>| Illegal {
            step: step.name(),
            state: before.as_ref().map_or("nothing".into(), |before| before.state.name().into()),
        };
        let Some(mut now) = before else {
            let Step::Received { request } = step else { return Err(illegal(&None)) };
            return Ok(Self::begun(request.clone()));
        };
        let may = match step {
            Step::Received { .. } => false,
            Step::Merged { request } => now.state == State::Received && request.incident == now.request.incident,
            Step::Triaged { .. } | Step::NoSafePatch { .. } => now.state == State::Received,
            Step::Expired { .. } | Step::Superseded { .. } | Step::Resolved { .. } | Step::Cancelled { .. } => {
                !now.state.is_terminal()
            }
            // Intended once more: a restart found that the effect had not happened, and does it with what is true now.
            Step::Intended { .. } => now.state.is_terminal() && now.sealed.is_none(),
            Step::Happened { effect, .. } => now.open.as_ref() == Some(effect),
        };
        if !may {
            return Err(illegal(&Some(now)));
        }
        match step {
            Step::Merged { request } => now.request = request.clone(),
            Step::Triaged { mapping } => now.mapping = Some(mapping.clone()),
            Step::Intended { effect } => now.open = Some(effect.clone()),
            Step::Happened { effect, .. } => (now.open, now.sealed) = (None, Some(effect.clone())),
            _ => {}
        }
        now.state = step.leads_to().unwrap_or(now.state);
        now.reason = step.reason().or(now.reason);
        Ok(now)
    }

    fn begun(request: Request) -> Self {
        Self { state: State::Received, request, mapping: None, reason: None, open: None, sealed: None }
    }
}

impl Step {
    /// The name in the journal.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Received { .. } => "received",
            Self::Merged { .. } => "merged",
            Self::Triaged { .. } => "triaged",
            Self::NoSafePatch { .. } => "no_safe_patch",
            Self::Expired { .. } => "expired",
            Self::Superseded { .. } => "superseded",
            Self::Resolved { .. } => "resolved",
            Self::Cancelled { .. } => "cancelled",
            Self::Intended { .. } => "intended",
            Self::Happened { .. } => "happened",
        }
    }

    const fn leads_to(&self) -> Option<State> {
        match self {
            Self::Received { .. } => Some(State::Received),
            Self::Triaged { .. } => Some(State::Triaged),
            Self::NoSafePatch { .. } => Some(State::NoSafePatch),
            Self::Expired { .. } => Some(State::Expired),
            Self::Superseded { .. } => Some(State::Superseded),
            Self::Resolved { .. } => Some(State::Resolved),
            Self::Cancelled { .. } => Some(State::Cancelled),
            Self::Merged { .. } | Self::Intended { .. } | Self::Happened { .. } => None,
        }
    }

    fn reason(&self) -> Option<String> {
        Some(match self {
            Self::NoSafePatch { missing } => missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            Self::Expired { age_seconds, limit_seconds } => {
                format!("the incident's window ended {age_seconds} s ago, {limit_seconds} s are allowed")
            }
            Self::Superseded { by, revision } => format!("revision {revision} of the incident came (event {by})"),
            Self::Resolved { revision } => format!("the incident is over since its revision {revision}"),
            Self::Cancelled { why } if why.is_empty() => "the operator aborted it".into(),
            Self::Cancelled { why } => format!("the operator aborted it: {why}"),
            _ => return None,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn a_request(event: &str, revision: u64) -> Request {
        let (event_id, digest) = (event.into(), "d".into());
        Request { event_id, digest, incident: "i".into(), service: "pay".into(), revision }
    }

    pub(crate) fn mapping() -> Mapping {
        Mapping {
            repository: "git@example.org:shop.git".into(),
            commit: "0123abc".into(),
            team: "payments".into(),
            path_prefix: String::new(),
            default_branch: "main".into(),
            files: vec!["src/bank.py".into()],
            functions: Vec::new(),
        }
    }

    fn seal(digest: &str) -> Effect {
        Effect::Seal { file: "r.json".into(), digest: digest.into() }
    }

    /// A life from its beginning to its sealed end.
    pub(crate) fn a_life() -> Vec<Step> {
        vec![
            Step::Received { request: a_request("e3", 3) },
            Step::Merged { request: a_request("e4", 4) },
            Step::Triaged { mapping: mapping() },
            Step::Cancelled { why: "no".into() },
            Step::Intended { effect: seal("a") },
            Step::Happened { effect: seal("a"), observed: false },
        ]
    }

    fn fold<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Result<Option<Remediation>, Illegal> {
        steps.into_iter().try_fold(None, |state, step| Remediation::after(state, step).map(Some))
    }

    #[test]
    fn a_life_folds_to_its_end() {
        let end = fold(&a_life()).expect("legal").expect("something");
        assert_eq!((end.state, end.request.revision), (State::Cancelled, 4));
        assert_eq!((end.open, end.sealed), (None, Some(seal("a"))));
        assert_eq!(end.reason.as_deref(), Some("the operator aborted it: no"));
    }

    #[test]
    fn an_effect_has_an_intent_and_happens_once() {
        let ended = &a_life()[..4];
        let then = |more: &[Step]| fold(ended.iter().chain(more));
        let happened = |digest| Step::Happened { effect: seal(digest), observed: true };
        let intended = |digest| Step::Intended { effect: seal(digest) };
        assert!(then(&[happened("a")]).is_err(), "no effect without an intent");
        assert!(then(&[intended("a"), happened("b")]).is_err(), "another one than intended");
        assert!(then(&[intended("a"), happened("a"), intended("a")]).is_err(), "not twice");
        assert!(then(&[intended("a"), intended("b"), happened("b")]).is_ok(), "intended anew");
        assert!(fold(&[a_life()[0].clone(), intended("a")]).is_err(), "not before the end");
    }

    fn any_step() -> impl Strategy<Value = Step> {
        let request = |event: &str| a_request(event, 5);
        prop_oneof![
            Just(Step::Received { request: request("a") }),
            Just(Step::Merged { request: request("b") }),
            Just(Step::Triaged { mapping: mapping() }),
            Just(Step::NoSafePatch { missing: vec![Missing::Place] }),
            Just(Step::Expired { age_seconds: 2, limit_seconds: 1 }),
            Just(Step::Superseded { by: "c".into(), revision: 6 }),
            Just(Step::Resolved { revision: 6 }),
            Just(Step::Cancelled { why: String::new() }),
            Just(Step::Intended { effect: seal("a") }),
            Just(Step::Happened { effect: seal("a"), observed: false }),
        ]
    }

    proptest! {
        /// Whatever is tried: once ended, the state never changes again, an end has a reason, and an effect happens at
        /// most once and only after its intent.
        #[test]
        fn no_sequence_breaks_the_rules(steps in proptest::collection::vec(any_step(), 1..40)) {
            let mut now: Option<Remediation> = None;
            let (mut intents, mut effects) = (0, 0);
            for step in &steps {
                let Ok(next) = Remediation::after(now.clone(), step) else { continue };
                if let Some(before) = now.filter(|before| before.state.is_terminal()) {
                    prop_assert_eq!(before.state, next.state);
                }
                prop_assert_eq!(next.state.is_terminal(), next.reason.is_some());
                intents += usize::from(matches!(step, Step::Intended { .. }));
                effects += usize::from(matches!(step, Step::Happened { .. }));
                prop_assert!(effects <= 1 && effects <= intents);
                now = Some(next);
            }
        }
    }
}
