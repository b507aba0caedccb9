//! Requests, one at a time, in simulated time: what a request meets decides when its spans end and what they say.
//!
//! Work is log-normal with a heavy tail and swings over minutes, packets take a fraction of a millisecond, data decide
//! about branches, and every service fails now and then, some of them in a request of a hundred. A caller that gives up goes on; what it called goes on too.

use std::f64::consts::TAU;

use rand::Rng;
use rand::rngs::SmallRng;

use super::fault::{Effect, Fault, Plan};
use super::topology::{Call, Step, Topology};
use super::{MILLISECOND, SECOND, START};

/// Width of a scrape interval, nanoseconds.
pub(super) const SCRAPE: u64 = 10 * SECOND;
/// Requests of the window that a fault should hit at least.
const LEAST_HITS: f64 = 12.0;
/// Traces of the rehearsal that finds out what carries traffic.
const REHEARSAL: usize = 400;

/// Kind of a span.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    Server,
    Client,
    Internal,
    Producer,
    Consumer,
}

/// A span.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) trace: u128,
    pub(super) id: u64,
    /// 0 for the root.
    pub(super) parent: u64,
    pub(super) service: usize,
    /// The operation that it belongs to, or that it calls.
    pub(super) operation: usize,
    pub(super) kind: Kind,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) error: Option<&'static str>,
    /// Database that a client span queries.
    pub(super) table: Option<String>,
    /// Which attempt of a call it is, from 0.
    pub(super) resend: u32,
    /// Variant of the flag that was read.
    pub(super) variant: Option<bool>,
}

/// A log record.
#[derive(Clone, Debug)]
pub(super) struct Log {
    pub(super) trace: u128,
    pub(super) span: u64,
    pub(super) service: usize,
    pub(super) operation: usize,
    pub(super) time: u64,
    pub(super) line: u32,
    pub(super) error: bool,
}

/// Nanoseconds of work by service and scrape interval.
pub(super) type Busy = Vec<Vec<u64>>;

/// Which share of the requests meets each service and operation.
pub(super) struct Shares {
    services: Vec<f64>,
    operations: Vec<f64>,
    waited: Vec<bool>,
    /// Requests of the window.
    requests: f64,
}

impl Shares {
    /// Least share of the requests that a fault must hit, 0 to 1: a fault that a dozen requests met is a case; one that
    /// two met is an anecdote.
    pub(super) fn least(&self) -> f64 {
        LEAST_HITS / self.requests
    }

    /// Services that carry enough traffic.
    pub(super) fn services(&self) -> Vec<usize> {
        (0..self.services.len()).filter(|&service| self.services[service] >= self.least()).collect()
    }

    pub(super) fn of_operation(&self, operation: usize) -> f64 {
        self.operations[operation]
    }

    /// The service that most requests meet.
    pub(super) fn busiest(&self) -> usize {
        (0..self.services.len()).max_by(|a, b| self.services[*a].total_cmp(&self.services[*b])).unwrap_or(0)
    }

    /// Whether a fault in this part of the operation's requests, 0 to 1, hits enough.
    pub(super) fn are_enough(&self, operation: usize, part: f64) -> bool {
        self.operations[operation] * part >= self.least()
    }

    /// Whether callers wait for its answers.
    pub(super) fn is_waited_for(&self, service: usize) -> bool {
        self.waited[service]
    }
}

/// How a step or an operation ended.
#[derive(Clone, Copy)]
struct Done {
    at: u64,
    failed: bool,
}

/// The requests of a scenario.
pub(super) struct Traffic<'a> {
    topology: &'a Topology,
    plan: &'a Plan,
    window: [u64; 2],
    random: SmallRng,
    spans: Vec<Span>,
    logs: Vec<Log>,
    busy: Busy,
    trace: u128,
    /// When the request at hand came: a fault that began later does not hit it.
    arrival: u64,
}

impl<'a> Traffic<'a> {
    pub(super) fn new(topology: &'a Topology, plan: &'a Plan, window: [u64; 2], random: SmallRng) -> Self {
        let intervals = ((window[1] - START) / SCRAPE) as usize + 1;
        let busy = vec![vec![0; intervals]; topology.services.len()];
        Self { topology, plan, window, random, spans: vec![], logs: vec![], busy, trace: 0, arrival: 0 }
    }

    /// Rehearses quiet traffic.
    pub(super) fn shares(topology: &Topology, requests: f64, random: &mut SmallRng) -> Shares {
        let quiet = Plan::quiet();
        let mut traffic = Traffic::new(topology, &quiet, [START + SECOND, START + SECOND], random.clone());
        let (services, operations) = (topology.services.len(), topology.operations.len());
        let mut shares = Shares {
            services: vec![0.0; services],
            operations: vec![0.0; operations],
            waited: vec![false; services],
            requests,
        };
        for _ in 0..REHEARSAL {
            traffic.request(START);
            let (mut met, mut done) = (vec![false; services], vec![false; operations]);
            for span in std::mem::take(&mut traffic.spans) {
                if matches!(span.kind, Kind::Server | Kind::Consumer) {
                    met[span.service] = true;
                    done[span.operation] = true;
                    shares.waited[span.service] |= span.kind == Kind::Server && span.parent != 0;
                }
            }
            for (share, met) in shares.services.iter_mut().zip(met).chain(shares.operations.iter_mut().zip(done)) {
                *share += if met { 1.0 / REHEARSAL as f64 } else { 0.0 };
            }
        }
        shares
    }

