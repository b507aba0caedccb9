//! A class of fault made physical: where it sits, and what it does to a request that comes by.

use std::ops::Range;

use rand::Rng;
use rand::rngs::SmallRng;

use super::topology::{Step, Topology};
use super::traffic::Shares;
use super::{Class, MILLISECOND};

/// Shares of the requests that each class hits.
const ERRORS: Range<f64> = 0.3..1.0;
const TRUNCATED: Range<f64> = 0.6..1.0;
const DEPLOYED: Range<f64> = 0.15..0.6;
const FLAGGED: Range<f64> = 0.3..0.9;

/// What a fault does to the requests that it hits.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Effect {
    /// Work takes this many times as long, and the request at least this much longer, nanoseconds.
    Slow(f64, u64),
    /// Every exchange with the service takes this much longer on the way, nanoseconds, half of it each way.
    Network(u64),
    /// Before this step the request throws.
    Throw(usize),
    /// Before this step the request returns.
    Return(usize),
    /// The request stands still before its first step, nanoseconds.
    Pause(Range<u64>),
    /// The request waits before each query, nanoseconds; the longest waits give up.
    PoolWait(Range<u64>),
    /// A new branch: another log statement, and this much more work, nanoseconds; with 0 it throws.
    Branch(u64),
}

/// A fault in a service.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Fault {
    pub(super) service: usize,
    /// The operation that has it, or all.
    pub(super) operation: Option<usize>,
    /// Share of the requests that it hits, 0 to 1.
    pub(super) share: f64,
    pub(super) effect: Effect,
}

/// What a pod's metrics show besides what the work makes of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Saturated {
    Cpu,
    Memory,
    Pool,
}

/// Everything that is wrong in the window.
pub(super) struct Plan {
    pub(super) faults: Vec<Fault>,
    pub(super) saturated: Vec<(usize, Saturated)>,
    /// The services that are deployed anew as the window begins; they need not be to blame.
    pub(super) deployed: Vec<usize>,
    /// The operation that reads a flag; before the window too.
    pub(super) flagged: Option<usize>,
}

impl Plan {
    /// Nothing is wrong.
    pub(super) const fn quiet() -> Self {
        Self { faults: Vec::new(), saturated: Vec::new(), deployed: Vec::new(), flagged: None }
    }

    /// Chooses a culprit among what carries traffic. May change the system itself (who retries), which then holds
    /// before the window too.
    pub(super) fn new(class: Class, topology: &mut Topology, shares: &Shares, random: &mut SmallRng) -> Self {
        let mut plan = Self::quiet();
        // Somebody deploys something, and it is fine.
        if random.random_bool(0.4) {
            plan.deployed.push(random.random_range(0..topology.services.len()));
        }
        if class == Class::TwoCauses {
            let kinds = [Class::Latency, Class::Error, Class::Resource];
            let first = pick(&shares.services(), random);
            let apart = |other: &usize| !topology.below(first)[*other] && !topology.below(*other)[first];
            let others: Vec<usize> = shares.services().into_iter().filter(apart).collect();
            let second = if others.is_empty() { other_than(first, &shares.services()) } else { pick(&others, random) };
            for culprit in [first, second] {
                plan.add(kinds[random.random_range(0..3)], culprit, topology, shares, random);
            }
            return plan;
        }
        let eligible: Vec<usize> =
            shares.services().into_iter().filter(|&service| fits(class, service, topology, shares)).collect();
        let culprit = if eligible.is_empty() { shares.busiest() } else { pick(&eligible, random) };
        plan.add(class, culprit, topology, shares, random);
        plan
    }

    /// The services with a fault.
    pub(super) fn culprits(&self) -> Vec<usize> {
        let mut services: Vec<usize> = self.faults.iter().map(|fault| fault.service).collect();
        services.sort_unstable();
        services.dedup();
        services
    }

