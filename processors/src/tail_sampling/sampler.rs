//! One shard of `tail_sampling`.

use std::any::Any;
use std::sync::Arc;

use backtrail_model::data::{Batch, Data};
use backtrail_model::trace::{TraceBatch, TraceFlags, TraceHead};
use backtrail_pipeline::{Context, Emit, NodeError, Processor, Reconfigured};

use super::config::{Config, PolicyType};
use super::matching::{Judged, Matcher};
use crate::remembered::Remembered;
use crate::trace_copy::{Copier, with_room};

/// One shard.
pub(super) struct Sampler {
    cx: Context,
    policies: Policies,
    /// Why a trace was kept.
    kept: Remembered<Arc<str>>,
    not_kept: Remembered<()>,
    /// What becomes of each trace of the batch at hand: the reason if it is kept.
    verdicts: Vec<Option<Arc<str>>>,
    /// Spans of the batch at hand that are not kept, by reason.
    dropped: Vec<(&'static str, u64)>,
}

/// The compiled policies. `drop` policies stand apart, because they beat all others.
struct Policies {
    drop: Vec<Matcher>,
    keep: Vec<Keep>,
}

struct Keep {
    name: Arc<str>,
    matcher: Matcher,
    /// Whether it looks at copies that were released for an incident.
    evidence: bool,
}

/// What the policies say.
enum Verdict {
    Keep(Arc<str>),
    Drop,
    NotWanted,
}

impl Sampler {
    pub(super) fn new(config: &Config, cx: &Context) -> Result<Self, NodeError> {
        Ok(Self {
            cx: cx.clone(),
            policies: Policies::new(config, cx)?,
            kept: Remembered::new(config.decision_cache.sampled_cache_size),
            not_kept: Remembered::new(config.decision_cache.non_sampled_cache_size),
            verdicts: Vec::new(),
            dropped: Vec::new(),
        })
    }

    /// Decides one trace: the reason if it is kept. What is not kept is counted.
    fn decide(&mut self, batch: &TraceBatch, head: &TraceHead) -> Option<Arc<str>> {
        if head.flags.has(TraceFlags::EVIDENCE) {
            if self.kept.get(head.trace_id).is_some() {
                self.drop_trace("already_kept", head);
                return None;
            }
        } else if head.flags.has(TraceFlags::LATE) {
            if let Some(reason) = self.kept.get(head.trace_id) {
                return Some(reason);
            }
            if self.not_kept.get(head.trace_id).is_some() {
                self.drop_trace("not_sampled", head);
                return None;
            }
        }
        let reason = match self.policies.judge(Judged { batch, head }) {
            Verdict::Keep(reason) => {
                self.not_kept.forget(head.trace_id);
                self.kept.insert(head.trace_id, Arc::clone(&reason));
                return Some(reason);
            }
            Verdict::Drop => "dropped_by_policy",
            Verdict::NotWanted => "not_sampled",
        };
        self.drop_trace(reason, head);
        self.not_kept.insert(head.trace_id, ());
        None
    }

    fn drop_trace(&mut self, reason: &'static str, head: &TraceHead) {
        let spans = u64::from(head.len);
        match self.dropped.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += spans,
            None => self.dropped.push((reason, spans)),
        }
    }

    /// The batch with the kept traces only, each with its reason.
    fn keep(&self, traces: Arc<TraceBatch>) -> Arc<TraceBatch> {
        if self.verdicts.iter().all(Option::is_some) {
            // Copies nothing if nobody else holds the batch.
            let mut traces = traces;
            for (head, reason) in Arc::make_mut(&mut traces).traces.iter_mut().zip(&self.verdicts) {
                if let Some(reason) = reason {
                    head.reason.clone_from(reason);
                }
            }
            return traces;
        }
        let kept =
            || traces.traces.iter().zip(&self.verdicts).filter_map(|(head, verdict)| Some((head, verdict.as_ref()?)));
        let mut copy = with_room(&traces, kept().map(|(head, _)| head));
        let mut copier = Copier::new(&traces);
        for (head, reason) in kept() {
            copier.copy(head, &mut copy, |copy| copy.reason = Arc::clone(reason));
        }
        Arc::new(copy)
    }
}

impl Processor for Sampler {
    fn process(&mut self, batch: Batch, out: &mut Emit<'_>) -> Result<(), NodeError> {
        let Data::Traces(traces) = batch.data else {
            out.pass(batch);
            return Ok(());
        };
        self.verdicts.clear();
        for head in &traces.traces {
            let verdict = self.decide(&traces, head);
            self.verdicts.push(verdict);
        }
        for (reason, spans) in self.dropped.drain(..) {
            out.drop_items(reason, spans);
        }
        if self.verdicts.iter().any(Option::is_some) {
            let data = Data::Traces(self.keep(traces));
            out.pass(Batch { data, arrival: batch.arrival, ack: batch.ack });
        } else {
            batch.ack.filtered();
        }
        Ok(())
    }

    fn reconfigure(&mut self, new: &dyn Any) -> Reconfigured {
        let Some(new) = new.downcast_ref::<Config>() else { return Reconfigured::Rebuild };
        let shared = self.cx.shared();
        let wanted = || (shared.attributes(), shared.attributes_of_traces());
        let known = wanted();
        // A key that no column is filled for needs the receivers to be built anew.
        match Policies::new(new, &self.cx) {
            Ok(policies) if wanted() == known => {
                self.policies = policies;
                self.kept.resize(new.decision_cache.sampled_cache_size);
                self.not_kept.resize(new.decision_cache.non_sampled_cache_size);
                Reconfigured::Live
            }
            _ => Reconfigured::Rebuild,
        }
    }
}

impl Policies {
    fn new(config: &Config, cx: &Context) -> Result<Self, NodeError> {
        let mut policies = Self { drop: Vec::new(), keep: Vec::new() };
        for policy in &config.policies {
            let matcher = Matcher::new(policy, cx)?;
            if policy.kind == PolicyType::Drop {
                policies.drop.push(matcher);
            } else {
                let evidence = policy.looks_at_evidence();
                policies.keep.push(Keep { name: policy.name.as_str().into(), matcher, evidence });
            }
        }
        Ok(policies)
    }

    fn judge(&self, trace: Judged<'_>) -> Verdict {
        if self.drop.iter().any(|policy| policy.matches(trace)) {
            return Verdict::Drop;
        }
        let evidence = trace.head.flags.has(TraceFlags::EVIDENCE);
        let wants = |policy: &&Keep| (!evidence || policy.evidence) && policy.matcher.matches(trace);
        self.keep.iter().find(wants).map_or(Verdict::NotWanted, |policy| Verdict::Keep(Arc::clone(&policy.name)))
    }
}
