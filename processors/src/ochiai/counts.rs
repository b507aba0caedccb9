//! The counts of an open slice, by interned ids; strings come back when the slice closes.

use std::collections::BTreeMap;
use std::sync::Arc;

use backtrail_model::histogram::OpenHistogram;
use backtrail_model::span::{Origin, SpanRecord};
use backtrail_model::spectra::{Element, Entry, SignatureHash, SpectraSlice, TestKey, TestSums, TraceGroup};
use backtrail_model::symbols::{Symbol, SymbolKind, Symbols};
use backtrail_model::time::Slice;
use hashbrown::{HashMap, HashSet};

use super::elements::{Elements, ShapeId};
use super::paths::OpenPaths;

type Map<K, V> = HashMap<K, V, foldhash::fast::FixedState>;

/// What a trace is counted by, but for its signature.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    pub(super) service: Symbol,
    pub(super) operation: Symbol,
    pub(super) error: bool,
    pub(super) latency: u16,
    pub(super) weight: u64,
}

/// What a latency test measures; no callee for self time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Test {
    pub(super) service: Symbol,
    pub(super) operation: Symbol,
    pub(super) callee: Symbol,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct GroupKey {
    service: Symbol,
    operation: Symbol,
    signature: SignatureHash,
    error: bool,
    latency: u16,
}

/// The sums of a latency test with their histogram still open.
#[derive(Default)]
struct OpenSums {
    n: u64,
    traces: u64,
    /// The trace that was counted last, by its number in the slice.
    last: u64,
    sum: u128,
    sum_sq: u128,
    histogram: OpenHistogram,
}

impl OpenSums {
    #[inline]
    fn record(&mut self, trace: u64, ns: u64) {
        self.n += 1;
        self.traces += u64::from(self.last != trace);
        self.last = trace;
        self.sum += u128::from(ns);
        self.sum_sq += u128::from(ns) * u128::from(ns);
        self.histogram.record(ns, 1);
    }

    fn close(&self) -> TestSums {
        TestSums {
            n: self.n,
            traces: self.traces,
            sum: self.sum,
            sum_sq: self.sum_sq,
            histogram: self.histogram.close(),
        }
    }
}

/// Which test each shape of span counts for: a look-up by number in place of one by three symbols.
#[derive(Default)]
struct RememberedTests {
    generation: u32,
    /// By shape: the callee and test that were met last, for self time and for gaps.
    of: Vec<[(Symbol, u32); 2]>,
}

impl RememberedTests {
    const UNKNOWN: u32 = u32::MAX;

    fn begin(&mut self, generation: u32) {
        if self.generation != generation {
            self.generation = generation;
            self.of.clear();
        }
    }

    #[inline]
    fn find(&mut self, shape: ShapeId, callee: Symbol, look_up: impl FnOnce() -> u32) -> u32 {
        let shape = shape.0 as usize;
        if self.of.len() <= shape {
            self.of.resize(shape + 1, [(Symbol::NONE, Self::UNKNOWN); 2]);
        }
        let last = &mut self.of[shape][usize::from(callee.is_some())];
        if last.1 == Self::UNKNOWN || last.0 != callee {
            *last = (callee, look_up());
        }
        last.1
    }
}

/// One shard's counts of one slice.
#[derive(Default)]
pub(super) struct OpenSpectra {
    signatures: Map<SignatureHash, Arc<[Element]>>,
    groups: Map<GroupKey, u64>,
    tests: Map<Test, u32>,
    sums: Vec<OpenSums>,
    remembered: RememberedTests,
    /// Number of the trace that is read, from 1.
    trace: u64,
    error_origins: Map<(Symbol, Symbol), u64>,
    versions: HashSet<(Symbol, Arc<str>, Arc<str>), foldhash::fast::FixedState>,
    observed: u64,
    overflow: u64,
    pub(super) paths: OpenPaths,
}

impl OpenSpectra {
    /// Counts the trace whose elements are marked; without them when they are too many (`fits` is false) or when the
    /// slice has its fill of signatures.
    pub(super) fn count_trace(&mut self, group: Group, elements: &mut Elements, fits: bool, max_signatures: usize) {
        let mut signature = elements.signature();
        if !fits {
            signature = TraceGroup::OVERFLOW;
        } else if !self.signatures.contains_key(&signature) {
            if self.signatures.len() < max_signatures {
                self.signatures.insert(signature, elements.list(signature));
            } else {
                signature = TraceGroup::OVERFLOW;
            }
        }
        if signature == TraceGroup::OVERFLOW {
            self.overflow += group.weight;
        }
        self.observed += 1;
        let Group { service, operation, error, latency, weight } = group;
        *self.groups.entry(GroupKey { service, operation, signature, error, latency }).or_default() += weight;
    }

