//! A small shop whose slices are made without a pipeline: web calls cart and ads, cart calls db.

use std::collections::BTreeMap;
use std::sync::Arc;

use backtrail_model::Slice;
use backtrail_model::edges::{EdgeKey, EdgeKind, EdgeSlice};
use backtrail_model::histogram::bucket;
use backtrail_model::spectra::{Element, ElementKind, Entry, SpectraSlice, TestKey, TraceGroup};

/// What is wrong in a slice.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Fault {
    None,
    /// db works 30 ms longer.
    SlowDb,
    /// Calls from web to ads lose 40 ms on the way.
    NetworkToAds,
    /// cart throws in half of its requests; web passes the error on.
    CartThrows,
    /// db answers nothing: every call from cart to it fails at the client.
    DbGone,
}

/// Names of web, cart, db and ads.
pub(crate) type Names = [&'static str; 4];
pub(crate) const NAMES: Names = ["web", "cart", "db", "ads"];
const MS: u64 = 1_000_000;

/// Pseudo-random numbers, 0 to 99.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % 100
    }
}

/// One slice of `traces` requests.
pub(crate) fn slice(names: &Names, at: u64, traces: u64, fault: Fault) -> (SpectraSlice, EdgeSlice) {
    let [web, cart, db, ads] = names.map(Arc::<str>::from);
    let (mut spectra, mut edges) = (SpectraSlice::new(Slice(at)), EdgeSlice::new(Slice(at)));
    let mut dice = Dice(at.wrapping_mul(77).wrapping_add(5));
    for _ in 0..traces {
        let mut noise = |base: u64| base * MS + base * MS * dice.roll() / 200;
        let db_self = noise(4) + if fault == Fault::SlowDb { 30 * MS } else { 0 };
        let ads_gap = noise(1) + if fault == Fault::NetworkToAds { 40 * MS } else { 0 };
        let (cart_self, web_self, cart_gap, db_gap, ads_self) = (noise(3), noise(2), noise(1), noise(1), noise(2));
        let throws = fault == Fault::CartThrows && dice.roll() < 50;
        let gone = fault == Fault::DbGone;
        let mut test = |service: &Arc<str>, operation: &str, callee: Option<&Arc<str>>, nanos: u64| {
            let key = TestKey { service: Arc::clone(service), operation: operation.into(), callee: callee.cloned() };
            spectra.tests.entry(key).or_default().record(nanos);
        };
        test(&web, "GET /", None, web_self);
        test(&web, "call cart", Some(&cart), cart_gap);
        test(&web, "call ads", Some(&ads), ads_gap);
        test(&ads, "ads.Get", None, ads_self);
        test(&cart, "cart.Add", None, cart_self);
        test(&cart, "call db", if gone { None } else { Some(&db) }, db_gap);
        if !gone {
            test(&db, "SELECT", None, db_self);
        }
        let mut call = |from: &str, to: &Arc<str>, route: &str, error: bool, nanos: u64, kind| {
            let key = EdgeKey { caller: from.into(), callee: Arc::clone(to), route: route.into(), kind };
            let counts = edges.edges.entry(key).or_default();
            counts.calls += 256;
            counts.requests += 256;
            counts.errors += if error { 256 } else { 0 };
            counts.critical += 256;
            counts.critical_ns += u128::from(nanos);
            counts.client.record(nanos, 1);
            if kind != EdgeKind::Virtual {
                counts.server.record(nanos, 256);
            }
        };
        let below = cart_self + db_gap + db_self;
        let total = web_self + cart_gap + below + ads_gap + ads_self;
        call("", &web, "GET /", throws || gone, total, EdgeKind::Entry);
        call(&web, &cart, "cart.Add", throws || gone, below + cart_gap, EdgeKind::Call);
        call(&web, &ads, "ads.Get", false, ads_self + ads_gap, EdgeKind::Call);
        let kind = if gone { EdgeKind::Virtual } else { EdgeKind::Call };
        call(&cart, &db, "SELECT", gone, db_self + db_gap, kind);
        if throws {
            *spectra.error_origins.entry((Arc::clone(&cart), "cart.Add".into())).or_default() += 256;
        }
        if gone {
            *spectra.error_origins.entry((Arc::clone(&cart), "call db".into())).or_default() += 256;
        }
        let entry = Entry { service: Arc::clone(&web), route: "GET /".into() };
        let group = TraceGroup { entry, signature: 1 + u64::from(gone), error: throws || gone, latency: bucket(total) };
        *spectra.groups.entry(group).or_default() += 256;
    }
    spectra.signatures.insert(1, elements(&[&web, &cart, &db, &ads]));
    spectra.signatures.insert(2, elements(&[&web, &cart, &ads]));
    (spectra, edges)
}

