//! The traces that wait, and when each is decided.

use std::any::Any;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use backtrail_model::data::{Batch, Data};
use backtrail_model::ids::TraceId;
use backtrail_model::log::{LogBatch, LogRecord};
use backtrail_model::span::SpanBatch;
use backtrail_model::time::{Slice, Tick, UnixNano};
use backtrail_model::trace::TraceFlags;
use backtrail_pipeline::{Context, Emit, NodeError, Processor, Reconfigured};
use foldhash::fast::RandomState;
use hashbrown::HashMap;

use super::arena::Place;
use super::building::Building;
use super::config::{Config, Member};
use super::evidence::{self, Evidence};
use super::logs::{self, WaitingLogs};
use super::pending::Pending;
use super::store::Store;
use crate::remembered::Remembered;

/// Most bytes of one trace, so that its offsets fit in 32 bits whatever its spans weigh.
const MAX_TRACE_BYTES: u64 = 256 << 20;
/// Emptied lists that are kept, and the places that a kept one has room for at most.
const SPARE: usize = 256;
/// Waiting log records may take this part of `max_bytes` besides: 1/4.
const LOGS_PART: u64 = 4;
/// Spans that are stored before they are given to their traces: one is a stream of bytes, the other jumps from trace to
/// trace, and the jumps overlap only if they follow each other closely.
const STORED_AT_ONCE: usize = 128;
/// How often the ring looks for what is too old.
const EXPIRY: Duration = Duration::from_secs(1);

/// One shard.
pub(super) struct Assembly {
    config: Config,
    member: Member,
    cx: Context,
    pub(super) store: Store,
    open: HashMap<TraceId, Entry, RandomState>,
    /// Open traces by first arrival; what was decided otherwise meanwhile is skipped.
    queue: VecDeque<(UnixNano, TraceId)>,
    /// Traces whose root is there, by the end of their shorter wait.
    rooted: VecDeque<(UnixNano, TraceId)>,
    decided: Remembered<()>,
    pending: Pending,
    building: Building,
    pub(super) evidence: Evidence,
    /// Emptied lists of places, for the next traces.
    spare: Vec<Vec<Place>>,
    pub(super) logs: WaitingLogs,
    next_expiry: UnixNano,
    incidents: u64,
    /// Open incidents whose evidence was released.
    released: BTreeSet<String>,
    held: u64,
    /// Where the spans at hand were stored.
    stored: Vec<Place>,
}

/// A trace that waits.
struct Entry {
    places: Vec<Place>,
    raw_bytes: u64,
    /// Its time in `queue`, by which its entry there is recognized.
    queued: UnixNano,
    /// When it is decided.
    deadline: UnixNano,
    slice: Option<Slice>,
    flags: TraceFlags,
}

/// Some spans of a batch.
#[derive(Clone, Copy)]
struct Selected<'a> {
    batch: &'a SpanBatch,
    indices: Option<&'a [u32]>,
}

/// What a run of neighbours that are of one trace did to its entry.
struct Run {
    taken: usize,
    rooted: bool,
    full: bool,
}

impl Assembly {
    pub(super) fn new(config: &Config, cx: &Context) -> Self {
        Self {
            config: config.clone(),
            member: config.shards.join(),
            cx: cx.clone(),
            store: Store::default(),
            open: HashMap::default(),
            queue: VecDeque::new(),
            rooted: VecDeque::new(),
            decided: Remembered::new(config.decision_cache),
            pending: Pending::new(cx.grid()),
            building: Building::new(cx.symbols()),
            evidence: Evidence::default(),
            spare: Vec::new(),
            logs: WaitingLogs::new(cx.symbols()),
            next_expiry: UnixNano(0),
            incidents: 0,
            released: BTreeSet::new(),
            held: 0,
            stored: Vec::new(),
        }
    }

    fn take(&mut self, spans: Selected<'_>, out: &mut Emit<'_>) {
        let max_traces = match self.config.num_traces {
            0 => usize::MAX,
            limit => self.member.share(limit) as usize,
        };
        let max_bytes = self.member.share(self.config.max_bytes.0);
        self.store.begin(spans.batch, || self.cx.shared().attributes_of_traces());
        for first in (0..spans.len()).step_by(STORED_AT_ONCE) {
            let last = spans.len().min(first + STORED_AT_ONCE);
            self.stored.clear();
            for at in first..last {
                self.stored.push(self.store.put(spans.batch, spans.index(at)));
            }
            self.assign(spans, first, last, (max_traces, max_bytes), out);
        }
        self.store.end();
        self.building.send(out);
    }

