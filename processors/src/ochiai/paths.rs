//! The path of a trace: the steps of all its visits in order of time (see [`backtrail_model::paths`]).

use std::sync::Arc;

use backtrail_localize::visits::SpanTimes;
use backtrail_model::paths::{Chain, Event, PathCount, PathHash, Paths, Step, StepHash};
use backtrail_model::span::SpanRecord;
use backtrail_model::spectra::Entry;
use backtrail_model::symbols::{Symbol, SymbolKind, Symbols};
use backtrail_model::trace::{NO_SPAN, TraceLog};
use hashbrown::HashMap;

use crate::hash::{mix, stable_hash};

type Map<K, V> = HashMap<K, V, foldhash::fast::FixedState>;

/// How many events, places and steps are known before the tables start anew.
const MOST: usize = 400_000;
/// Steps of one path at most: a trace with more is counted without their order.
const MOST_STEPS: usize = 4000;

/// What a shard knows of an event.
#[derive(Clone, Copy)]
enum EventKey {
    Begin,
    End,
    Span(Symbol),
    /// Operation of the caller's span, service and operation that answer it.
    Call(Symbol, Symbol, Symbol),
    Log(Symbol),
}

impl EventKey {
    /// As one number, which is hashed and compared at once.
    fn packed(self) -> u128 {
        match self {
            Self::Begin => packed(0, 0, 0, 0),
            Self::End => packed(1, 0, 0, 0),
            Self::Span(operation) => packed(2, operation.0, 0, 0),
            Self::Call(operation, service, answer) => packed(3, operation.0, service.0, answer.0),
            Self::Log(template) => packed(4, template.0, 0, 0),
        }
    }
}

fn packed(a: u32, b: u32, c: u32, d: u32) -> u128 {
    let pair = |high: u32, low: u32| (u64::from(high) << 32) | u64::from(low);
    (u128::from(pair(a, b)) << 64) | u128::from(pair(c, d))
}

/// The place of a visit's chain: service, operation of its entry, which chain.
type PlaceKey = (Symbol, Symbol, Chain);

/// A step by its hash, and the context that it leaves.
#[derive(Clone, Copy)]
struct KnownStep {
    hash: StepHash,
    context: u64,
}

/// An event of the trace: visit, chain, time, which event.
type Happened = (u32, Chain, u64, u32);

/// Reads paths; keeps its memory from one trace to the next.
pub(super) struct PathReader {
    symbols: Arc<Symbols>,
    event_ids: Map<u128, u32>,
    /// Each event as strings, with a hash of them that orders events of the same instant.
    events: Vec<(Event, u64)>,
    place_ids: Map<u128, u32>,
    places: Vec<PlaceKey>,
    /// By place, previous event and next event.
    step_ids: Map<u128, KnownStep>,
    steps: Map<StepHash, Arc<Step>>,
    /// Paths that were seen, so that the slices share their lists.
    paths: Map<PathHash, Arc<[StepHash]>>,
    /// First span of another visit below each span.
    answered_by: Vec<u32>,
    happened: Vec<Happened>,
    /// Space to sort them in, and where each chain of events ends there.
    by_chain: Vec<Happened>,
    ends: Vec<u32>,
    timed: Vec<(u64, KnownStep)>,
}

/// A trace as its records say it.
#[derive(Clone, Copy)]
pub(super) struct Trace<'a> {
    pub(super) spans: &'a [SpanRecord],
    /// The same spans' parents.
    pub(super) times: &'a [SpanTimes],
    /// The span that begins each span's visit.
    pub(super) visits: &'a [u32],
    pub(super) logs: &'a [TraceLog],
    /// Position of `spans` in the batch, which the logs' spans count from.
    pub(super) first: u32,
    pub(super) weight: u64,
}

impl PathReader {
    pub(super) fn new(symbols: Arc<Symbols>) -> Self {
        Self {
            symbols,
            event_ids: Map::default(),
            events: Vec::new(),
            place_ids: Map::default(),
            places: Vec::new(),
            step_ids: Map::default(),
            steps: Map::default(),
            paths: Map::default(),
            answered_by: Vec::new(),
            happened: Vec::new(),
            by_chain: Vec::new(),
            ends: Vec::new(),
            timed: Vec::new(),
        }
    }

