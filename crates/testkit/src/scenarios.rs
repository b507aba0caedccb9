//! Scenarios: a generated topology, its traffic, and a fault with a known culprit, as a labelled case that
//! `backtrail eval` reads.
//!
//! In reading order: [`Class`] (what goes wrong, and who is to blame), `topology` (services, operations, what they
//! call), `fault` (the class made physical), `traffic` (one request at a time, in simulated time), `pods` (what the
//! pods report meanwhile), `otlp` (the same as the SDKs send it), [`folder`] (a case on disk), [`stream`] (hours with
//! several faults).
//!
//! Quiet times are not clean: work swings, some services are flaky, and in two scenarios of five somebody deploys a
//! version that is fine just as the fault begins. Nothing here knows how a fault is found. The same scenario gives the same bytes.

mod fault;
pub mod folder;
mod otlp;
mod pods;
pub mod stream;
mod topology;
mod traffic;

use std::collections::BTreeMap;

use rand::rngs::SmallRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

use fault::Plan;
use topology::Topology;
use traffic::Traffic;

const SECOND: u64 = 1_000_000_000;
const MILLISECOND: u64 = 1_000_000;
/// When every scenario begins, Unix nanoseconds: a full minute of a day in 2025.
const START: u64 = 1_760_000_040 * SECOND;

/// What goes wrong. The culprit is always the service that the fault was put into; all that is seen elsewhere follows
/// from the simulation. Culprits are drawn from what carries traffic: a fault hits a dozen requests of the window or more
/// (of some 160 on 20 services, 320 on many).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Class {
    /// All operations of the culprit work 3 to 8 times longer (and at least 30 ms), or every exchange with its pod, in or
    /// out, takes 25 to 120 ms longer on the way, as `tc netem` does it: the seed says which.
    Latency,
    /// One operation of the culprit throws in 30 to 100 % of its requests: an error log, an `exception` event, a failed
    /// span, and nothing of what comes later. Callers fail with it, unless a fallback answers.
    Error,
    /// One operation of the culprit returns early in 60 to 100 % of its requests: what it would have called and logged
    /// does not happen, no span fails, and everything gets faster.
    Truncation,
    /// The culprit's pod runs at its processor limit and is throttled (work takes 2 to 5 times longer), or its memory
    /// fills up to the limit and collections pause a third of its requests for 40 to 250 ms: the seed says which.
    Resource,
    /// The culprit fails 40 to 80 % of its requests in all operations. Every caller tries four times without waiting,
    /// so the culprit gets two to three times the calls, works slower and uses more processor time.
    RetryStorm,
    /// 60 to 100 % of the culprit's requests hang for 1.5 to 4 s. Callers give up earlier, each after its own timeout
    /// (0.3 to 1 s): their client spans are cut and failed; the culprit's spans go on and do not fail.
    CascadingTimeout,
    /// The culprit leaks connections: its pool is full, requests wait 40 to 400 ms for one before each query, some give
    /// up and fail; the pool's metrics show it at its maximum with requests pending.
    PoolExhaustion,
    /// Two faults of the classes latency, error and resource at once, in two services of which neither calls the other,
    /// directly or not. Both are culprits.
    TwoCauses,
    /// The culprit is deployed anew: another `service.version`, another pod, and with it errors in 15 to 60 % of one
    /// operation's requests, or slower work in all of them: the seed says which.
    BadDeploy,
    /// A flag is switched on for 30 to 90 % of the requests of one operation of the culprit: `feature_flag.*` says so on
    /// the span, and the new branch logs another statement and works 50 to 200 ms, or fails.
    BadFlag,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Latency,
        Self::Error,
        Self::Truncation,
        Self::Resource,
        Self::RetryStorm,
        Self::CascadingTimeout,
        Self::PoolExhaustion,
        Self::TwoCauses,
        Self::BadDeploy,
        Self::BadFlag,
    ];

    /// The name in `truth.json` and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Error => "error",
            Self::Truncation => "truncation",
            Self::Resource => "resource",
            Self::RetryStorm => "retry_storm",
            Self::CascadingTimeout => "cascading_timeout",
            Self::PoolExhaustion => "pool_exhaustion",
            Self::TwoCauses => "two_causes",
            Self::BadDeploy => "bad_deploy",
            Self::BadFlag => "bad_flag",
        }
    }

    /// The class of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}

/// A scenario: what to generate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Scenario {
    /// What goes wrong.
    pub class: Class,
    /// Services of the topology, at least 8.
    pub services: usize,
    /// Everything else.
    pub seed: u64,
}

impl Scenario {
    /// Quiet seconds.
    const QUIET: u64 = 300;
    /// Seconds with the fault.
    const FAULTY: u64 = 100;

    /// Name of the case.
    pub fn id(&self) -> String {
        format!("{}-{}-{:04}", self.class.name(), self.services, self.seed)
    }

