//! A system: services in tiers, their operations, and what each operation does step by step.
//!
//! Lower tiers are made first, so the size of every call tree is known and bounded. Operations call down one tier, or
//! two; services that nobody calls yet are preferred, the rest of the calls makes shared callees.

use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::SliceRandom;

use super::MILLISECOND;

const NOUNS: [&str; 30] = [
    "cart", "order", "payment", "shipping", "currency", "catalog", "advert", "email", "stock", "price", "account",
    "session", "search", "review", "fraud", "ledger", "ticket", "route", "seat", "station", "voucher", "invoice",
    "address", "profile", "media", "notice", "quota", "report", "tax", "wallet",
];
const ROLES: [&str; 10] =
    ["service", "store", "gateway", "worker", "index", "proxy", "broker", "engine", "registry", "cache"];
const VERBS: [&str; 6] = ["get", "list", "create", "update", "check", "quote"];

/// Most services in the call tree of an operation, by tier.
const TREE: [usize; 5] = [16, 10, 6, 3, 1];

/// A service.
pub(super) struct Service {
    pub(super) name: String,
    pub(super) tier: usize,
    /// Speaks gRPC, else HTTP.
    pub(super) rpc: bool,
    pub(super) node: String,
    /// Processor limit and what an idle pod takes, cores.
    pub(super) cpu: [f64; 2],
    /// Memory limit and the ordinary level, bytes.
    pub(super) memory: [f64; 2],
    /// Most connections of its pool; 0 without a database.
    pub(super) pool: u32,
    /// Share of its requests that fail in quiet times, 0 to 1.
    pub(super) flaky: f64,
    /// How its work takes longer and shorter in the course of minutes: by which part, with which period (seconds) and
    /// from which phase (radians).
    pub(super) swing: [f64; 3],
    pub(super) operations: Vec<usize>,
}

/// An operation of a service.
pub(super) struct Operation {
    pub(super) service: usize,
    /// Name of the server span: the route or the method.
    pub(super) name: String,
    /// The function that does the work, if it has a span of its own.
    pub(super) function: Option<String>,
    /// The file of its log statements.
    pub(super) file: String,
    /// What it does.
    pub(super) body: Vec<Step>,
    /// Services in its call tree.
    tree: usize,
}

/// A step of an operation.
pub(super) enum Step {
    /// Work; median, nanoseconds.
    Work(f64),
    /// A log statement at this line.
    Log(u32),
    /// A query to the database, through the pool.
    Query(String),
    /// A call.
    Call(Call),
    /// Calls at the same time.
    Fork(Vec<Call>),
    /// A message to another operation, which nobody waits for.
    Publish(usize),
}

/// A call of another operation.
#[derive(Clone)]
pub(super) struct Call {
    pub(super) operation: usize,
    /// Share of the requests whose data lead here, 0 to 1.
    pub(super) share: f64,
    /// Whether a fallback answers when it fails.
    pub(super) guarded: bool,
    /// When the caller gives up, nanoseconds.
    pub(super) timeout: u64,
    /// How often it is tried.
    pub(super) attempts: u32,
}

/// The system.
pub(super) struct Topology {
    pub(super) services: Vec<Service>,
    pub(super) operations: Vec<Operation>,
    /// Operations that users call, with their share of the traffic.
    pub(super) entries: Vec<(usize, f64)>,
}

impl Topology {
    pub(super) fn new(services: usize, random: &mut SmallRng) -> Self {
        let mut topology = Self { services: Vec::new(), operations: Vec::new(), entries: Vec::new() };
        let tiers: &[f64] = if services > 50 { &[0.06, 0.2, 0.3, 0.24, 0.2] } else { &[0.1, 0.25, 0.35, 0.3] };
        // No name says what tier a service is of.
        let mut names: Vec<String> = (0..services)
            .map(|i| {
                let round = i / (NOUNS.len() * ROLES.len());
                let role = ROLES[(i / NOUNS.len() + i) % ROLES.len()];
                let name = format!("{}-{role}", NOUNS[i % NOUNS.len()]);
                if round == 0 { name } else { format!("{name}-{round}") }
            })
            .collect();
        names.shuffle(random);
        let mut bounds = vec![0];
        for share in tiers {
            let last: usize = bounds[bounds.len() - 1];
            bounds.push((last + (share * services as f64).round().max(1.0) as usize).min(services));
        }
        bounds[tiers.len()] = services;
        for (i, name) in names.into_iter().enumerate() {
            let tier = bounds.iter().skip(1).take_while(|bound| **bound <= i).count();
            topology.services.push(service(name, tier, tier + 1 == tiers.len(), services, random));
        }
        for tier in (0..tiers.len()).rev() {
            for service in bounds[tier]..bounds[tier + 1] {
                topology.add_operations(service, tiers.len(), random);
            }
        }
        topology.add_messages(random);
        topology.open_entries(random);
        topology
    }

