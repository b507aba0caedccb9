//! The state machine of a remediation: what can happen, and what follows from it. The state is the fold of the journal
//! and nothing else.

use serde::{Deserialize, Serialize};

use crate::candidate::{Candidate, Stage};
use crate::step::{Effect, Request, Step};
use crate::triage::Mapping;

/// Where a remediation stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Taken in.
    Received,
    /// Mapped to its code.
    Triaged,
    /// The code at the deployed commit was read.
    ContextReady,
    /// There are candidates, and some are not tried yet.
    Planned,
    /// At least one candidate is proved, none is left to be tried; it waits for an approval.
    Verified,
    /// Ended: a patch is proved, approved and signed. It waits for its rollout.
    Attested,
    /// Ended: nothing safe can be done, and the reason is stated.
    NoSafePatch,
    /// Ended: there were candidates, and none passed policy and tests.
    Refused,
    /// Ended: who may approve said no.
    Rejected,
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
    pub const ALL: [Self; 13] = [
        Self::Received,
        Self::Triaged,
        Self::ContextReady,
        Self::Planned,
        Self::Verified,
        Self::Attested,
        Self::NoSafePatch,
        Self::Refused,
        Self::Rejected,
        Self::Expired,
        Self::Superseded,
        Self::Resolved,
        Self::Cancelled,
    ];

    /// Whether nothing follows.
    pub const fn is_terminal(self) -> bool {
        !matches!(self, Self::Received | Self::Triaged | Self::ContextReady | Self::Planned | Self::Verified)
    }

    /// The name in documents and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Triaged => "triaged",
            Self::ContextReady => "context_ready",
            Self::Planned => "planned",
            Self::Verified => "verified",
            Self::Attested => "attested",
            Self::NoSafePatch => "no_safe_patch",
            Self::Refused => "refused",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
            Self::Resolved => "resolved",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A candidate and what became of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Tried {
    /// The candidate.
    pub candidate: Candidate,
    /// How far it came.
    #[serde(flatten)]
    pub stage: Stage,
}

impl Tried {
    /// Whether it is proved.
    pub const fn is_verified(&self) -> bool {
        matches!(self.stage, Stage::Verified { .. })
    }