    /// Counts the trace by its path: by its steps without order, once the slice has `max_paths` paths.
    pub(super) fn count(&mut self, trace: Trace<'_>, open: &mut OpenPaths, max_paths: usize) {
        if self.events.len() + self.places.len() + self.step_ids.len() > MOST {
            *self = Self::new(Arc::clone(&self.symbols));
        }
        self.collect(trace);
        self.walk(trace);
        let hash = self.timed.iter().fold(self.timed.len() as u64, |hash, (_, step)| mix(hash ^ step.hash));
        if let Some(count) = open.paths.get_mut(&hash) {
            count.traces += trace.weight;
            return;
        }
        let fits = open.paths.len() < max_paths && self.timed.len() <= MOST_STEPS;
        for (_, step) in &self.timed {
            open.steps.entry(step.hash).or_insert_with(|| Arc::clone(&self.steps[&step.hash]));
        }
        if fits {
            if self.paths.len() > 4 * max_paths {
                self.paths.clear();
            }
            let timed = &self.timed;
            let steps = self.paths.entry(hash).or_insert_with(|| timed.iter().map(|(_, step)| step.hash).collect());
            open.paths.insert(hash, PathCount { steps: Arc::clone(steps), traces: trace.weight });
        } else {
            self.count_loose(trace.weight, open);
        }
    }

    /// The events of each visit, in order of time.
    fn collect(&mut self, trace: Trace<'_>) {
        let Trace { spans, times, visits, .. } = trace;
        self.answered_by.clear();
        self.answered_by.resize(spans.len(), NO_SPAN);
        for i in 0..spans.len() {
            if visits[i] as usize == i
                && let Some(answered) = self.answered_by.get_mut(times[i].parent as usize)
                && *answered == NO_SPAN
            {
                *answered = i as u32;
            }
        }
        self.happened.clear();
        for (i, span) in spans.iter().enumerate() {
            if visits[i] as usize != i {
                let answer = spans.get(self.answered_by[i] as usize);
                let key = match answer {
                    Some(answer) => EventKey::Call(span.operation, answer.service, answer.operation),
                    None => EventKey::Span(span.operation),
                };
                let event = self.event(key);
                self.happened.push((visits[i], Chain::Calls, span.start.0, event));
            }
        }
        for log in trace.logs {
            let at = log.span.wrapping_sub(trace.first) as usize;
            if spans.get(at).is_some_and(|span| span.service == log.service) {
                let event = self.event(EventKey::Log(log.template));
                self.happened.push((visits[at], Chain::Logs, log.time.0, event));
            }
        }
        self.sort_happened(2 * spans.len());
    }

    /// Sorts the events by visit, chain, time, and what they are. Spans and log records come in order of time, so once
    /// they stand by visit and chain little is left to do.
    fn sort_happened(&mut self, chains: usize) {
        let chain_of = |&(visit, chain, ..): &Happened| 2 * visit as usize + chain as usize;
        self.ends.clear();
        self.ends.resize(chains, 0);
        for event in &self.happened {
            self.ends[chain_of(event)] += 1;
        }
        let mut end = 0;
        for count in &mut self.ends {
            end += std::mem::replace(count, end);
        }
        self.by_chain.clear();
        self.by_chain.resize(self.happened.len(), (0, Chain::Calls, 0, 0));
        for &event in &self.happened {
            let at = &mut self.ends[chain_of(&event)];
            self.by_chain[*at as usize] = event;
            *at += 1;
        }
        std::mem::swap(&mut self.happened, &mut self.by_chain);
        let events = &self.events;
        for chain in self.happened.chunk_by_mut(|a, b| chain_of(a) == chain_of(b)) {
            if !chain.is_sorted_by(|a, b| a.2 < b.2) {
                chain.sort_by_key(|&(_, _, time, event)| (time, events[event as usize].1));
            }
        }
    }

    /// The steps of all visits, in order of time.
    fn walk(&mut self, trace: Trace<'_>) {
        self.timed.clear();
        let (begin, end) = (self.event(EventKey::Begin), self.event(EventKey::End));
        let chains: &[Chain] = if trace.logs.is_empty() { &[Chain::Calls] } else { &[Chain::Calls, Chain::Logs] };
        let happened = std::mem::take(&mut self.happened);
        let mut rest = happened.as_slice();
        for (i, span) in trace.spans.iter().enumerate().filter(|&(i, _)| trace.visits[i] as usize == i) {
            for &chain in chains {
                let of_chain = rest.iter().take_while(|event| (event.0, event.1) == (i as u32, chain)).count();
                let (events, later) = rest.split_at(of_chain);
                rest = later;
                let place = self.place((span.service, span.operation, chain));
                let (mut previous, mut ended) = (begin, span.end().0);
                for &(_, _, time, event) in events {
                    let step = self.step(place, previous, event);
                    self.timed.push((time, step));
                    (previous, ended) = (event, ended.max(time));
                }
                let step = self.step(place, previous, end);
                self.timed.push((ended, step));
            }
        }
        self.happened = happened;
        self.timed.sort_by_key(|&(time, _)| time);
    }