    /// Gives the spans that were just stored, from `first` to before `last`, to their traces.
    fn assign(
        &mut self,
        spans: Selected<'_>,
        first: usize,
        last: usize,
        (max_traces, max_bytes): (usize, u64),
        out: &mut Emit<'_>,
    ) {
        let max_spans = self.config.max_spans_per_trace as usize;
        let mut at = first;
        while at < last {
            let id = spans.trace_id(at);
            let places = &self.stored[at - first..];
            let run = if let Some(entry) = self.open.get_mut(&id) {
                entry.fill(spans, at, places, max_spans)
            } else {
                let mut entry = self.enter(id, spans.batch.records[spans.index(at)].end(), out.arrival());
                let run = entry.fill(spans, at, &self.stored[at - first..], max_spans);
                self.open.insert(id, entry);
                run
            };
            self.held += run.taken as u64;
            at += run.taken;
            if run.full {
                out.note("decided_early_trace_cap", 1);
                self.decide(id, TraceFlags::EARLY, out);
            } else if run.rooted {
                self.shorten(id, out.arrival());
            }
            while self.open.len() > max_traces {
                self.decide_oldest("decided_early_num_traces", out);
            }
            while self.store.arena.live_bytes() > max_bytes && !self.open.is_empty() {
                self.decide_oldest("decided_early_memory", out);
            }
        }
    }

    /// Remembers the log records of traces that are not decided yet.
    fn take_logs(&mut self, batch: &LogBatch, indices: Option<&[u32]>, out: &mut Emit<'_>) {
        let limits = logs::Limits {
            per_trace: self.config.max_logs_per_trace as usize,
            bytes: self.member.share(self.config.max_bytes.0) / LOGS_PART,
        };
        let deadline = out.arrival().plus(self.config.decision_wait.0);
        let (mut late, mut refused) = (0, 0);
        let mut take = |record: &LogRecord| {
            if !record.trace_id.is_valid() {
                return;
            }
            if self.decided.get(record.trace_id).is_some() {
                late += 1;
            } else if !self.logs.add(record, deadline, limits) {
                refused += 1;
            }
        };
        match indices {
            Some(indices) => indices.iter().for_each(|&index| take(&batch.records[index as usize])),
            None => batch.records.iter().for_each(take),
        }
        out.note("late_logs", late);
        out.note("logs_past_bytes", refused);
    }

    /// A new entry, for a new trace or for late spans of a decided one.
    fn enter(&mut self, id: TraceId, end: UnixNano, arrival: UnixNano) -> Entry {
        let mut flags = TraceFlags::default();
        let late = self.decided.get(id).is_some();
        if late {
            flags.set(TraceFlags::LATE);
        }
        let deadline = arrival.plus(self.config.decision_wait.0);
        self.queue.push_back((deadline, id));
        // Late spans are counted in no window, so no window needs to wait for them.
        let slice = if late { None } else { self.pending.enter(end) };
        let places = self.spare.pop().unwrap_or_default();
        Entry { places, raw_bytes: 0, queued: deadline, deadline, slice, flags }
    }

    /// The root of a trace has arrived: it waits no longer than `decision_wait_after_root_received`.
    fn shorten(&mut self, id: TraceId, arrival: UnixNano) {
        let wait = self.config.decision_wait_after_root_received.0;
        let deadline = arrival.plus(wait);
        if !wait.is_zero()
            && let Some(entry) = self.open.get_mut(&id)
            && deadline < entry.deadline
        {
            entry.deadline = deadline;
            self.rooted.push_back((deadline, id));
        }
    }

    fn decide_oldest(&mut self, why: &'static str, out: &mut Emit<'_>) {
        while let Some((queued, id)) = self.queue.pop_front() {
            if self.open.get(&id).is_some_and(|entry| entry.queued == queued) {
                out.note(why, 1);
                return self.decide(id, TraceFlags::EARLY, out);
            }
        }
    }

    fn decide_due(&mut self, now: UnixNano, out: &mut Emit<'_>) {
        while let Some(&(due, id)) = self.rooted.front()
            && due <= now
        {
            self.rooted.pop_front();
            if self.open.get(&id).is_some_and(|entry| entry.deadline <= now) {
                self.decide(id, 0, out);
            }
        }
        while let Some(&(queued, id)) = self.queue.front()
            && queued <= now
        {
            self.queue.pop_front();
            if self.open.get(&id).is_some_and(|entry| entry.queued == queued) {
                self.decide(id, 0, out);
            }
        }
    }