    /// Whether nothing is left to be tried about it.
    pub const fn is_decided(&self) -> bool {
        matches!(self.stage, Stage::Verified { .. } | Stage::Refused { .. })
    }
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
    /// The whole hash of the deployed commit; once the code was read.
    pub commit: Option<String>,
    /// The candidates, in the order in which they are tried; once there is a plan.
    pub candidates: Vec<Tried>,
    /// The candidate that was approved.
    pub approved: Option<String>,
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
        if !now.may(step) {
            return Err(illegal(&Some(now)));
        }
        now.take(step);
        now.state = step.leads_to().unwrap_or(now.state);
        if now.state == State::Planned && now.candidates.iter().all(Tried::is_decided) {
            let verified = now.candidates.iter().any(Tried::is_verified);
            now.state = if verified { State::Verified } else { State::Refused };
            now.reason = (!verified).then(|| now.refusals());
        }
        now.reason = step.reason().or(now.reason);
        Ok(now)
    }

    /// A candidate by its name.
    pub fn candidate(&self, id: &str) -> Option<&Tried> {
        self.candidates.iter().find(|tried| tried.candidate.id == id)
    }

    /// The first one that is proved: the least risk, since they are tried in that order.
    pub fn proposed(&self) -> Option<&Tried> {
        self.candidates.iter().find(|tried| tried.is_verified())
    }

    /// The next one to be tried.
    pub fn next(&self) -> Option<&Tried> {
        self.candidates.iter().find(|tried| !tried.is_decided())
    }

    fn may(&self, step: &Step) -> bool {
        let stage = |id: &str| self.candidate(id).map(|tried| &tried.stage);
        let planned = self.state == State::Planned;
        match step {
            Step::Received { .. } => false,
            Step::Merged { request } => self.state == State::Received && request.incident == self.request.incident,
            Step::Triaged { .. } => self.state == State::Received,
            Step::ContextReady { .. } => self.state == State::Triaged,
            Step::Planned { candidates, .. } => {
                let distinct = |(n, one): (usize, &Candidate)| candidates[..n].iter().all(|other| other.id != one.id);
                self.state == State::ContextReady
                    && !candidates.is_empty()
                    && candidates.iter().enumerate().all(distinct)
            }
            Step::NoSafePatch { .. } => {
                matches!(self.state, State::Received | State::Triaged | State::ContextReady)
            }
            Step::PolicyPassed { candidate, .. } => planned && matches!(stage(candidate), Some(Stage::Planned)),
            Step::Applied { candidate, .. } => planned && matches!(stage(candidate), Some(Stage::PolicyPassed)),
            Step::Verified { candidate, proof } => {
                planned && matches!(stage(candidate), Some(Stage::Applied { tree }) if *tree == proof.tree)
            }
            Step::CandidateRefused { candidate, why, .. } => {
                planned && !why.is_empty() && self.candidate(candidate).is_some_and(|tried| !tried.is_decided())
            }
            Step::Approved { approval } => {
                let tried = self.candidate(&approval.candidate);
                self.state == State::Verified
                    && tried.is_some_and(|tried| tried.is_verified() && tried.candidate.diff == approval.diff)
            }
            Step::Rejected { .. } => self.state == State::Verified,
            Step::Expired { .. } | Step::Superseded { .. } | Step::Resolved { .. } | Step::Cancelled { .. } => {
                !self.state.is_terminal()
            }
            // Intended once more: a restart found that the effect had not happened, and does it with what is true now.
            Step::Intended { .. } => self.state.is_terminal() && self.sealed.is_none(),
            Step::Happened { effect, .. } => self.open.as_ref() == Some(effect),
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Merged { request } => self.request = request.clone(),
            Step::Triaged { mapping } => self.mapping = Some(mapping.clone()),
            Step::ContextReady { context } => self.commit = Some(context.commit.clone()),
            Step::Planned { candidates, .. } => {
                let planned = |candidate: &Candidate| Tried { candidate: candidate.clone(), stage: Stage::Planned };
                self.candidates = candidates.iter().map(planned).collect();
            }
            Step::PolicyPassed { candidate, .. } => self.stage(candidate, Stage::PolicyPassed),
            Step::Applied { candidate, tree } => self.stage(candidate, Stage::Applied { tree: tree.clone() }),
            Step::Verified { candidate, proof } => self.stage(candidate, Stage::Verified { proof: proof.clone() }),
            Step::CandidateRefused { candidate, by, why } => {
                self.stage(candidate, Stage::Refused { by: by.clone(), why: why.clone() });
            }
            Step::Approved { approval } => self.approved = Some(approval.candidate.clone()),
            Step::Intended { effect } => self.open = Some(effect.clone()),
            Step::Happened { effect, .. } => (self.open, self.sealed) = (None, Some(effect.clone())),
            _ => {}
        }
    }

    fn stage(&mut self, candidate: &str, stage: Stage) {
        if let Some(tried) = self.candidates.iter_mut().find(|tried| tried.candidate.id == candidate) {
            tried.stage = stage;
        }
    }

    /// Why none of the candidates is left, in words.
    fn refusals(&self) -> String {
        let of = |tried: &Tried| match &tried.stage {
            Stage::Refused { by, why } => Some(format!("{} by {by}: {}", tried.candidate.id, why.join("; "))),
            _ => None,
        };
        let refused: Vec<String> = self.candidates.iter().filter_map(of).collect();
        format!("every candidate was refused: {}", refused.join(". "))
    }

    fn begun(request: Request) -> Self {
        Self {
            state: State::Received,
            request,
            mapping: None,
            commit: None,
            candidates: Vec::new(),
            approved: None,
            reason: None,
            open: None,
            sealed: None,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::approval::Approval;
    use crate::candidate::{Counts, Kind, Mechanism, Origin, Proof, Proposal};
    use crate::evidence::Envelope;
    use crate::impact::Impact;
    use crate::step::Read;
    use crate::triage::Missing;
    use crate::workshop::Coverage;

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

    pub(crate) fn a_candidate(id: &str) -> Candidate {
        let proposal = Proposal {
            recipe: "revert".into(),
            tier: 0,
            kind: Kind::Revert,
            origin: Origin::Recipe,
            title: "Revert it".into(),
            why: Vec::new(),
            computation: Vec::new(),
            mechanism: Mechanism { metric: "error_rate".into(), now: "0.4".into(), claim: "below 0.01".into() },
            risk: "low".into(),
            undo: "revert the revert".into(),
            authors: Vec::new(),
            flag: String::new(),
            tests: Vec::new(),
        };
        Candidate {
            id: id.into(),
            proposal,
            files: vec!["a.py".into()],
            lines: 2,
            diff: format!("diff of {id}"),
            impact: Impact::default(),
        }
    }

    fn proof() -> Box<Proof> {
        let text = String::new;
        let (before, after) = (Counts::default(), Counts::default());
        Box::new(Proof {
            tree: "t".into(),
            before,
            after,
            added: Vec::new(),
            repeats: 5,
            isolated: Vec::new(),
            not_isolated: Vec::new(),
            report: text(),
            policy: text(),
            policy_input: text(),
            coverage: Coverage::default(),
        })
    }

    fn context() -> Read {
        let none = Vec::new;
        let (suspects, callers, endpoints, tests, skipped) = (none(), none(), none(), none(), none());
        Read { commit: "0123abc".into(), suspects, callers, endpoints, tests, files: 1, skipped }
    }

    fn planned(ids: &[&str]) -> Step {
        Step::Planned { candidates: ids.iter().map(|id| a_candidate(id)).collect(), left_out: Vec::new() }
    }

    fn passed(id: &str) -> Step {
        Step::PolicyPassed { candidate: id.into(), policy: "p".into(), input: "i".into() }
    }

    fn applied(id: &str) -> Step {
        Step::Applied { candidate: id.into(), tree: "t".into() }
    }

    fn verified(id: &str) -> Step {
        Step::Verified { candidate: id.into(), proof: proof() }
    }

    fn refused(id: &str) -> Step {
        Step::CandidateRefused { candidate: id.into(), by: "tests".into(), why: vec!["it fails".into()] }
    }

    fn approved(id: &str, diff: &str) -> Step {
        let signed = Envelope { payload_type: String::new(), payload: String::new(), signatures: Vec::new() };
        let (candidate, diff) = (id.into(), diff.into());
        Step::Approved { approval: Approval { candidate, diff, by: "ana".into(), signed, key: String::new() } }
    }

    /// A life up to its plan of two candidates.
    fn with_a_plan() -> Vec<Step> {
        let received = Step::Received { request: a_request("e3", 3) };
        let triaged = Step::Triaged { mapping: mapping() };
        vec![received, triaged, Step::ContextReady { context: context() }, planned(&["a-0", "b-0"])]
    }

    fn folded(more: &[Step]) -> Result<Remediation, Illegal> {
        fold(with_a_plan().iter().chain(more)).map(|end| end.expect("something"))
    }

    #[test]
    fn candidates_are_tried_in_order_and_the_first_that_is_proved_is_proposed() {
        let begun = folded(&[]).expect("legal");
        assert_eq!(begun.next().map(|tried| &*tried.candidate.id), Some("a-0"));
        let steps = [refused("a-0"), passed("b-0"), applied("b-0"), verified("b-0")];
        assert_eq!(folded(&steps[..3]).expect("legal").state, State::Planned);
        let end = folded(&steps).expect("legal");
        assert_eq!((end.state, end.proposed().map(|tried| &*tried.candidate.id)), (State::Verified, Some("b-0")));
        let attested = folded(&[&steps[..], &[approved("b-0", "diff of b-0")]].concat()).expect("legal");
        assert_eq!((attested.state, attested.approved.as_deref()), (State::Attested, Some("b-0")));
        let all = folded(&[refused("a-0"), refused("b-0")]).expect("legal");
        assert_eq!(all.state, State::Refused);
        assert!(all.reason.expect("stated").contains("b-0 by tests: it fails"));
    }

    #[test]
    fn no_stage_is_left_out_and_no_approval_counts_for_another_diff() {
        let steps = [passed("a-0"), applied("a-0"), verified("a-0"), refused("b-0")];
        assert!(folded(&[verified("a-0")]).is_err(), "not applied");
        assert!(folded(&[applied("a-0")]).is_err(), "no policy");
        assert!(folded(&[passed("c-0")]).is_err(), "no such candidate");
        assert!(folded(&[passed("a-0"), passed("a-0")]).is_err(), "not twice");
        let then = |step| folded(&[&steps[..], &[step]].concat());
        assert!(then(approved("b-0", "diff of b-0")).is_err(), "refused");
        assert!(then(approved("a-0", "another")).is_err(), "another diff");
        assert!(folded(&[&steps[..3], &[approved("a-0", "diff of a-0")]].concat()).is_err(), "b is still open");
        let rejected = then(Step::Rejected { by: "ana".into(), why: "no".into() }).expect("legal");
        assert_eq!(rejected.reason.as_deref(), Some("ana rejected it: no"));
        assert!(
            fold(&with_a_plan()[..3])
                .is_ok_and(|_| fold([&with_a_plan()[..3], &[planned(&["a", "a"])]].concat().iter()).is_err())
        );
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
            Just(Step::ContextReady { context: context() }),
            Just(planned(&["a-0", "b-0"])),
            "[ab]-0".prop_map(|id| passed(&id)),
            "[ab]-0".prop_map(|id| applied(&id)),
            "[ab]-0".prop_map(|id| verified(&id)),
            "[ab]-0".prop_map(|id| refused(&id)),
            "[ab]-0".prop_map(|id| approved(&id, &format!("diff of {id}"))),
            Just(Step::Rejected { by: "ana".into(), why: String::new() }),
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