    fn add(&mut self, class: Class, service: usize, topology: &mut Topology, shares: &Shares, random: &mut SmallRng) {
        let everywhere = |share: f64, effect: Effect| Fault { service, operation: None, share, effect };
        let operation = busiest(service, topology, shares);
        // Rare operations have to fail more often to be noticed at all.
        let share = |range: Range<f64>, random: &mut SmallRng| {
            let least = shares.least() / shares.of_operation(operation).max(f64::MIN_POSITIVE);
            let from = least.clamp(range.start, range.end);
            from + (range.end - from) * random.random::<f64>()
        };
        match class {
            Class::Latency if random.random_bool(0.5) => {
                let late = random.random_range(25..120) * MILLISECOND;
                self.faults.push(everywhere(1.0, Effect::Network(late)));
            }
            Class::Latency => {
                self.faults.push(everywhere(1.0, Effect::Slow(random.random_range(3.0..8.0), 30 * MILLISECOND)));
            }
            Class::Error => self.throw(operation, share(ERRORS, random), topology, random),
            Class::Truncation => {
                let operation = truncatable(service, topology, shares).unwrap_or(operation);
                let last = last_effect(&topology.operations[operation].body).unwrap_or(0);
                let effect = Effect::Return(random.random_range(0..=last));
                let share = random.random_range(TRUNCATED);
                self.faults.push(Fault { service, operation: Some(operation), share, effect });
            }
            Class::Resource if random.random_bool(0.5) => {
                self.faults.push(everywhere(1.0, Effect::Slow(random.random_range(2.0..5.0), 0)));
                self.saturated.push((service, Saturated::Cpu));
            }
            Class::Resource => {
                self.faults.push(everywhere(0.33, Effect::Pause(40 * MILLISECOND..250 * MILLISECOND)));
                self.saturated.push((service, Saturated::Memory));
            }
            Class::RetryStorm => {
                let mine = topology.services[service].operations.clone();
                let calls = topology.operations.iter_mut().flat_map(super::topology::Operation::calls_mut);
                calls.filter(|call| mine.contains(&call.operation)).for_each(|call| call.attempts = 4);
                let share = random.random_range(0.4..0.8);
                self.faults.push(everywhere(1.0, Effect::Slow(1.0 + share + share * share, 0)));
                self.faults.push(everywhere(share, Effect::Throw(1)));
            }
            Class::CascadingTimeout => {
                let hang = Effect::Pause(1500 * MILLISECOND..4000 * MILLISECOND);
                self.faults.push(everywhere(random.random_range(0.6..1.0), hang));
            }
            Class::PoolExhaustion => {
                self.faults.push(everywhere(0.9, Effect::PoolWait(40 * MILLISECOND..400 * MILLISECOND)));
                self.saturated.push((service, Saturated::Pool));
            }
            Class::BadDeploy => {
                self.deployed.push(service);
                if random.random_bool(0.5) && shares.are_enough(operation, DEPLOYED.end) {
                    self.throw(operation, share(DEPLOYED, random), topology, random);
                } else {
                    self.faults.push(everywhere(1.0, Effect::Slow(random.random_range(2.0..5.0), 20 * MILLISECOND)));
                }
            }
            Class::BadFlag => {
                self.flagged = Some(operation);
                let more = random.random_range(50..200) * MILLISECOND;
                let effect = Effect::Branch(if random.random_bool(0.5) { more } else { 0 });
                let share = share(FLAGGED, random);
                self.faults.push(Fault { service, operation: Some(operation), share, effect });
            }
            Class::TwoCauses => unreachable!("its faults are of other classes"),
        }
    }

    fn throw(&mut self, operation: usize, share: f64, topology: &Topology, random: &mut SmallRng) {
        let service = topology.operations[operation].service;
        let at = random.random_range(0..topology.operations[operation].body.len());
        self.faults.push(Fault { service, operation: Some(operation), share, effect: Effect::Throw(at) });
    }
}

/// The operation of the service that most requests meet.
fn busiest(service: usize, topology: &Topology, shares: &Shares) -> usize {
    let operations = topology.services[service].operations.iter().copied();
    operations
        .max_by(|a, b| shares.of_operation(*a).total_cmp(&shares.of_operation(*b)))
        .expect("every service has an operation")
}

fn fits(class: Class, service: usize, topology: &Topology, shares: &Shares) -> bool {
    let of = &topology.services[service];
    match class {
        Class::Truncation => truncatable(service, topology, shares).is_some(),
        // Somebody has to call it and wait.
        Class::RetryStorm | Class::CascadingTimeout => of.tier > 0 && shares.is_waited_for(service),
        Class::PoolExhaustion => of.pool > 0,
        Class::Error => shares.are_enough(busiest(service, topology, shares), ERRORS.end),
        Class::BadFlag => shares.are_enough(busiest(service, topology, shares), FLAGGED.end),
        _ => true,
    }
}

/// The busiest operation of the service that does something that can be left out.
fn truncatable(service: usize, topology: &Topology, shares: &Shares) -> Option<usize> {
    let able = |operation: &usize| {
        last_effect(&topology.operations[*operation].body).is_some() && shares.are_enough(*operation, TRUNCATED.start)
    };
    let operations = topology.services[service].operations.iter().copied().filter(able);
    operations.max_by(|a, b| shares.of_operation(*a).total_cmp(&shares.of_operation(*b)))
}

/// The last step of every request that others can see: a log statement, a query, a call, a message.
fn last_effect(body: &[Step]) -> Option<usize> {
    let seen = |step: &Step| match step {
        Step::Work(_) => false,
        Step::Call(call) => call.share >= 1.0,
        _ => true,
    };
    body.iter().rposition(seen)
}

fn pick(from: &[usize], random: &mut SmallRng) -> usize {
    from[random.random_range(0..from.len())]
}

fn other_than(first: usize, services: &[usize]) -> usize {
    services.iter().copied().find(|service| *service != first).expect("a topology has more than one busy service")
}