    /// A trace adds its weight to each context that it passes, split over what happened next.
    fn count_loose(&mut self, weight: u64, open: &mut OpenPaths) {
        open.overflow += weight;
        self.timed.sort_unstable_by_key(|(_, step)| (step.context, step.hash));
        for context in self.timed.chunk_by(|a, b| a.1.context == b.1.context) {
            let passes = context.len() as u64;
            for same in context.chunk_by(|a, b| a.1.hash == b.1.hash) {
                let share = weight * (Paths::LOOSE / u64::from(SpanRecord::ONE)) * same.len() as u64 / passes;
                *open.loose.entry(same[0].1.hash).or_default() += share;
            }
        }
    }

    fn event(&mut self, key: EventKey) -> u32 {
        let packed = key.packed();
        if let Some(&id) = self.event_ids.get(&packed) {
            return id;
        }
        let id = self.new_event(key);
        self.event_ids.insert(packed, id);
        id
    }

    #[cold]
    fn new_event(&mut self, key: EventKey) -> u32 {
        let name = |kind, symbol| self.symbols.resolve(kind, symbol);
        let (event, kind) = match key {
            EventKey::Begin => (Event { name: Event::BEGIN.into(), callee: None }, ""),
            EventKey::End => (Event { name: Event::END.into(), callee: None }, ""),
            EventKey::Span(operation) => (Event { name: name(SymbolKind::Operation, operation), callee: None }, "span"),
            EventKey::Call(operation, service, answer) => {
                let callee =
                    Entry { service: name(SymbolKind::Service, service), route: name(SymbolKind::Operation, answer) };
                (Event { name: name(SymbolKind::Operation, operation), callee: Some(callee) }, "call")
            }
            EventKey::Log(template) => (Event { name: name(SymbolKind::Template, template), callee: None }, "log"),
        };
        let callee = event.callee.as_ref();
        let parts = [kind, &event.name, callee.map_or("", |c| &c.service), callee.map_or("", |c| &c.route)];
        let hash = stable_hash(&parts);
        self.events.push((event, hash));
        self.events.len() as u32 - 1
    }

    fn place(&mut self, key: PlaceKey) -> u32 {
        let (service, entry, chain) = key;
        let places = &mut self.places;
        *self.place_ids.entry(packed(0, service.0, entry.0, chain as u32)).or_insert_with(|| {
            places.push(key);
            places.len() as u32 - 1
        })
    }

    fn step(&mut self, place: u32, previous: u32, next: u32) -> KnownStep {
        let packed = packed(0, place, previous, next);
        if let Some(&known) = self.step_ids.get(&packed) {
            return known;
        }
        let known = self.new_step(place, previous, next);
        self.step_ids.insert(packed, known);
        known
    }

    #[cold]
    fn new_step(&mut self, place: u32, previous: u32, next: u32) -> KnownStep {
        let (service, entry, chain) = self.places[place as usize];
        let (previous, next) = (&self.events[previous as usize], &self.events[next as usize]);
        let step = Step {
            service: self.symbols.resolve(SymbolKind::Service, service),
            entry: self.symbols.resolve(SymbolKind::Operation, entry),
            chain,
            previous: previous.0.clone(),
            next: next.0.clone(),
        };
        let place = stable_hash(&[&step.service, &step.entry, step.chain.name()]);
        let context = mix(place ^ previous.1);
        let known = KnownStep { hash: mix(context ^ next.1.rotate_left(1)), context };
        self.steps.entry(known.hash).or_insert_with(|| Arc::new(step));
        known
    }
}

/// The paths of an open slice.
#[derive(Default)]
pub(super) struct OpenPaths {
    steps: Map<StepHash, Arc<Step>>,
    paths: Map<PathHash, PathCount>,
    loose: Map<StepHash, u64>,
    overflow: u64,
}

impl OpenPaths {
    pub(super) fn close(self) -> Paths {
        Paths {
            steps: self.steps.into_iter().collect(),
            paths: self.paths.into_iter().collect(),
            loose: self.loose.into_iter().collect(),
            overflow: self.overflow,
        }
    }
}