    /// A user's request.
    pub(super) fn request(&mut self, near: u64) {
        self.trace = self.random.random();
        self.arrival = near + self.random.random_range(0..SECOND / 2);
        let mut left: f64 = self.random.random();
        let entry = self.topology.entries.iter().find(|(_, share)| {
            left -= share;
            left <= 0.0
        });
        let (operation, _) = *entry.unwrap_or(&self.topology.entries[0]);
        self.serve(operation, 0, self.arrival, Kind::Server);
    }

    /// What was recorded, in order of the end of the spans.
    pub(super) fn end(mut self) -> (Vec<Span>, Vec<Log>, Busy, SmallRng) {
        self.spans.sort_by_key(|span| (span.end, span.id));
        self.logs.sort_by_key(|log| (log.time, log.span));
        (self.spans, self.logs, self.busy, self.random)
    }

    fn serve(&mut self, operation: usize, parent: u64, start: u64, kind: Kind) -> Done {
        let (topology, service) = (self.topology, self.topology.operations[operation].service);
        let hits = self.hits(service, operation);
        let server = self.open(operation, service, parent, start, kind);
        let mut on = server;
        let mut at = start;
        if topology.operations[operation].function.is_some() {
            at += self.random.random_range(20_000..120_000);
            on = self.open(operation, service, self.spans[server].id, at, Kind::Internal);
        }
        if self.plan.flagged == Some(operation) {
            self.spans[on].variant = Some(hits.iter().any(|effect| matches!(effect, Effect::Branch(_))));
        }
        let done = self.run(operation, on, at, &hits);
        for span in [on, server] {
            let slack = if span == server && on != server { self.random.random_range(20_000..120_000) } else { 0 };
            self.spans[span].end = done.at + slack;
            if done.failed && self.spans[span].error.is_none() {
                self.spans[span].error = Some("an upstream request failed");
            }
        }
        Done { at: self.spans[server].end, failed: done.failed }
    }

    /// The effects that hit a request.
    fn hits(&mut self, service: usize, operation: usize) -> Vec<Effect> {
        if self.arrival < self.window[0] {
            return Vec::new();
        }
        let mut hits = Vec::new();
        for Fault { service: at, operation: of, share, effect } in &self.plan.faults {
            if *at == service && of.is_none_or(|of| of == operation) && self.random.random_bool(*share) {
                hits.push(effect.clone());
            }
        }
        hits
    }

    /// Does the steps of an operation on an open span.
    fn run(&mut self, operation: usize, on: usize, mut at: u64, hits: &[Effect]) -> Done {
        let (mut factor, mut more, mut stop, mut wait) = (1.0, 0, None, None);
        for effect in hits {
            match effect {
                Effect::Slow(times, least) => (factor, more) = (*times, *least),
                Effect::Pause(range) => at += self.random.random_range(range.clone()),
                Effect::Throw(step) => stop = Some((*step, true)),
                Effect::Return(step) => stop = Some((*step, false)),
                Effect::PoolWait(range) => wait = Some(range.clone()),
                Effect::Branch(work) => {
                    self.log(operation, on, at, 3, false);
                    at += work;
                    if *work == 0 {
                        stop = Some((0, true));
                    }
                }
                Effect::Network(_) => {}
            }
        }
        let body = &self.topology.operations[operation].body;
        let service = &self.topology.services[self.topology.operations[operation].service];
        let [part, period, phase] = service.swing;
        factor *= 1.0 + part * (at.saturating_sub(START) as f64 / SECOND as f64 / period * TAU + phase).sin();
        if self.random.random_bool(service.flaky) {
            stop = Some((self.random.random_range(0..body.len()), true));
        }
        for (number, step) in body.iter().enumerate() {
            match stop {
                Some((last, true)) if number >= last => return self.throw(operation, on, at, "UnexpectedState"),
                Some((last, false)) if number >= last => return Done { at, failed: false },
                _ => {}
            }
            let done = match step {
                Step::Work(median) => {
                    let work = self.work(*median, factor) + std::mem::take(&mut more);
                    self.count_work(operation, at, work);
                    Done { at: at + work, failed: false }
                }
                Step::Log(line) => {
                    self.log(operation, on, at, *line, false);
                    Done { at: at + 5_000, failed: false }
                }
                Step::Query(table) => {
                    let waited = wait.clone().map_or(0, |range| self.random.random_range(range));
                    if waited > 350 * MILLISECOND {
                        return self.throw(operation, on, at + waited, "PoolTimeout");
                    }
                    self.query(operation, on, at + waited, table)
                }
                Step::Call(call) => self.call(call, on, at),
                Step::Fork(calls) => {
                    let mut done = Done { at, failed: false };
                    for (lane, call) in calls.iter().enumerate() {
                        let one = self.call(call, on, at + lane as u64 * 30_000);
                        done = Done { at: done.at.max(one.at), failed: done.failed || one.failed };
                    }
                    done
                }
                Step::Publish(consumer) => self.publish(*consumer, on, at),
            };
            at = done.at;
            if done.failed {
                self.log(operation, on, at, 2, true);
                return done;
            }
        }
        Done { at, failed: false }
    }

