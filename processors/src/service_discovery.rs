//! Gives names to peers that spans know by their address only.
//!
//! A call to something that is not instrumented becomes an edge to what its caller says: `server.address`, else
//! `network.peer.address` and its port. Where that is an address, this node puts the name in its place that files or DNS
//! know it by, so that an edge to `10.0.0.7:5432` is one to `postgres`, also after postgres has moved. Put it before
//! `trace_assembly`.
//!
//! ```yaml
//! processors:
//!   service_discovery:
//!     file_sd_configs:                     # as Prometheus has them: lists of targets and labels
//!       - { files: [/etc/backtrail/targets/*.yaml, /etc/backtrail/databases.json] }
//!     dns_sd_configs:
//!       - { names: [_postgres._tcp.db.internal] }
//!       - { names: [cache.internal], type: A, port: 6379, refresh_interval: 10s, service: cache }
//!     name_labels: [service, service_name, app, job]
//! ```
//!
//! The name of a file's target is the first of `name_labels` that its group has. The name of what DNS answers is
//! `service`, else the first part of the DNS name that does not begin with `_`. Targets of Prometheus often name the port
//! that is scraped and not the one that is called: with `any_port` a target names its host at every port that has no name
//! of its own.
//!
//! Files are read before anything starts, and one that is missing or wrong stops the start. Later they are read again
//! when they change; one that cannot be read then, or a DNS server that does not answer, is logged and counted
//! (`file_failures`, `dns_failures`), and what was known before stays. A name that DNS says does not exist has no
//! addresses any more. What the spans before the first DNS answer call is not named.

mod config;
mod dns;
mod files;
mod watch;

use std::sync::Arc;

use backtrail_model::data::{Batch, Data};
use backtrail_model::signal::{Signal, Signals};
use backtrail_model::span::{Slot, SlotValue, SpanBatch, SpanKind};
use backtrail_model::symbols::{Symbol, SymbolKind};
use backtrail_pipeline::names::Names;
use backtrail_pipeline::node::Finding;
use backtrail_pipeline::{Component, Context, Emit, NodeError, Processor, Scope, Watcher};
use foldhash::fast::RandomState;
use hashbrown::HashMap;

pub use self::config::{Config, DnsSd, FileSd, RecordType};
use self::watch::Watch;

/// Peers whose names are remembered, by copy of the node.
const CACHED: usize = 10_000;

impl Component for Config {
    const NAME: &'static str = "service_discovery";
    const SUMMARY: &'static str = "Names peers that spans know by address only, by files or DNS";
    const SCOPE: Scope = Scope::Stateless;
    type Node = dyn Processor;

    fn accepts(&self) -> Signals {
        Signals::of(&[Signal::Spans])
    }

    fn emits(&self) -> Signals {
        Signals::of(&[Signal::Spans])
    }

    fn check(&self) -> Vec<Finding> {
        self.problems()
    }

    fn watches(&self) -> bool {
        true
    }

    fn watcher(&self, cx: &Context) -> Result<Option<Box<dyn Watcher>>, NodeError> {
        Ok(Some(Box::new(Watch::start(self, cx)?)))
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Processor>, NodeError> {
        Ok(Box::new(ServiceDiscovery {
            ports: ["server.port", "net.peer.port"].map(|key| cx.attribute(key)),
            peer_ports: ["network.peer.port", "net.sock.peer.port", "net.peer.port"].map(|key| cx.attribute(key)),
            names: Arc::default(),
            version: 0,
            known: HashMap::default(),
            changes: Vec::new(),
            cx: cx.clone(),
        }))
    }
}

/// One copy of the node.
struct ServiceDiscovery {
    /// The port that belongs to `server.address`, and that of `network.peer.address`.
    ports: [Slot; 2],
    peer_ports: [Slot; 3],
    names: Arc<Names>,
    version: u64,
    /// The names of peers with their ports, as the set of this version has them; `NONE` for those that have none.
    known: HashMap<(Symbol, Option<u16>), Symbol, RandomState>,
    changes: Vec<(u32, Symbol)>,
    cx: Context,
}

impl Processor for ServiceDiscovery {
    fn process(&mut self, mut batch: Batch, out: &mut Emit<'_>) -> Result<(), NodeError> {
        if let Data::Spans(spans, selected) = &mut batch.data {
            self.renew();
            if !self.names.is_empty() {
                self.changes.clear();
                match selected {
                    Some(selected) => selected.iter().for_each(|&index| self.look(spans, index)),
                    None => (0..spans.records.len() as u32).for_each(|index| self.look(spans, index)),
                }
                if !self.changes.is_empty() {
                    // Copies the records (never the bytes) if somebody else holds the batch too.
                    let spans = Arc::make_mut(spans);
                    for &(index, name) in &self.changes {
                        spans.records[index as usize].peer = name;
                    }
                    out.note("peers_named", self.changes.len() as u64);
                }
            }
        }
        out.pass(batch);
        Ok(())
    }
}

impl ServiceDiscovery {
    /// Takes the newest set of names.
    fn renew(&mut self) {
        let board = &self.cx.shared().names;
        let version = board.version();
        if version != self.version {
            self.version = version;
            self.names = board.of(self.cx.node());
            self.known.clear();
        }
    }

    /// Only who calls states the address of somebody else.
    fn look(&mut self, spans: &SpanBatch, index: u32) {
        let record = &spans.records[index as usize];
        if !record.peer.is_some() || !matches!(record.kind, SpanKind::Client | SpanKind::Producer) {
            return;
        }
        let slots = spans.slots_of(index as usize);
        let key = (record.peer, port(slots, &self.ports).or_else(|| port(slots, &self.peer_ports)));
        let name = self.known.get(&key).copied().unwrap_or_else(|| {
            let name = self.name(record.peer, slots);
            if self.known.len() >= CACHED {
                self.known.clear();
            }
            self.known.insert(key, name);
            name
        });
        if name.is_some() && name != record.peer {
            self.changes.push((index, name));
        }
    }

    fn name(&self, peer: Symbol, slots: &[SlotValue]) -> Symbol {
        let peer = self.cx.symbols().resolve(SymbolKind::Peer, peer);
        let (host, stated) = split(&peer, port(slots, &self.peer_ports));
        let found = self.names.find(host, stated.or_else(|| port(slots, &self.ports)));
        found.map_or(Symbol::NONE, |name| self.cx.symbols().intern(SymbolKind::Peer, name))
    }
}

/// The first port that is stated.
fn port(slots: &[SlotValue], keys: &[Slot]) -> Option<u16> {
    let number = |key: &Slot| match slots.get(usize::from(key.0)) {
        Some(SlotValue::Int(port)) => u16::try_from(*port).ok(),
        _ => None,
    };
    keys.iter().find_map(number)
}

/// Host and port of a peer. An IPv6 address with its port behind a colon looks like another address, so there the port
/// has to be one that is stated.
fn split(peer: &str, stated: Option<u16>) -> (&str, Option<u16>) {
    let Some((host, port)) = peer.rsplit_once(':') else { return (peer, None) };
    let Ok(port) = port.parse::<u16>() else { return (peer, None) };
    let is_six = host.contains(':') && !host.ends_with(']');
    if is_six && stated != Some(port) { (peer, None) } else { (host, Some(port)) }
}

#[cfg(test)]
mod tests;