    /// Traces a second: 480 quiet and 160 faulty ones on 20 services; on many, where a trace meets a smaller part of
    /// them, twice as many.
    const fn rate(&self) -> f64 {
        if self.services > 50 { 3.2 } else { 1.6 }
    }

    /// Generates the case.
    pub fn generate(&self) -> Recording {
        self.stretch(Self::QUIET, Self::FAULTY, 0)
    }

    /// So many quiet seconds, then so many with the fault. The same system, the same fault and other requests every turn.
    fn stretch(&self, quiet: u64, faulty: u64, turn: u64) -> Recording {
        let mut random = SmallRng::seed_from_u64(self.seed ^ ((self.services as u64) << 40));
        let mut topology = Topology::new(self.services, &mut random);
        let shares = Traffic::shares(&topology, Self::FAULTY as f64 * self.rate(), &mut random);
        // The class comes in only here: all classes of a seed happen to the same system.
        let mut random = SmallRng::seed_from_u64(self.seed.wrapping_mul(0x9E37_79B9) ^ ((self.class as u64) << 50));
        let plan = Plan::new(self.class, &mut topology, &shares, &mut random);
        if turn > 0 {
            random = SmallRng::seed_from_u64(random.random::<u64>() ^ turn);
        }
        let window = [START + quiet * SECOND, START + (quiet + faulty) * SECOND];
        let mut traffic = Traffic::new(&topology, &plan, window, random);
        let traces = ((quiet + faulty) as f64 * self.rate()) as u64;
        for i in 0..traces {
            traffic.request(START + (i as f64 / self.rate() * SECOND as f64) as u64);
        }
        let (spans, logs, busy, random) = traffic.end();
        let metrics = pods::scrape(&topology, &plan, &busy, window, random);
        Recording { scenario: *self, window, topology, plan, spans, logs, metrics, sampled: false }
    }
}

/// What was generated.
pub struct Recording {
    scenario: Scenario,
    /// When the fault begins and when everything ends, Unix nanoseconds.
    window: [u64; 2],
    topology: Topology,
    plan: Plan,
    spans: Vec<traffic::Span>,
    logs: Vec<traffic::Log>,
    metrics: Vec<pods::Scrape>,
    sampled: bool,
}

impl Recording {
    /// The services that are to blame.
    pub fn culprits(&self) -> Vec<&str> {
        self.plan.culprits().into_iter().map(|service| self.topology.services[service].name.as_str()).collect()
    }

    /// What a consistent sampler lets through that keeps every second trace (`ot=th:8`): a trace stays, with its logs, if
    /// the last 56 bits of its id are in the upper half.
    #[must_use]
    pub fn sampled(mut self) -> Self {
        let kept = |trace: u128| trace >> 55 & 1 == 1;
        self.spans.retain(|span| kept(span.trace));
        self.logs.retain(|log| kept(log.trace));
        self.sampled = true;
        self
    }

    /// The same requests and scrapes in another order: every trace, with its logs, moves to the time of another one, and
    /// so do the scrapes of every pod. Then nothing depends on when it happened, and the label means nothing.
    #[must_use]
    pub fn shuffled(mut self, seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let roots: Vec<(u128, u64)> =
            self.spans.iter().filter(|span| span.parent == 0).map(|span| (span.trace, span.start)).collect();
        let mut times: Vec<u64> = roots.iter().map(|(_, start)| *start).collect();
        times.shuffle(&mut random);
        let moves: BTreeMap<u128, (u64, u64)> =
            roots.iter().zip(times).map(|(&(trace, from), to)| (trace, (from, to))).collect();
        let moved = |trace: u128, time: u64| {
            let (from, to) = moves[&trace];
            time - from + to
        };
        for span in &mut self.spans {
            (span.start, span.end) = (moved(span.trace, span.start), moved(span.trace, span.end));
        }
        for log in &mut self.logs {
            log.time = moved(log.trace, log.time);
        }
        self.spans.sort_by_key(|span| (span.end, span.id));
        self.logs.sort_by_key(|log| (log.time, log.span));
        for service in 0..self.topology.services.len() {
            let of_service = self.metrics.iter_mut().filter(|scrape| scrape.service == service);
            let mut scrapes: Vec<&mut pods::Scrape> = of_service.collect();
            let mut times: Vec<u64> = scrapes.iter().map(|scrape| scrape.time).collect();
            times.shuffle(&mut random);
            for (scrape, time) in scrapes.iter_mut().zip(times) {
                scrape.time = time;
            }
        }
        self.metrics.sort_by_key(|scrape| (scrape.time, scrape.service));
        self
    }

