//! When a verdict is sure enough to ask for a patch.

use std::collections::{BTreeMap, BTreeSet};

use backtrail_localize::Judgement;
use backtrail_localize::document::{self, PatchContext};
use backtrail_model::incident::Status;
use backtrail_model::patch_request::{Budget, PatchRequest};
use backtrail_model::verdict::{Entity, Verdict};

use super::config::{Confidence, Requests};
use super::inputs::Inputs;
use super::ownership;

/// Decides which verdicts become requests: at most one for each incident and suspect.
pub(super) struct Desk {
    config: Requests,
    /// Requests that were due and have nobody to go to.
    unowned: u64,
    cases: BTreeMap<String, Case>,
}

/// What is known about one incident.
#[derive(Default)]
struct Case {
    /// The suspect that the last revision was highly sure of.
    sure_of: Option<Entity>,
    asked: BTreeSet<Entity>,
}

impl Desk {
    pub(super) fn new(config: Requests) -> Self {
        Self { config, unowned: 0, cases: BTreeMap::new() }
    }

    /// Takes changed settings; what was asked for stays asked for.
    pub(super) fn reconfigure(&mut self, config: Requests) {
        self.config = config;
    }

    /// Requests that were not made because nobody owns the suspect.
    pub(super) fn take_unowned(&mut self) -> u64 {
        std::mem::take(&mut self.unowned)
    }

    /// The request that follows from a verdict, if one does: at the end of the incident (`over`) when it is sure enough,
    /// before that when this and the revision before it are highly sure of the same suspect. Where it is known who owns what
    /// and nobody owns the suspect, there is nobody to ask.
    pub(super) fn consider(
        &mut self,
        verdict: &Verdict,
        judgement: &Judgement,
        over: bool,
        inputs: &Inputs,
    ) -> Option<PatchRequest> {
        if !self.config.enabled {
            return None;
        }
        let case = self.cases.entry(verdict.incident_key.clone()).or_default();
        let level = Confidence::of(&verdict.confidence.level);
        let (Some(level), Some(suspect)) = (level, verdict.of_kind("service").next()) else {
            case.sure_of = None;
            return None;
        };
        let high = level == Confidence::High;
        let stable = high && case.sure_of.as_ref() == Some(&suspect.entity);
        case.sure_of = high.then(|| suspect.entity.clone());
        let due = stable || (over && level >= self.config.min_confidence);
        if !due || !case.asked.insert(suspect.entity.clone()) {
            return None;
        }
        let ownership = inputs.ownership.as_deref();
        if ownership.is_some_and(|known| known.is_unowned(&suspect.entity.service)) {
            self.unowned += 1;
            return None;
        }
        let mut request = self.request(verdict, judgement)?;
        request.telemetry_summary.load = inputs.loads(&suspect.entity.service);
        request.telemetry_summary.log_motifs = inputs.log_motifs(&suspect.entity.service);
        if let Some(known) = ownership {
            ownership::confine(&mut request, known, &inputs.changes);
        }
        Some(request)
    }

    fn request(&self, verdict: &Verdict, judgement: &Judgement) -> Option<PatchRequest> {
        let Requests { max_lines, max_files, max_time, .. } = self.config;
        let max_seconds = u32::try_from(max_time.0.as_secs()).unwrap_or(u32::MAX);
        let budget = Budget { max_lines, max_files, max_seconds };
        let flag_prefix = self.config.flag_prefix.clone();
        let context = PatchContext { budget, flag_prefix, ..PatchContext::new(judgement) };
        // The symptom is over, the cause is not: whether to ask was decided above, by confidence.
        let pending = Verdict { status: Status::Updated, ..verdict.clone() };
        document::patch_request(&pending, &context)
    }

    /// The incident is over.
    pub(super) fn close(&mut self, incident_key: &str) {
        self.cases.remove(incident_key);
    }
}
