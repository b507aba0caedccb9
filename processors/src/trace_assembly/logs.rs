//! Log records that wait for their trace, as small as localization needs them. The records themselves pass at once.
//!
//! They stand beside the waiting spans and not among them: records of traces whose spans never come must not push out
//! traces, and a trace is decided at the same time with and without them.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;

use backtrail_model::ids::{SpanId, TraceId};
use backtrail_model::log::LogRecord;
use backtrail_model::symbols::{Symbol, SymbolKind, Symbols};
use backtrail_model::time::UnixNano;
use backtrail_model::trace::TraceLog;
use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// What a trace with log records costs besides them: its place in the map and in the queue.
const TRACE_BYTES: u64 = (2 * size_of::<(TraceId, Lines)>() + size_of::<(UnixNano, TraceId)>()) as u64;
const LINE_BYTES: u64 = size_of::<Line>() as u64;

/// A log record that waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    time: UnixNano,
    span_id: SpanId,
    service: Symbol,
    template: Symbol,
    /// Where the line before it of the same trace is, in the slab.
    next: u32,
    severity: u8,
}

/// The waiting lines of all traces. Those of one trace are chained, the newest first: a list of its own for each of
/// many thousand short traces would be as many allocations, far apart.
struct Slab {
    slots: Vec<Line>,
    /// The first of the chained slots that hold nothing.
    free: u32,
}

/// Ends a chain.
const NONE: u32 = u32::MAX;

/// The lines of a trace.
struct Lines {
    newest: u32,
    held: u32,
    /// Records of it that were left out already.
    past_max: u64,
    /// Its time in the queue, by which its entry there is recognized.
    queued: UnixNano,
}

/// The log records of a decided trace.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) lines: Vec<Line>,
    /// Records that were left out, because the trace has too many.
    pub(super) past_max: u64,
}

/// Bounds of what waits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) per_trace: usize,
    pub(super) bytes: u64,
}

/// The waiting log records of a shard.
pub(super) struct WaitingLogs {
    traces: HashMap<TraceId, Lines, RandomState>,
    slab: Slab,
    /// Traces by the time until which their first span may come.
    queue: VecDeque<(UnixNano, TraceId)>,
    bytes: u64,
    symbols: Arc<Symbols>,
}

impl WaitingLogs {
    pub(super) fn new(symbols: &Arc<Symbols>) -> Self {
        Self {
            traces: HashMap::default(),
            slab: Slab::new(),
            queue: VecDeque::new(),
            bytes: 0,
            symbols: Arc::clone(symbols),
        }
    }

    /// Remembers a record until its trace is decided, or until `deadline` if no span of it comes. Answers whether there
    /// was room.
    pub(super) fn add(&mut self, record: &LogRecord, deadline: UnixNano, limits: Limits) -> bool {
        if self.bytes >= limits.bytes {
            return false;
        }
        let LogRecord { time, span_id, service, template, severity, .. } = *record;
        let lines = self.traces.entry(record.trace_id).or_insert_with(|| {
            self.queue.push_back((deadline, record.trace_id));
            self.bytes += TRACE_BYTES;
            Lines { newest: NONE, held: 0, past_max: 0, queued: deadline }
        });
        self.slab.push(lines, Line { time, span_id, service, template, next: NONE, severity });
        self.bytes += LINE_BYTES;
        // Which records are left out must not depend on their order, so twice as many as stay are held at a time.
        if lines.held as usize >= 2 * limits.per_trace.max(1) {
            let mut earliest = self.slab.take(lines);
            self.bytes -= lines.cut(&mut earliest, limits.per_trace, &self.symbols) * LINE_BYTES;
            for line in earliest {
                self.slab.push(lines, line);
            }
        }
        true
    }

