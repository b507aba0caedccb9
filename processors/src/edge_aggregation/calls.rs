//! The calls of one trace.

use backtrail_localize::critical_path::{PathScratch, PathSpan, critical_path};
use backtrail_model::span::{SpanFlags, SpanKind, SpanRecord};
use backtrail_model::symbols::Symbol;
use backtrail_model::trace::{NO_SPAN, TraceBatch, TraceHead};
use backtrail_wire::attributes::SpanView;
use hashbrown::HashMap;

use super::Config;

/// Most links of one span that are read: a consumer may link to every message of a large batch.
const MAX_LINKS: usize = 1000;

/// How a call connects its ends, and so which symbol tables name them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) enum Hop {
    /// Service to service.
    Call,
    /// A service to itself, over the wire.
    SelfCall,
    /// Service to a peer that only its caller names.
    Virtual,
    /// From outside to a service.
    Entry,
    /// Service to the destination of a message.
    Send,
    /// Destination to a consuming service.
    Receive,
    /// Service to service by a message whose destination nobody names.
    Message,
}

/// Identity of an edge on this shard, in this run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Key {
    pub(super) caller: Symbol,
    pub(super) callee: Symbol,
    pub(super) route: Symbol,
    pub(super) hop: Hop,
}

/// One call.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each counted by itself")]
pub(super) struct Call {
    pub(super) key: Key,
    pub(super) weight: u64,
    /// Duration at the client, if it was seen there.
    pub(super) client: Option<u64>,
    /// Duration at the server, if it was seen there.
    pub(super) server: Option<u64>,
    pub(super) failed: bool,
    pub(super) retry: bool,
    pub(super) breaker: bool,
    /// An end is missing that should be there.
    pub(super) unpaired: bool,
    /// How the client calls the service that answers.
    pub(super) peer: Symbol,
    /// Nanoseconds of the trace's critical path.
    pub(super) critical_ns: u64,
}

/// What the first pass learns about a span from its children.
#[derive(Clone, Copy, Default)]
struct Facts {
    /// A span at another end answers this one.
    answered: bool,
    /// A client span around another client span of the same service (a library on top of a library): the inner one is
    /// the call.
    wraps: bool,
    /// Its share of the critical path belongs to a call already: the first that answers it.
    claimed: bool,
    /// Where its message goes, by its own or its consumer's word.
    destination: Symbol,
}

/// Reads traces; keeps its memory from one to the next.
#[derive(Default)]
pub(super) struct CallReader {
    facts: Vec<Facts>,
    calls: Vec<Call>,
    /// The call that each span works for, [`NO_SPAN`] without one.
    carrier: Vec<u32>,
    /// When the last failed call of an edge under a parent ended.
    failed: HashMap<(u32, Key), u64, foldhash::fast::FixedState>,
    /// The producers of this trace that span links name.
    linked: Vec<Option<u32>>,
    path: Vec<PathSpan>,
    path_scratch: PathScratch,
    path_ns: Vec<u64>,
}

/// A trace with parents by position in it.
#[derive(Clone, Copy)]
struct Trace<'a> {
    spans: &'a [SpanRecord],
    parents: &'a [u32],
    first: u32,
}

impl Trace<'_> {
    fn parent(&self, i: usize) -> Option<usize> {
        let parent = self.parents[i];
        (parent != NO_SPAN).then(|| (parent - self.first) as usize)
    }

    /// The span at the caller's end of a call that `child` answers: its parent, or the client span right above that
    /// (some libraries put an internal span between).
    fn caller(&self, parent: usize) -> usize {
        let span = &self.spans[parent];
        if is_client(span) || span.is_entry() {
            return parent;
        }
        let above = self.parent(parent).filter(|&above| {
            let above = &self.spans[above];
            is_client(above) && above.service == span.service
        });
        above.unwrap_or(parent)
    }
}

fn is_client(span: &SpanRecord) -> bool {
    matches!(span.kind, SpanKind::Client | SpanKind::Producer)
}