fn elements(services: &[&Arc<str>]) -> Arc<[Element]> {
    let mut list = Vec::new();
    let cart = services[1];
    for service in services {
        list.push(Element { kind: ElementKind::Service, service: Arc::clone(service), name: "".into() });
    }
    list.push(Element { kind: ElementKind::Function, service: Arc::clone(cart), name: "Cart.add".into() });
    list.push(Element { kind: ElementKind::File, service: Arc::clone(cart), name: "src/cart.rs".into() });
    list.sort();
    list.into()
}

/// Forty quiet slices and eight with the fault.
pub(crate) struct Case {
    pub(crate) baseline: Vec<(SpectraSlice, EdgeSlice)>,
    pub(crate) window: Vec<(SpectraSlice, EdgeSlice)>,
}

impl Case {
    pub(crate) fn new(names: &Names, fault: Fault) -> Self {
        let baseline = (0..40).map(|at| slice(names, at, 12, Fault::None)).collect();
        let window = (40..48).map(|at| slice(names, at, 12, fault)).collect();
        Self { baseline, window }
    }

    pub(crate) fn judge(&self) -> backtrail_localize::Judgement {
        judge(&self.baseline, &self.window)
    }
}

/// Judges slices in the order given.
pub(crate) fn judge(
    baseline: &[(SpectraSlice, EdgeSlice)],
    window: &[(SpectraSlice, EdgeSlice)],
) -> backtrail_localize::Judgement {
    fn slices(parts: &[(SpectraSlice, EdgeSlice)]) -> backtrail_localize::Slices<'_> {
        backtrail_localize::Slices {
            spectra: parts.iter().map(|slice| &slice.0).collect(),
            edges: parts.iter().map(|slice| &slice.1).collect(),
            ..backtrail_localize::Slices::default()
        }
    }
    backtrail_localize::judge(&slices(baseline), &slices(window), &backtrail_localize::Options::default())
}

/// Splits slices into shards: every count goes to one of `shards` parts, half by half where it can be halved.
pub(crate) fn shards(slices: &[(SpectraSlice, EdgeSlice)], shards: usize) -> Vec<(SpectraSlice, EdgeSlice)> {
    let mut out = Vec::new();
    for (spectra, edges) in slices {
        for shard in 0..shards {
            let mine = |index: usize| index % shards == shard;
            let mut part = SpectraSlice::new(spectra.slice);
            part.signatures.clone_from(&spectra.signatures);
            part.groups = pick(&spectra.groups, mine);
            part.tests = pick(&spectra.tests, mine);
            part.error_origins = pick(&spectra.error_origins, mine);
            let mut side = EdgeSlice::new(edges.slice);
            side.edges = pick(&edges.edges, mine);
            out.push((part, side));
        }
    }
    out
}

fn pick<K: Ord + Clone, V: Clone>(map: &BTreeMap<K, V>, mine: impl Fn(usize) -> bool) -> BTreeMap<K, V> {
    let chosen = map.iter().enumerate().filter(|(index, _)| mine(*index));
    chosen.map(|(_, (key, value))| (key.clone(), value.clone())).collect()
}