    /// Services that `service` calls, directly or not, itself included.
    pub(super) fn below(&self, service: usize) -> Vec<bool> {
        let mut seen = vec![false; self.services.len()];
        let mut open = vec![service];
        while let Some(at) = open.pop() {
            if std::mem::replace(&mut seen[at], true) {
                continue;
            }
            for &operation in &self.services[at].operations {
                open.extend(self.operations[operation].callees().map(|callee| self.operations[callee].service));
            }
        }
        seen
    }

    fn add_operations(&mut self, service: usize, tiers: usize, random: &mut SmallRng) {
        let mut verbs = VERBS;
        verbs.shuffle(random);
        for verb in verbs.iter().take(random.random_range(1..=3)) {
            let operation = self.operation(service, verb, tiers, random);
            self.services[service].operations.push(self.operations.len());
            self.operations.push(operation);
        }
    }

    fn operation(&self, service: usize, verb: &str, tiers: usize, random: &mut SmallRng) -> Operation {
        let of = &self.services[service];
        let noun = of.name.replace('-', "_");
        let name = if of.rpc { format!("{noun}.Api/{verb}") } else { format!("{} /{noun}/{verb}", method(verb)) };
        let function = random.random_bool(0.6).then(|| format!("{noun}.{verb}.handle"));
        let file = format!("src/{noun}/{verb}.rs");
        let depth = of.tier + TREE.len() - tiers;
        let (mut body, mut tree, mut line) = (vec![], 1, 20);
        let mut log = |body: &mut Vec<Step>, share: f64, random: &mut SmallRng| {
            line += random.random_range(2..9);
            if random.random_bool(share) {
                body.push(Step::Log(line));
            }
        };
        // Medians of a millisecond or so at the leaves and in gateways, some slow services among them.
        let work = |random: &mut SmallRng| Step::Work(MILLISECOND as f64 * (random.random_range(-1.2_f64..1.6)).exp());
        log(&mut body, 0.7, random);
        body.push(work(random));
        let calls =
            if of.tier + 1 == tiers { 0 } else { random.random_range(if of.tier == 0 { 2..=4 } else { 1..=3 }) };
        let mut pending = Vec::new();
        for _ in 0..calls {
            if let Some(callee) = self.callee(of.tier, TREE[depth] - tree.min(TREE[depth]), random) {
                tree += self.operations[callee].tree;
                pending.push(Self::call(callee, of.tier, random));
            }
        }
        while !pending.is_empty() {
            if pending.len() > 1 && random.random_bool(0.3) {
                body.push(Step::Fork(pending.split_off(pending.len() - 2)));
            } else {
                body.extend(pending.pop().map(Step::Call));
            }
            log(&mut body, 0.5, random);
            if random.random_bool(0.5) {
                body.push(work(random));
            }
        }
        if of.pool > 0 {
            body.push(Step::Query(noun.clone()));
            log(&mut body, 0.5, random);
            body.push(work(random));
        }
        log(&mut body, 0.6, random);
        Operation { service, name, function, file, body, tree }
    }

    /// An operation one or two tiers below `tier` with a call tree of at most `room` services.
    fn callee(&self, tier: usize, room: usize, random: &mut SmallRng) -> Option<usize> {
        let down = tier + if random.random_bool(0.8) { 1 } else { 2 };
        let fits = |operation: &usize| {
            let of = &self.operations[*operation];
            of.tree <= room && self.services[of.service].tier == down
        };
        let all: Vec<usize> = (0..self.operations.len()).filter(fits).collect();
        let mut called = vec![false; self.services.len()];
        for callee in self.operations.iter().flat_map(Operation::callees) {
            called[self.operations[callee].service] = true;
        }
        let fresh: Vec<usize> =
            all.iter().copied().filter(|&operation| !called[self.operations[operation].service]).collect();
        let from = if !fresh.is_empty() && random.random_bool(0.7) { fresh } else { all };
        (!from.is_empty()).then(|| from[random.random_range(0..from.len())])
    }