impl CallReader {
    /// The calls of a trace, in the order of their spans.
    pub(super) fn read(&mut self, batch: &TraceBatch, head: &TraceHead, config: &Config) -> &[Call] {
        let range = batch.range(head);
        let trace = Trace { spans: &batch.records[range.clone()], parents: &batch.parents[range], first: head.first };
        self.learn(trace);
        let mut linked = std::mem::take(&mut self.linked);
        self.calls.clear();
        self.failed.clear();
        self.carrier.clear();
        self.carrier.resize(trace.spans.len(), NO_SPAN);
        for i in 0..trace.spans.len() {
            linked.clear();
            if trace.spans[i].flags.has(SpanFlags::LINKS) && trace.spans[i].kind == SpanKind::Consumer {
                read_links(batch, head, trace, i, &mut linked);
                self.receive(trace, i, &linked);
            }
            // Beside links, only a parent that sends is the origin of one more message; any other is mere context.
            if linked.is_empty() || trace.parent(i).is_some_and(|up| is_client(&trace.spans[trace.caller(up)])) {
                self.incoming(trace, i);
            }
            if is_client(&trace.spans[i]) {
                self.outgoing(trace, i, config.virtual_nodes);
            }
        }
        self.linked = linked;
        if config.critical_path && !self.calls.is_empty() {
            let root = if head.root == NO_SPAN { 0 } else { (head.root - head.first) as usize };
            self.follow_critical_path(trace, root);
        }
        &self.calls
    }

    fn learn(&mut self, trace: Trace<'_>) {
        self.facts.clear();
        self.facts.extend(trace.spans.iter().map(|span| Facts { destination: span.peer, ..Facts::default() }));
        for (i, span) in trace.spans.iter().enumerate() {
            let Some(parent) = trace.parent(i) else { continue };
            let above = &trace.spans[parent];
            if above.service != span.service || (is_client(above) && span.is_entry()) {
                let facts = &mut self.facts[trace.caller(parent)];
                facts.answered = true;
                if !facts.destination.is_some() && span.kind == SpanKind::Consumer {
                    facts.destination = span.peer;
                }
            } else if is_client(above) && is_client(span) {
                self.facts[parent].wraps = true;
            }
        }
    }

    /// The call that span `i` answers, if it begins the work of a service.
    fn incoming(&mut self, trace: Trace<'_>, i: usize) {
        let span = &trace.spans[i];
        let Some(parent) = trace.parent(i) else { return self.enter(trace, i) };
        let caller = trace.caller(parent);
        let (above, client) = (&trace.spans[parent], &trace.spans[caller]);
        if above.service == span.service && !(is_client(above) && span.is_entry()) {
            // Work inside the service: on behalf of the same call as its parent's.
            if parent < i {
                self.carrier[i] = self.carrier[parent];
            }
            return;
        }
        let destination = self.facts[caller].destination;
        let (hop, from) = if span.kind == SpanKind::Consumer || client.kind == SpanKind::Producer {
            let destination =
                if span.peer.is_some() && span.kind == SpanKind::Consumer { span.peer } else { destination };
            if destination.is_some() { (Hop::Receive, destination) } else { (Hop::Message, above.service) }
        } else if above.service == span.service {
            (Hop::SelfCall, above.service)
        } else {
            (Hop::Call, above.service)
        };
        let key = Key { caller: from, callee: span.service, route: span.operation, hop };
        let mut call = answered(key, span);
        // A message's sender and its consumer fail and last independently of each other.
        if is_client(client) && hop != Hop::Receive {
            call.client = Some(client.duration);
            call.peer = if hop == Hop::Call { client.peer } else { Symbol::NONE };
            call.failed |= client.is_error();
            call.breaker |= client.flags.has(SpanFlags::BREAKER);
            call.retry |= client.resend > 0;
        }
        self.carrier[i] = self.calls.len() as u32;
        if is_client(client) && hop != Hop::Receive && !std::mem::replace(&mut self.facts[caller].claimed, true) {
            self.carrier[caller] = self.calls.len() as u32;
        }
        let timed = if is_client(client) { client } else { span };
        self.push(trace, caller, timed, call);
    }

    /// The messages that consumer `i` names by span links, one call each: from their destination, if it is known, else
    /// from their producer, if it is in this trace, else from a node that nobody names.
    fn receive(&mut self, trace: Trace<'_>, i: usize, producers: &[Option<u32>]) {
        let span = &trace.spans[i];
        for producer in producers {
            let sent_to = producer.map_or(Symbol::NONE, |at| self.facts[at as usize].destination);
            let destination = if span.peer.is_some() { span.peer } else { sent_to };
            let (hop, from) = match producer {
                Some(at) if !destination.is_some() => (Hop::Message, trace.spans[*at as usize].service),
                _ => (Hop::Receive, destination),
            };
            if let Some(at) = producer {
                self.facts[*at as usize].answered = true;
            }
            let key = Key { caller: from, callee: span.service, route: span.operation, hop };
            self.carrier[i] = self.calls.len() as u32;
            self.push(trace, i, span, Call { unpaired: !from.is_some(), ..answered(key, span) });
        }
    }