    /// Functions that hold the defect, where it sits in one that has a span.
    pub fn functions(&self) -> Vec<&str> {
        let of_faults = self.plan.faults.iter().filter_map(|fault| fault.operation);
        of_faults.filter_map(|operation| self.topology.operations[operation].function.as_deref()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generate(class: Class, seed: u64) -> Recording {
        Scenario { class, services: 20, seed }.generate()
    }

    /// Mean duration of the spans of a service before and in the window, milliseconds.
    fn durations(recording: &Recording, service: &str) -> [f64; 2] {
        let [start, _] = recording.window;
        [false, true].map(|faulty| {
            let of_service = |span: &&traffic::Span| {
                recording.topology.services[span.service].name == service
                    && span.kind == traffic::Kind::Server
                    && (span.start >= start) == faulty
            };
            let spans: Vec<_> = recording.spans.iter().filter(of_service).collect();
            spans.iter().map(|span| (span.end - span.start) as f64 / 1e6).sum::<f64>() / spans.len().max(1) as f64
        })
    }

    #[test]
    fn the_same_seed_gives_the_same_recording_and_another_seed_another() {
        let ends = |seed| generate(Class::Error, seed).spans.iter().map(|span| span.end).collect::<Vec<_>>();
        assert_eq!(ends(3), ends(3));
        assert_ne!(ends(3), ends(4));
    }

    #[test]
    fn traces_have_a_realistic_size() {
        for services in [20, 300] {
            let recording = Scenario { class: Class::Latency, services, seed: 5 }.generate();
            let traces = recording.spans.iter().filter(|span| span.parent == 0).count();
            let mean = recording.spans.len() as f64 / traces as f64;
            assert!((8.0..80.0).contains(&mean), "{mean} spans a trace on {services} services");
        }
    }

    #[test]
    fn children_lie_after_the_start_of_their_parent_and_services_come_to_all_tiers() {
        let recording = generate(Class::Latency, 1);
        let by_id: BTreeMap<u64, &traffic::Span> = recording.spans.iter().map(|span| (span.id, span)).collect();
        assert_eq!(by_id.len(), recording.spans.len(), "ids are unique");
        for span in recording.spans.iter().filter(|span| span.parent != 0) {
            assert!(by_id[&span.parent].start <= span.start && span.start <= span.end);
            assert_eq!(by_id[&span.parent].trace, span.trace);
        }
    }

    #[test]
    fn truncation_makes_its_culprit_faster_and_latency_makes_it_slower() {
        for seed in 1..6 {
            for (class, slower) in [(Class::Truncation, false), (Class::CascadingTimeout, true)] {
                let recording = generate(class, seed);
                let [before, now] = durations(&recording, recording.culprits()[0]);
                assert_eq!(now > before, slower, "{class:?} {seed}: {before} -> {now} ms");
            }
        }
    }

    #[test]
    fn a_retry_storm_multiplies_the_calls_to_its_culprit() {
        let growth = |seed| {
            let recording = generate(Class::RetryStorm, seed);
            let ([start, _], culprit) = (recording.window, recording.culprits()[0]);
            let calls = |faulty: bool| {
                let of = |span: &&traffic::Span| {
                    recording.topology.services[span.service].name == culprit
                        && span.kind == traffic::Kind::Server
                        && (span.start >= start) == faulty
                };
                recording.spans.iter().filter(of).count() as f64
            };
            (calls(true) / Scenario::FAULTY as f64) / (calls(false) / Scenario::QUIET as f64)
        };
        // A culprit that is called rarely has too few calls for one recording to show it.
        let mut growths: Vec<f64> = (1..=9).map(growth).collect();
        growths.sort_by(f64::total_cmp);
        assert!(growths[4] > 1.4, "{growths:?}");
    }

    #[test]
    fn a_shuffled_recording_has_the_same_traces_at_other_times() {
        let (plain, other) = (generate(Class::Latency, 2), generate(Class::Latency, 2).shuffled(1));
        let durations = |recording: &Recording| {
            recording.spans.iter().map(|span| (span.id, span.end - span.start)).collect::<BTreeMap<_, _>>()
        };
        assert_eq!(durations(&plain), durations(&other));
        let starts = |recording: &Recording| {
            let mut starts: Vec<u64> =
                recording.spans.iter().filter(|span| span.parent == 0).map(|span| span.start).collect();
            starts.sort_unstable();
            starts
        };
        assert_eq!(starts(&plain), starts(&other));
        let trace_at = |recording: &Recording| recording.spans.first().map(|span| span.trace);
        assert_ne!(trace_at(&plain), trace_at(&other));
        assert!(other.logs.is_sorted_by_key(|log| log.time) && other.spans.is_sorted_by_key(|span| span.end));
        assert!(other.metrics.is_sorted_by_key(|scrape| scrape.time));
    }

    #[test]
    fn two_causes_are_two_services() {
        for seed in 1..10 {
            let recording = generate(Class::TwoCauses, seed);
            let culprits = recording.culprits();
            assert_eq!(culprits.len(), 2);
            assert_ne!(culprits[0], culprits[1]);
        }
    }
}