    fn throw(&mut self, operation: usize, on: usize, at: u64, error: &'static str) -> Done {
        self.log(operation, on, at, 1, true);
        self.spans[on].error = Some(error);
        Done { at: at + 50_000, failed: true }
    }

    /// A call with its attempts; failed only if no fallback answers.
    fn call(&mut self, call: &Call, on: usize, mut at: u64) -> Done {
        if call.share < 1.0 && !self.random.random_bool(call.share) {
            return Done { at, failed: false };
        }
        let mut done = Done { at, failed: false };
        for attempt in 0..call.attempts {
            done = self.attempt(call, on, at, attempt);
            at = done.at + self.random.random_range(50_000..400_000);
            if !done.failed {
                break;
            }
        }
        Done { at: done.at + 10_000, failed: done.failed && !call.guarded }
    }

    fn attempt(&mut self, call: &Call, on: usize, at: u64, resend: u32) -> Done {
        let (caller, parent) = (self.spans[on].service, self.spans[on].id);
        let callee = self.topology.operations[call.operation].service;
        let client = self.open(call.operation, caller, parent, at, Kind::Client);
        self.spans[client].resend = resend;
        let there = self.packet(caller, callee);
        let id = self.spans[client].id;
        let served = self.serve(call.operation, id, at + there, Kind::Server);
        let mut done = Done { at: served.at + self.packet(caller, callee), failed: served.failed };
        let mut error = done.failed.then_some("500");
        if done.at > at + call.timeout {
            done = Done { at: at + call.timeout, failed: true };
            error = Some("timeout");
        }
        self.spans[client].end = done.at;
        self.spans[client].error = error;
        done
    }

    /// A query of a database that sends no spans.
    fn query(&mut self, operation: usize, on: usize, at: u64, table: &str) -> Done {
        let (service, parent) = (self.spans[on].service, self.spans[on].id);
        let client = self.open(operation, service, parent, at, Kind::Client);
        self.spans[client].table = Some(table.to_owned());
        let end = at + self.work(1.2 * MILLISECOND as f64, 1.0) + self.packet(service, service);
        self.spans[client].end = end;
        Done { at: end, failed: false }
    }

    /// A message: it is sent at once and worked on later.
    fn publish(&mut self, consumer: usize, on: usize, at: u64) -> Done {
        let (service, parent) = (self.spans[on].service, self.spans[on].id);
        let producer = self.open(consumer, service, parent, at, Kind::Producer);
        let end = at + self.random.random_range(200_000..900_000);
        self.spans[producer].end = end;
        let later = end + self.random.random_range(2..30) * MILLISECOND;
        let id = self.spans[producer].id;
        self.serve(consumer, id, later, Kind::Consumer);
        Done { at: end, failed: false }
    }

    /// The way of a packet, nanoseconds; late where either end has a bad network.
    fn packet(&mut self, from: usize, to: usize) -> u64 {
        let way = self.work(150_000.0, 1.0);
        if self.arrival < self.window[0] {
            return way;
        }
        let late = self.plan.faults.iter().filter(|fault| fault.service == from || fault.service == to);
        way + late
            .map(|fault| match fault.effect {
                Effect::Network(late) => late / 2,
                _ => 0,
            })
            .sum::<u64>()
    }

    /// Log-normal with this median, one in a hundred five times as long.
    fn work(&mut self, median: f64, factor: f64) -> u64 {
        // The sum of twelve uniform numbers is close enough to a normal one.
        let normal: f64 = (0..12).map(|_| self.random.random::<f64>()).sum::<f64>() - 6.0;
        let tail = if self.random.random_bool(0.01) { 5.0 } else { 1.0 };
        (median * (0.45 * normal).exp() * tail * factor) as u64
    }

    fn count_work(&mut self, operation: usize, at: u64, work: u64) {
        let intervals = &mut self.busy[self.topology.operations[operation].service];
        if let Some(busy) = intervals.get_mut(((at - START) / SCRAPE) as usize) {
            *busy += work;
        }
    }

    fn log(&mut self, operation: usize, on: usize, time: u64, line: u32, error: bool) {
        let span = &self.spans[on];
        self.logs.push(Log { trace: self.trace, span: span.id, service: span.service, operation, time, line, error });
    }

    fn open(&mut self, operation: usize, service: usize, parent: u64, start: u64, kind: Kind) -> usize {
        self.spans.push(Span {
            trace: self.trace,
            id: self.random.random_range(1..u64::MAX),
            parent,
            service,
            operation,
            kind,
            start,
            end: start,
            error: None,
            table: None,
            resend: 0,
            variant: None,
        });
        self.spans.len() - 1
    }
}