    /// Span `i` has no parent here.
    fn enter(&mut self, trace: Trace<'_>, i: usize) {
        let span = &trace.spans[i];
        let orphan = span.parent_id.is_valid();
        let (hop, from) = match span.kind {
            SpanKind::Consumer if span.peer.is_some() => (Hop::Receive, span.peer),
            SpanKind::Server | SpanKind::Consumer => (Hop::Entry, Symbol::NONE),
            // Sources that know no kinds (older Zipkin data) still have roots.
            SpanKind::Unspecified if !orphan => (Hop::Entry, Symbol::NONE),
            _ => return,
        };
        let key = Key { caller: from, callee: span.service, route: span.operation, hop };
        self.carrier[i] = self.calls.len() as u32;
        self.push(trace, i, span, Call { unpaired: orphan, ..answered(key, span) });
    }

    /// The call that client or producer span `i` makes, unless the span that answers it was counted.
    fn outgoing(&mut self, trace: Trace<'_>, i: usize, virtual_nodes: bool) {
        let (span, facts) = (&trace.spans[i], self.facts[i]);
        let message = span.kind == SpanKind::Producer || span.flags.has(SpanFlags::MESSAGING);
        let counted = facts.answered || facts.wraps;
        let hop = match (message && facts.destination.is_some(), facts.destination.is_some()) {
            (true, _) if span.kind == SpanKind::Producer || !counted => Hop::Send,
            _ if counted => return,
            (_, true) if !virtual_nodes => return,
            _ => Hop::Virtual,
        };
        let key = Key { caller: span.service, callee: facts.destination, route: span.operation, hop };
        let call = Call {
            client: Some(span.duration),
            server: None,
            unpaired: !facts.destination.is_some(),
            ..answered(key, span)
        };
        self.carrier[i] = self.calls.len() as u32;
        self.push(trace, i, span, call);
    }

    /// Adds a call. It repeats an earlier one if the client says so, or if the earlier one to the same operation under
    /// the same parent had failed before this one began.
    fn push(&mut self, trace: Trace<'_>, caller: usize, timed: &SpanRecord, mut call: Call) {
        let under = trace.parent(caller).unwrap_or(caller) as u32;
        if !self.failed.is_empty() {
            let before = self.failed.get(&(under, call.key)).is_some_and(|&end| end <= timed.start.0);
            if before {
                self.failed.remove(&(under, call.key));
                call.retry = true;
            }
        }
        if call.failed {
            self.failed.insert((under, call.key), timed.end().0);
        }
        self.calls.push(call);
    }

    fn follow_critical_path(&mut self, trace: Trace<'_>, root: usize) {
        self.path.clear();
        self.path.extend(trace.spans.iter().zip(trace.parents).map(|(span, &parent)| PathSpan {
            start: span.start.0,
            end: span.end().0,
            parent: if parent == NO_SPAN { NO_SPAN } else { parent - trace.first },
        }));
        critical_path(&self.path, root, &mut self.path_scratch, &mut self.path_ns);
        for (&carrier, &ns) in self.carrier.iter().zip(&self.path_ns) {
            if carrier != NO_SPAN {
                self.calls[carrier as usize].critical_ns += ns;
            }
        }
    }
}

/// Fills `linked` with the spans that span `i` links to, but for its own parent: by position in the trace, `None` for a
/// span of another trace (a message's consumer often begins a trace of its own).
fn read_links(batch: &TraceBatch, head: &TraceHead, trace: Trace<'_>, i: usize, linked: &mut Vec<Option<u32>>) {
    let links = SpanView::of_record(batch.raw(&trace.spans[i])).links();
    for link in links.take(MAX_LINKS) {
        let (Some(trace_id), Some(span_id)) = (link.trace_id(), link.span_id()) else { continue };
        if trace_id != head.trace_id {
            linked.push(None);
        } else if trace.spans[i].parent_id != span_id {
            let at = trace.spans.iter().position(|span| span.span_id == span_id);
            linked.push(at.map(|at| at as u32));
        }
    }
}

/// A call as the span that answers it (or makes it, when nobody answers) tells it.
fn answered(key: Key, span: &SpanRecord) -> Call {
    Call {
        key,
        weight: u64::from(span.weight),
        client: None,
        server: Some(span.duration),
        failed: span.is_error(),
        retry: span.resend > 0,
        breaker: span.flags.has(SpanFlags::BREAKER),
        unpaired: false,
        peer: Symbol::NONE,
        critical_ns: 0,
    }
}