    /// Counts an observation of a latency test of a span of this shape.
    #[inline]
    pub(super) fn count_test(&mut self, shape: ShapeId, test: Test, ns: u64) {
        let Self { tests, sums, remembered, trace, .. } = self;
        let index = remembered.find(shape, test.callee, || {
            *tests.entry(test).or_insert_with(|| {
                sums.push(OpenSums::default());
                (sums.len() - 1) as u32
            })
        });
        sums[index as usize].record(*trace, ns);
    }

    /// The next trace; the numbers of shapes are those of this generation from now on.
    pub(super) fn begin_trace(&mut self, generation: u32) {
        self.trace += 1;
        self.remembered.begin(generation);
    }

    /// Counts a span that failed by itself.
    pub(super) fn count_error_origin(&mut self, span: &SpanRecord) {
        *self.error_origins.entry((span.service, span.operation)).or_default() += u64::from(span.weight);
    }

    /// Notes the version of a service, if it states one.
    pub(super) fn count_version(&mut self, origin: &Origin) {
        if !(origin.version.is_empty() && origin.revision.is_empty()) {
            self.versions.insert((origin.service, Arc::clone(&origin.version), Arc::clone(&origin.revision)));
        }
    }

    /// The closed slice. Two ids can mean one string only past the symbol table's cap ("(other)"), hence the sums.
    pub(super) fn resolve(self, slice: Slice, symbols: &Symbols) -> SpectraSlice {
        let service = |symbol| symbols.resolve(SymbolKind::Service, symbol);
        let operation = |symbol| symbols.resolve(SymbolKind::Operation, symbol);
        let mut closed = SpectraSlice::new(slice);
        closed.observed = self.observed;
        closed.overflow = self.overflow;
        closed.paths = self.paths.close();
        closed.signatures = self.signatures.into_iter().collect();
        closed.groups = resolve_groups(self.groups, |service_symbol, operation_symbol| Entry {
            service: service(service_symbol),
            route: operation(operation_symbol),
        });
        for (test, index) in self.tests {
            let sums = &self.sums[index as usize];
            let callee = test.callee.is_some().then(|| service(test.callee));
            let key = TestKey { service: service(test.service), operation: operation(test.operation), callee };
            closed.tests.entry(key).or_default().merge(&sums.close());
        }
        for ((s, o), count) in self.error_origins {
            *closed.error_origins.entry((service(s), operation(o))).or_default() += count;
        }
        for (symbol, version, revision) in self.versions {
            closed.versions.entry(service(symbol)).or_default().insert((version, revision));
        }
        closed
    }
}

/// Groups by strings. There can be as many as traces, so entries are compared as strings once each and groups by number.
fn resolve_groups(groups: Map<GroupKey, u64>, entry: impl Fn(Symbol, Symbol) -> Entry) -> BTreeMap<TraceGroup, u64> {
    let mut numbers: Map<(Symbol, Symbol), usize> = Map::default();
    for key in groups.keys() {
        numbers.insert((key.service, key.operation), 0);
    }
    let mut entries: Vec<(Entry, (Symbol, Symbol))> =
        numbers.keys().map(|&pair| (entry(pair.0, pair.1), pair)).collect();
    entries.sort_unstable();
    let mut distinct: Vec<Entry> = Vec::with_capacity(entries.len());
    for (entry, pair) in entries {
        if distinct.last() != Some(&entry) {
            distinct.push(entry);
        }
        numbers.insert(pair, distinct.len() - 1);
    }
    let number = |key: &GroupKey| numbers[&(key.service, key.operation)];
    let mut sorted: Vec<_> =
        groups.into_iter().map(|(key, count)| ((number(&key), key.signature, key.error, key.latency), count)).collect();
    sorted.sort_unstable_by_key(|&(key, _)| key);
    sorted.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        kept.1 += if same { next.1 } else { 0 };
        same
    });
    let group = |((number, signature, error, latency), count): ((usize, SignatureHash, bool, u16), u64)| {
        (TraceGroup { entry: distinct[number].clone(), signature, error, latency }, count)
    };
    sorted.into_iter().map(group).collect()
}
