//! Closed slices of calls between services: integer counts that shards can add.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::histogram::Histogram;
use crate::time::Slice;

/// How two nodes are connected.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub enum EdgeKind {
    /// A call between two instrumented services.
    Call,
    /// A call to something that is not instrumented, named by the caller's attributes (virtual node).
    Virtual,
    /// A request from something that is not instrumented (a user, an uninstrumented caller).
    Entry,
    /// A message: the destination is a node of its own, so a hop is two edges.
    Messaging,
    /// A call of a service to itself.
    SelfCall,
    /// Calls past the cap on edges.
    Overflow,
}

impl EdgeKind {
    /// The name in Parquet and in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Virtual => "virtual",
            Self::Entry => "entry",
            Self::Messaging => "messaging",
            Self::SelfCall => "self_call",
            Self::Overflow => "overflow",
        }
    }
}

/// Identity of an edge: resolved strings, so that it means the same on every shard and in every run.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct EdgeKey {
    /// Calling service; "" for [`EdgeKind::Entry`].
    pub caller: Arc<str>,
    /// Called service, peer or destination.
    pub callee: Arc<str>,
    /// The callee's operation (route); for virtual nodes the caller's span name.
    pub route: Arc<str>,
    /// How they are connected.
    pub kind: EdgeKind,
}

/// Counts of an edge in one slice. Weighted counts are in 1/256 call (see `SpanRecord::weight`).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct EdgeCounts {
    /// Calls, weighted.
    pub calls: u64,
    /// Calls that failed at the client or at the server, weighted.
    pub errors: u64,
    /// Requests: calls without the repeats, weighted. `calls / requests` is attempts per request.
    pub requests: u64,
    /// Calls that repeat an earlier one of the same request, weighted.
    pub retries: u64,
    /// Calls that a breaker, an overload guard or a fallback answered, weighted.
    pub breaker: u64,
    /// Client spans without a server span and server spans without a client span, weighted.
    pub unpaired: u64,
    /// Times that the edge lay on its trace's critical path, weighted.
    pub critical: u64,
    /// Nanoseconds of the critical path spent on the edge.
    pub critical_ns: u128,
    /// Duration at the client, nanoseconds.
    pub client: Histogram,
    /// Duration at the server, nanoseconds.
    pub server: Histogram,
}

impl EdgeCounts {
    /// Adds another slice's or shard's counts.
    pub fn merge(&mut self, other: &Self) {
        self.calls += other.calls;
        self.errors += other.errors;
        self.requests += other.requests;
        self.retries += other.retries;
        self.breaker += other.breaker;
        self.unpaired += other.unpaired;
        self.critical += other.critical;
        self.critical_ns += other.critical_ns;
        self.client.merge(&other.client);
        self.server.merge(&other.server);
    }
}

/// The edges of one slice, from one shard or merged.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct EdgeSlice {
    /// Which slice.
    pub slice: Slice,
    /// Edges by key, in order.
    pub edges: BTreeMap<EdgeKey, EdgeCounts>,
    /// Which services answered calls to a peer, where the peer is not called as the service is: a host name, a virtual
    /// IP. Says who is meant when nobody answers.
    pub peers: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// How many distinct edges there would have been without the cap (an estimate once it is reached).
    pub demand: u64,
}

impl EdgeSlice {
    /// An empty slice.
    pub const fn new(slice: Slice) -> Self {
        Self { slice, edges: BTreeMap::new(), peers: BTreeMap::new(), demand: 0 }
    }

    /// Adds a shard's part of the same slice.
    pub fn merge(&mut self, other: &Self) {
        self.demand = self.demand.max(other.demand);
        for (peer, services) in &other.peers {
            self.peers.entry(Arc::clone(peer)).or_default().extend(services.iter().cloned());
        }
        for (key, counts) in &other.edges {
            self.edges.entry(key.clone()).or_default().merge(counts);
        }
    }
}