    fn call(operation: usize, tier: usize, random: &mut SmallRng) -> Call {
        Call {
            operation,
            share: if random.random_bool(0.3) { random.random_range(0.2..0.8) } else { 1.0 },
            guarded: random.random_bool(0.15),
            // Outer timeouts are not always the longer ones, as in life.
            timeout: random.random_range(300..700) * MILLISECOND + if tier == 0 { 300 * MILLISECOND } else { 0 },
            attempts: if random.random_bool(0.3) { 2 } else { 1 },
        }
    }

    /// Some operations send a message that an operation of the last tiers works on later.
    fn add_messages(&mut self, random: &mut SmallRng) {
        let last = self.services.iter().map(|service| service.tier).max().unwrap_or(0);
        let consumers: Vec<usize> = (0..self.operations.len())
            .filter(|&operation| self.services[self.operations[operation].service].tier + 1 >= last)
            .collect();
        for operation in 0..self.operations.len() {
            let tier = self.services[self.operations[operation].service].tier;
            if tier + 1 < last && random.random_bool(0.15) && !consumers.is_empty() {
                let consumer = consumers[random.random_range(0..consumers.len())];
                if self.operations[consumer].service != self.operations[operation].service {
                    self.operations[operation].body.push(Step::Publish(consumer));
                }
            }
        }
    }

    /// Users call the operations of the first tier, some more than others, and what nobody calls.
    fn open_entries(&mut self, random: &mut SmallRng) {
        for (number, operation) in self.operations.iter().enumerate() {
            let service = operation.service;
            if self.services[service].tier == 0 {
                self.entries.push((number, random.random_range(0.3..1.0)));
            }
        }
        let total: f64 = self.entries.iter().map(|entry| entry.1).sum();
        for entry in &mut self.entries {
            entry.1 /= total;
        }
    }
}

impl Operation {
    /// The operations that it calls or sends messages to.
    pub(super) fn callees(&self) -> impl Iterator<Item = usize> {
        self.body.iter().flat_map(|step| match step {
            Step::Call(call) => vec![call.operation],
            Step::Fork(calls) => calls.iter().map(|call| call.operation).collect(),
            Step::Publish(operation) => vec![*operation],
            _ => Vec::new(),
        })
    }

    /// The calls that can be changed.
    pub(super) fn calls_mut(&mut self) -> impl Iterator<Item = &mut Call> {
        self.body.iter_mut().flat_map(|step| match step {
            Step::Call(call) => std::slice::from_mut(call),
            Step::Fork(calls) => calls.as_mut_slice(),
            _ => &mut [],
        })
    }
}

fn service(name: String, tier: usize, leaf: bool, services: usize, random: &mut SmallRng) -> Service {
    let limit = [0.5, 1.0, 2.0][random.random_range(0..3)];
    let memory = [256.0, 512.0, 1024.0][random.random_range(0..3)] * 1_048_576.0;
    Service {
        name,
        tier,
        rpc: random.random_bool(0.5),
        node: format!("node-{}", random.random_range(0..services.div_ceil(8))),
        cpu: [limit, limit * random.random_range(0.03..0.3)],
        memory: [memory, memory * random.random_range(0.25..0.7)],
        pool: if leaf || tier > 0 && random.random_bool(0.4) { random.random_range(2..5) * 5 } else { 0 },
        flaky: if random.random_bool(0.15) { random.random_range(0.005..0.03) } else { 5e-4 },
        swing: [
            random.random_range(0.0..0.2),
            random.random_range(60.0..600.0),
            random.random_range(0.0..std::f64::consts::TAU),
        ],
        operations: Vec::new(),
    }
}

/// The HTTP method of a verb.
pub(super) fn method(verb: &str) -> &'static str {
    match verb {
        "create" => "POST",
        "update" => "PUT",
        _ => "GET",
    }
}
