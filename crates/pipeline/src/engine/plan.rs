//! Which thread runs which node: front, shard, global or exporter task, and where each edge crosses between them.

use backtrail_model::signal::{Signal, Signals};

use crate::graph::{Graph, Part};
use crate::node::Scope;

/// Signals that are closed slices: parts of shards are gathered and merged before anything behind them sees one.
pub(crate) const SLICES: Signals =
    Signals::of(&[Signal::Edges, Signal::Spectra, Signal::LogMotifs, Signal::MetricWindows]);

/// Where a node runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// A receiver's task.
    Receiver,
    /// In front of the exchange, in the receiver's task.
    Front,
    /// On every shard.
    Shard,
    /// Behind the gather.
    Global,
    /// A task of its own.
    Exporter,
}

/// Where a batch goes next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    /// A node of the same stage, by its position there.
    Local(usize),
    /// Through the exchange to a node of the shard stage.
    Shards(usize),
    /// Through the gather.
    Global(GlobalEntry),
    /// To an exporter, by its position among the exporters.
    Exporter(usize),
}

/// What stands behind the gather.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum GlobalEntry {
    /// A node of the global stage.
    Node(usize),
    /// An exporter that takes slices straight from the shards.
    Exporter(usize),
}

/// One way out of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Route {
    pub(crate) signals: Signals,
    pub(crate) target: Target,
}

/// The places and routes of a graph.
pub(crate) struct Plan {
    /// Graph nodes of each stage, in topological order.
    pub(crate) receivers: Vec<usize>,
    pub(crate) front: Vec<usize>,
    pub(crate) shard: Vec<usize>,
    pub(crate) global: Vec<usize>,
    pub(crate) exporters: Vec<usize>,
    /// Routes out of each graph node.
    pub(crate) routes: Vec<Vec<Route>>,
}

impl Plan {
    /// Assigns places. The graph is in topological order, so a node's sources are placed before it.
    pub(crate) fn new(graph: &Graph) -> Self {
        let places = places(graph);
        let of = |place: Place| -> Vec<usize> { (0..graph.nodes.len()).filter(|&n| places[n] == place).collect() };
        let mut plan = Self {
            receivers: of(Place::Receiver),
            front: of(Place::Front),
            shard: of(Place::Shard),
            global: of(Place::Global),
            exporters: of(Place::Exporter),
            routes: Vec::new(),
        };
        plan.routes = (0..graph.nodes.len()).map(|node| plan.routes_of(graph, &places, node)).collect();
        plan
    }

    fn routes_of(&self, graph: &Graph, places: &[Place], node: usize) -> Vec<Route> {
        let mut routes = Vec::new();
        for edge in graph.outgoing(node) {
            let at = |list: &[usize]| list.iter().position(|&n| n == edge.to).unwrap_or(usize::MAX);
            let (from, to) = (places[node], places[edge.to]);
            let mut push = |signals: Signals, target| {
                if !signals.is_empty() {
                    routes.push(Route { signals, target });
                }
            };
            match to {
                Place::Front => push(edge.signals, Target::Local(at(&self.front))),
                Place::Shard if from == Place::Shard => push(edge.signals, Target::Local(at(&self.shard))),
                Place::Shard => push(edge.signals, Target::Shards(at(&self.shard))),
                Place::Global if from == Place::Global => push(edge.signals, Target::Local(at(&self.global))),
                Place::Global => push(edge.signals, Target::Global(GlobalEntry::Node(at(&self.global)))),
                Place::Exporter => {
                    let exporter = at(&self.exporters);
                    let gathered = if from == Place::Shard { edge.signals.common(SLICES) } else { Signals::NONE };
                    push(edge.signals.without(gathered), Target::Exporter(exporter));
                    push(gathered, Target::Global(GlobalEntry::Exporter(exporter)));
                }
                Place::Receiver => {}
            }
        }
        routes
    }

    /// Whether anything goes through the gather.
    pub(crate) fn has_gather(&self) -> bool {
        !self.global.is_empty() || self.routes.iter().flatten().any(|route| matches!(route.target, Target::Global(_)))
    }
}

fn places(graph: &Graph) -> Vec<Place> {
    let mut places = Vec::with_capacity(graph.nodes.len());
    for (index, node) in graph.nodes.iter().enumerate() {
        let behind = |place: Place| graph.incoming(index).any(|edge| places.get(edge.from) == Some(&place));
        places.push(match (&node.part, node.scope) {
            (Part::Receiver(_), _) => Place::Receiver,
            (Part::Exporter(_), _) => Place::Exporter,
            (Part::Processor(_), Scope::Global) => Place::Global,
            (Part::Processor(_), Scope::Trace) => Place::Shard,
            (Part::Processor(_), Scope::Stateless) if behind(Place::Global) => Place::Global,
            (Part::Processor(_), Scope::Stateless) if behind(Place::Shard) => Place::Shard,
            (Part::Processor(_), Scope::Stateless) => Place::Front,
        });
    }
    places
}