    /// Takes the records of a trace, which is decided now.
    pub(super) fn take(&mut self, id: TraceId, per_trace: usize) -> Taken {
        if self.traces.is_empty() {
            return Taken::default();
        }
        let Some(mut lines) = self.traces.remove(&id) else { return Taken::default() };
        self.bytes -= lines.bytes();
        let mut held = self.slab.take(&mut lines);
        lines.cut(&mut held, per_trace, &self.symbols);
        Taken { lines: held, past_max: lines.past_max }
    }

    /// Forgets the records whose wait is over while no span of their trace is there. Answers how many records these are.
    pub(super) fn expire(&mut self, now: UnixNano, is_open: impl Fn(&TraceId) -> bool) -> u64 {
        let mut lost = 0;
        while let Some(&(queued, id)) = self.queue.front()
            && queued <= now
        {
            self.queue.pop_front();
            // What was taken meanwhile is skipped; what has spans now is taken when they are decided.
            if self.traces.get(&id).is_some_and(|lines| lines.queued == queued)
                && !is_open(&id)
                && let Some(mut lines) = self.traces.remove(&id)
            {
                self.bytes -= lines.bytes();
                lost += u64::from(lines.held) + lines.past_max;
                self.slab.take(&mut lines);
            }
        }
        lost
    }

    /// Appends the lines as records of a trace, in order; `index_of` finds a span.
    pub(super) fn resolve(
        symbols: &Symbols,
        lines: &[Line],
        index_of: impl Fn(SpanId) -> u32,
        into: &mut Vec<TraceLog>,
    ) {
        let first = into.len();
        into.extend(lines.iter().map(|line| {
            let Line { time, span_id, service, template, severity, .. } = *line;
            TraceLog { time, span: index_of(span_id), service, template, severity }
        }));
        into[first..].sort_unstable_by(|a, b| {
            let key = |log: &TraceLog| (log.time, log.span, log.severity);
            key(a).cmp(&key(b)).then_with(|| by_name(symbols, (a.template, a.service), (b.template, b.service)))
        });
    }

    /// Bytes that they take.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl Slab {
    const fn new() -> Self {
        Self { slots: Vec::new(), free: NONE }
    }

    fn push(&mut self, lines: &mut Lines, line: Line) {
        let line = Line { next: std::mem::replace(&mut lines.newest, self.free), ..line };
        if let Some(free) = self.slots.get_mut(self.free as usize) {
            self.free = std::mem::replace(free, line).next;
        } else {
            lines.newest = self.slots.len() as u32;
            self.slots.push(line);
        }
        lines.held += 1;
    }

    /// Takes the lines of a trace out, the earliest arrival first.
    fn take(&mut self, lines: &mut Lines) -> Vec<Line> {
        let mut taken = Vec::with_capacity(lines.held as usize);
        while let Some(line) = self.slots.get_mut(lines.newest as usize) {
            taken.push(*line);
            let freed = std::mem::replace(&mut lines.newest, line.next);
            line.next = std::mem::replace(&mut self.free, freed);
        }
        lines.held = 0;
        taken.reverse();
        taken
    }
}

impl Lines {
    fn bytes(&self) -> u64 {
        TRACE_BYTES + u64::from(self.held) * LINE_BYTES
    }

    /// Leaves the earliest `most`. Answers how many went.
    fn cut(&mut self, held: &mut Vec<Line>, most: usize, symbols: &Symbols) -> u64 {
        let past = held.len().saturating_sub(most);
        if past > 0 {
            held.sort_unstable_by(|a, b| {
                let key = |line: &Line| (line.time, line.span_id, line.severity);
                key(a).cmp(&key(b)).then_with(|| by_name(symbols, (a.template, a.service), (b.template, b.service)))
            });
            held.truncate(most);
        }
        self.past_max += past as u64;
        past as u64
    }
}