    fn decide(&mut self, id: TraceId, why: u16, out: &mut Emit<'_>) {
        let Some(mut entry) = self.open.remove(&id) else { return };
        self.pending.leave(entry.slice);
        let logs = self.logs.take(id, self.config.max_logs_per_trace as usize);
        if !self.building.has_room(entry.places.len(), entry.raw_bytes, logs.lines.len()) {
            self.building.send(out);
        }
        entry.flags.set(why);
        let added = self.building.add(id, &entry.places, entry.flags, &logs.lines, &mut self.store);
        out.note("logs_past_max", logs.past_max);
        let spans = entry.places.len() as u64;
        self.held -= spans;
        if self.spare.len() < SPARE && entry.places.capacity() <= SPARE {
            entry.places.clear();
            self.spare.push(entry.places);
        }
        if added.duplicates > 0 {
            out.drop_items("duplicate_span", added.duplicates);
        }
        if added.cycles > 0 {
            out.note("parent_cycles", added.cycles);
        }
        if entry.flags.has(TraceFlags::LATE) {
            out.note("late_spans", spans);
            return;
        }
        self.decided.insert(id, ());
        let limits = self.limits();
        if let Some((batch, head)) = self.building.last() {
            self.evidence.offer(batch, head, out.arrival(), self.cx.grid(), limits);
        }
    }

    fn limits(&self) -> evidence::Limits {
        let evidence = &self.config.evidence;
        evidence::Limits {
            per_operation: evidence.per_operation,
            max_bytes: self.member.share(evidence.max_bytes.0),
            keep_for: evidence.keep_for.0,
        }
    }

    /// Sends the evidence of incidents that opened since the last look.
    fn release_evidence(&mut self, out: &mut Emit<'_>) {
        let board = &self.cx.shared().incidents;
        let version = board.version();
        if version == self.incidents {
            return;
        }
        self.incidents = version;
        let open = board.open();
        let new = open.iter().filter(|incident| !self.released.contains(&incident.incident_key));
        if let Some(since) = new.map(|incident| incident.since).min() {
            self.evidence.release(since.minus(self.config.evidence.keep_for.0), out);
        }
        self.released = open.into_iter().map(|incident| incident.incident_key).collect();
    }

    /// Moves the longest-waiting traces together when they pin slabs that are mostly empty.
    fn compact(&mut self) {
        if !self.store.arena.is_sparse() {
            return;
        }
        for (queued, id) in &self.queue {
            if let Some(entry) = self.open.get_mut(id).filter(|entry| entry.queued == *queued) {
                self.store.relocate(&mut entry.places);
                if self.store.arena.is_dense() {
                    return;
                }
            }
        }
    }
}

impl Processor for Assembly {
    fn process(&mut self, batch: Batch, out: &mut Emit<'_>) -> Result<(), NodeError> {
        match &batch.data {
            Data::Spans(spans, indices) => {
                self.take(Selected { batch: spans, indices: indices.as_deref() }, out);
                batch.ack.delivered();
            }
            Data::Logs(logs, indices) => {
                self.take_logs(logs, indices.as_deref(), out);
                out.pass(batch);
            }
            _ => out.pass(batch),
        }
        Ok(())
    }

    fn tick(&mut self, now: Tick, out: &mut Emit<'_>) -> Result<(), NodeError> {
        self.building.recycle();
        self.decide_due(now.arrival, out);
        self.building.send(out);
        let lost = self.logs.expire(now.arrival, |id| self.open.contains_key(id));
        out.note("logs_without_spans", lost);
        self.release_evidence(out);
        if now.arrival >= self.next_expiry {
            self.next_expiry = now.arrival.plus(EXPIRY);
            self.evidence.expire(now.arrival, self.limits());
        }
        self.compact();
        if let Some(until) = self.pending.advance(now.watermark) {
            out.hold_watermark(until);
        }
        Ok(())
    }

    fn held(&self) -> u64 {
        self.held
    }

    fn reconfigure(&mut self, new: &dyn Any) -> Reconfigured {
        let Some(new) = new.downcast_ref::<Config>() else { return Reconfigured::Rebuild };
        self.member = new.shards.join();
        self.decided.resize(new.decision_cache);
        self.config = new.clone();
        Reconfigured::Live
    }
}

impl Selected<'_> {
    fn len(&self) -> usize {
        self.indices.map_or(self.batch.records.len(), <[u32]>::len)
    }

    fn index(&self, at: usize) -> usize {
        self.indices.map_or(at, |indices| indices[at] as usize)
    }

    fn trace_id(&self, at: usize) -> TraceId {
        self.batch.trace_ids[self.index(at)]
    }
}

impl Entry {
    /// Takes the spans from `at` on, which were stored at `places`, as long as they are of the same trace and the trace is
    /// below its caps.
    fn fill(&mut self, spans: Selected<'_>, at: usize, places: &[Place], max_spans: usize) -> Run {
        let id = spans.trace_id(at);
        let mut run = Run { taken: 0, rooted: false, full: false };
        while run.taken < places.len() && !run.full {
            let index = spans.index(at + run.taken);
            if spans.batch.trace_ids[index] != id {
                break;
            }
            let record = &spans.batch.records[index];
            self.places.push(places[run.taken]);
            self.raw_bytes += u64::from(record.raw_len);
            run.rooted |= !record.parent_id.is_valid();
            run.taken += 1;
            run.full = self.places.len() >= max_spans || self.raw_bytes >= MAX_TRACE_BYTES;
        }
        run
    }
}
