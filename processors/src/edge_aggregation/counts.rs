//! The counts of an open slice, by interned ids; strings come back when the slice closes.

use std::sync::Arc;

use backtrail_model::edges::{EdgeCounts, EdgeKey, EdgeKind, EdgeSlice};
use backtrail_model::histogram::OpenHistogram;
use backtrail_model::symbols::{Symbol, SymbolKind, Symbols};
use backtrail_model::time::Slice;
use hashbrown::HashMap;

use super::calls::{Call, Hop, Key};
use crate::hash::stable_hash;

/// What an end is called that nobody names.
const UNKNOWN: &str = "(unknown)";
/// The callee of the overflow bucket.
const OTHER: &str = "(other)";

/// One shard's counts of one slice.
#[derive(Default)]
pub(super) struct OpenEdges {
    index: HashMap<Key, u32, foldhash::fast::FixedState>,
    counts: Vec<(Key, OpenCounts)>,
    overflow: OpenCounts,
    beyond: Beyond,
    /// Calls that are still to be added, with their place in `counts`: added one right after another, their fetches of
    /// memory overlap.
    waiting: Vec<(u32, Call)>,
}

/// Calls that wait at most.
const MOST_WAITING: usize = 1024;

/// The counts of an edge with its histograms still open.
#[derive(Default)]
struct OpenCounts {
    counts: EdgeCounts,
    client: OpenHistogram,
    server: OpenHistogram,
    /// How clients call the callee, at most [`MOST_PEERS`] names.
    peers: Vec<Symbol>,
}

/// Names of a callee that are remembered for an edge: a service has few, but for the addresses of its pods.
const MOST_PEERS: usize = 16;

impl OpenEdges {
    /// Counts a call.
    pub(super) fn count(&mut self, call: &Call, max_edges: usize, symbols: &Symbols) {
        let at = match self.index.get(&call.key) {
            Some(&at) => at,
            None if self.counts.len() < max_edges => {
                let at = self.counts.len() as u32;
                self.index.insert(call.key, at);
                self.counts.push((call.key, OpenCounts::default()));
                at
            }
            None => {
                self.beyond.add(&resolve(call.key, symbols));
                return self.overflow.add(call);
            }
        };
        self.waiting.push((at, *call));
        if self.waiting.len() >= MOST_WAITING {
            self.settle();
        }
    }

    fn settle(&mut self) {
        for (at, call) in self.waiting.drain(..) {
            self.counts[at as usize].1.add(&call);
        }
    }

    /// The closed slice.
    pub(super) fn resolve(mut self, slice: Slice, symbols: &Symbols) -> EdgeSlice {
        self.settle();
        let mut closed = EdgeSlice::new(slice);
        closed.demand = self.counts.len() as u64 + self.beyond.estimate();
        for (key, counts) in self.counts {
            for &peer in &counts.peers {
                let (peer, callee) = (symbols.resolve(SymbolKind::Peer, peer), resolve(key, symbols).callee);
                if peer != callee {
                    closed.peers.entry(peer).or_default().insert(callee);
                }
            }
            // Two ids can mean the same string only past the symbol table's cap: "(other)".
            closed.edges.entry(resolve(key, symbols)).or_default().merge(&counts.close());
        }
        if self.overflow.counts.calls > 0 {
            let key = EdgeKey {
                caller: Arc::from(""),
                callee: Arc::from(OTHER),
                route: Arc::from(""),
                kind: EdgeKind::Overflow,
            };
            closed.edges.insert(key, self.overflow.close());
        }
        closed
    }
}

impl OpenCounts {
    #[inline]
    fn add(&mut self, call: &Call) {
        let (counts, weight) = (&mut self.counts, call.weight);
        let when = |condition: bool| if condition { weight } else { 0 };
        counts.calls += weight;
        counts.errors += when(call.failed);
        counts.requests += when(!call.retry);
        counts.retries += when(call.retry);
        counts.breaker += when(call.breaker);
        counts.unpaired += when(call.unpaired);
        counts.critical += when(call.critical_ns > 0);
        counts.critical_ns += u128::from(call.critical_ns);
        if let Some(ns) = call.client {
            self.client.record(ns, weight);
        }
        if call.peer.is_some() && !self.peers.contains(&call.peer) && self.peers.len() < MOST_PEERS {
            self.peers.push(call.peer);
        }
        if let Some(ns) = call.server {
            self.server.record(ns, weight);
        }
    }

    fn close(mut self) -> EdgeCounts {
        self.counts.client = self.client.close();
        self.counts.server = self.server.close();
        self.counts
    }
}

fn resolve(key: Key, symbols: &Symbols) -> EdgeKey {
    let (from, to, kind) = match key.hop {
        Hop::Call => (SymbolKind::Service, SymbolKind::Service, EdgeKind::Call),
        Hop::SelfCall => (SymbolKind::Service, SymbolKind::Service, EdgeKind::SelfCall),
        Hop::Virtual => (SymbolKind::Service, SymbolKind::Peer, EdgeKind::Virtual),
        Hop::Entry => (SymbolKind::Service, SymbolKind::Service, EdgeKind::Entry),
        Hop::Send => (SymbolKind::Service, SymbolKind::Peer, EdgeKind::Messaging),
        Hop::Receive => (SymbolKind::Peer, SymbolKind::Service, EdgeKind::Messaging),
        Hop::Message => (SymbolKind::Service, SymbolKind::Service, EdgeKind::Messaging),
    };
    // Only an entry may have no caller: it comes from outside.
    let name = |kind, symbol: Symbol| {
        if symbol.is_some() || key.hop == Hop::Entry { symbols.resolve(kind, symbol) } else { Arc::from(UNKNOWN) }
    };
    EdgeKey {
        caller: name(from, key.caller),
        callee: name(to, key.callee),
        route: symbols.resolve(SymbolKind::Operation, key.route),
        kind,
    }
}

/// Estimates how many distinct edges came past the cap, by linear counting: each sets a bit, and the share of bits that
/// stay empty says how many there were (Whang et al. 1990). Within a few percent up to about 300,000.
#[derive(Default)]
struct Beyond {
    bits: Vec<u64>,
}

impl Beyond {
    const WORDS: usize = 1024;

    fn add(&mut self, key: &EdgeKey) {
        self.bits.resize(Self::WORDS, 0);
        let bit = stable_hash(&[&key.caller, &key.callee, &key.route, key.kind.name()]) as usize % (Self::WORDS * 64);
        self.bits[bit / 64] |= 1 << (bit % 64);
    }

    fn estimate(&self) -> u64 {
        let size = (self.bits.len() * 64) as f64;
        let set: u32 = self.bits.iter().map(|word| word.count_ones()).sum();
        let empty = (size - f64::from(set)).max(1.0);
        if set == 0 { 0 } else { (size * (size / empty).ln()).round() as u64 }
    }
}