/// The order of template and service. Ids differ from run to run, names do not.
fn by_name(symbols: &Symbols, a: (Symbol, Symbol), b: (Symbol, Symbol)) -> Ordering {
    if a == b {
        return Ordering::Equal;
    }
    let names = |(template, service)| {
        (symbols.resolve(SymbolKind::Template, template), symbols.resolve(SymbolKind::Service, service))
    };
    names(a).cmp(&names(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { per_trace: 3, bytes: 1 << 20 };

    fn record(symbols: &Symbols, trace: u8, time: u64, template: &str) -> LogRecord {
        let template = symbols.intern(SymbolKind::Template, template);
        LogRecord { trace_id: TraceId([trace; 16]), time: UnixNano(time), template, ..LogRecord::default() }
    }

    #[test]
    fn the_earliest_records_of_a_trace_stay_whatever_order_they_came_in() {
        let names = |order: &mut dyn Iterator<Item = u64>| {
            let symbols = Arc::new(Symbols::new(100));
            let mut waiting = WaitingLogs::new(&symbols);
            for n in order {
                assert!(waiting.add(&record(&symbols, 1, n / 2, &format!("t{n:02}")), UnixNano(9), LIMITS));
            }
            let taken = waiting.take(TraceId([1; 16]), 3);
            assert_eq!((taken.past_max, waiting.bytes()), (17, 0));
            assert!(waiting.slab.slots.len() < 7, "what was left out makes room");
            let mut logs = Vec::new();
            WaitingLogs::resolve(&symbols, &taken.lines, |_| 0, &mut logs);
            logs.iter().map(|log| symbols.resolve(SymbolKind::Template, log.template).to_string()).collect::<Vec<_>>()
        };
        let expected = ["t00", "t01", "t02"];
        assert_eq!(names(&mut (0..20)), expected);
        assert_eq!(names(&mut (0..20).rev()), expected);
        assert_eq!(names(&mut (0..20).map(|n| n * 7 % 20)), expected);
    }

    #[test]
    fn records_without_spans_are_forgotten_at_their_time_and_the_bytes_return() {
        let symbols = Arc::new(Symbols::new(100));
        let mut waiting = WaitingLogs::new(&symbols);
        for (trace, deadline) in [(1, 10), (2, 10), (1, 12), (3, 20)] {
            waiting.add(&record(&symbols, trace, 1, "a"), UnixNano(deadline), LIMITS);
        }
        assert_eq!(waiting.expire(UnixNano(9), |_| false), 0);
        assert_eq!(waiting.expire(UnixNano(10), |id| *id == TraceId([2; 16])), 2);
        assert_eq!(waiting.expire(UnixNano(20), |_| false), 1);
        assert_eq!(waiting.take(TraceId([2; 16]), 3).lines.len(), 1, "its spans were there");
        assert_eq!(waiting.bytes(), 0);
        assert!(waiting.queue.is_empty());
    }

    #[test]
    fn a_trace_that_comes_again_is_not_expired_by_its_first_life() {
        let symbols = Arc::new(Symbols::new(100));
        let mut waiting = WaitingLogs::new(&symbols);
        waiting.add(&record(&symbols, 1, 1, "a"), UnixNano(10), LIMITS);
        waiting.take(TraceId([1; 16]), 3);
        waiting.add(&record(&symbols, 1, 1, "a"), UnixNano(15), LIMITS);
        assert_eq!(waiting.expire(UnixNano(10), |_| false), 0);
        assert_eq!(waiting.expire(UnixNano(15), |_| false), 1);
    }

    #[test]
    fn past_the_bytes_nothing_more_is_remembered() {
        let symbols = Arc::new(Symbols::new(100));
        let mut waiting = WaitingLogs::new(&symbols);
        let limits = Limits { bytes: 2 * TRACE_BYTES, ..LIMITS };
        let added: Vec<bool> =
            (0..4).map(|n| waiting.add(&record(&symbols, n, 1, "a"), UnixNano(10), limits)).collect();
        assert_eq!(added, [true, true, false, false]);
    }
}
