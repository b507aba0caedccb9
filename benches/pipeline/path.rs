//! The in-process path on one core: walk, normalize, assemble, edges, Ochiai, tail sampling, Parquet of what is kept;
//! and the same work over owned prost structs.

use std::path::Path;

use backtrail_model::time::{Tick, UnixNano};
use backtrail_testkit::corpus::Corpus;
use bytes::Bytes;
use serde_json::json;

use crate::chain::Chain;
use crate::measure::{Scale, Stopwatch, corpus, least, print};
use crate::owned::Owned;

pub(crate) const SECOND: u64 = 1_000_000_000;
pub(crate) const START: u64 = 1_760_000_000 * SECOND;
/// How long a trace waits after its first span.
pub(crate) const WAIT: u64 = 10 * SECOND;
/// How far the watermark is behind: spans come up to the length of a pass after they ended, and then wait.
pub(crate) const LATENESS: u64 = 20 * SECOND;
/// Time between two ticks.
pub(crate) const TICK: u64 = SECOND / 5;

/// Passes of the corpus in one run: 2.5 million spans in 90 s of arrival time. Long enough that what happens once, such
/// as the first touch of the memory in which traces wait, weighs as little as it does in a collector that runs on.
pub(crate) const PASSES: u64 = 12;
/// Arrival time of a run: six slices of 15 s, and the wait of 10 s many times.
pub(crate) const LENGTH: u64 = 90 * SECOND;

pub(crate) fn run(scale: Scale) {
    let corpus = corpus(scale);
    let runs = scale.of(1, 3) as u64;
    let passes = scale.of(1, PASSES as usize) as u64;
    let spans = corpus.spans * passes as usize;
    let step = LENGTH / (passes as usize * corpus.requests.len()).max(1) as u64;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut kept = 0;
    let ours = least(runs, |run| {
        let windows = folder.path().join(format!("ours-{run}"));
        let ran = chain(&corpus, passes, &processors(), Some(&windows));
        kept = ran.kept;
        ran.nanos / spans as f64
    });
    let share = kept as f64 / spans as f64;
    print(&format!("path: {ours:.0} ns a span on one core ({:.1} % of the spans kept)", share * 100.0));
    let ordered = least(runs, |run| {
        let windows = folder.path().join(format!("ordered-{run}"));
        chain(&corpus, passes, &with_paths(), Some(&windows)).nanos / spans as f64
    });
    print(&format!("path with the order of events: {ordered:.0} ns a span; {:.2} times as much", ordered / ours));
    let mut owned_kept = 0;
    let owned = least(runs, |run| {
        let mut owned = Owned::new(&folder.path().join(format!("owned-{run}.parquet")));
        let (mut watch, mut arrival) = (Stopwatch::default(), START);
        for request in requests(&corpus, passes) {
            arrival += step;
            watch.time(|| {
                owned.request(&request, arrival);
                if arrival / TICK != (arrival - step) / TICK {
                    owned.decide(arrival - WAIT);
                }
            });
        }
        watch.time(|| owned.finish());
        owned_kept = owned.kept;
        watch.nanos() / spans as f64
    });
    let share = owned_kept as f64 / spans as f64;
    print(&format!(
        "path over owned prost structs: {owned:.0} ns a span ({:.1} % kept); {:.1} times as much",
        share * 100.0,
        owned / ours,
    ));
}

/// What each node adds: the same requests through longer and longer chains.
pub(crate) fn stages(scale: Scale) {
    let corpus = corpus(scale);
    let passes = scale.of(1, PASSES as usize) as u64;
    let spans = (corpus.spans * passes as usize) as f64;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let all = processors();
    let mut before = 0.0;
    for (n, name) in std::iter::once("walk").chain(all.iter().map(|(name, _)| *name)).enumerate() {
        let nanos = chain(&corpus, passes, &all[..n], None).nanos / spans;
        print(&format!("stage {name}: {:.0} ns a span ({nanos:.0} with all before it)", nanos - before));
        before = nanos;
    }
    let nanos = chain(&corpus, passes, &all, Some(folder.path())).nanos / spans;
    print(&format!("stage parquet: {:.0} ns a span ({nanos:.0} with all before it)", nanos - before));
}

struct Ran {
    nanos: f64,
    kept: u64,
}

/// Sends the passes through a chain.
fn chain(corpus: &Corpus, passes: u64, processors: &[(&str, serde_json::Value)], windows: Option<&Path>) -> Ran {
    let step = LENGTH / (passes as usize * corpus.requests.len()).max(1) as u64;
    let mut chain = Chain::new(processors, windows);
    let (mut watch, mut arrival) = (Stopwatch::default(), START);
    for request in requests(corpus, passes) {
        arrival += step;
        watch.time(|| {
            chain.request(request, UnixNano(arrival));
            if arrival / TICK != (arrival - step) / TICK {
                chain.tick(Tick { arrival: UnixNano(arrival), watermark: UnixNano(arrival - LATENESS) });
            }
        });
    }
    watch.time(|| chain.finish());
    Ran { nanos: watch.nanos(), kept: chain.kept }
}

/// The requests of all passes, each made right before it is sent, while no clock runs: the sender's work is not the
/// collector's, and a receiver has its bytes fresh from the socket.
pub(crate) fn requests(corpus: &Corpus, passes: u64) -> impl Iterator<Item = Bytes> {
    let shift = LENGTH / PASSES;
    (1..=passes).flat_map(move |pass| {
        corpus.requests.iter().map(move |request| Bytes::from(request.later(pass, (pass - 1) * shift)))
    })
}

/// The same, and the paths of the traces are counted: what the multi-signal verdict asks of traces.
pub(crate) fn with_paths() -> Vec<(&'static str, serde_json::Value)> {
    let replace = |(name, settings)| (name, if name == "ochiai" { json!({}) } else { settings });
    processors().into_iter().map(replace).collect()
}

/// Keeps failing traces and a share of the rest: about 8 % of the spans.
pub(crate) fn processors() -> Vec<(&'static str, serde_json::Value)> {
    let policies = json!([
        { "name": "errors", "type": "status_code", "status_code": { "status_codes": ["ERROR"] } },
        { "name": "share", "type": "probabilistic", "probabilistic": { "sampling_percentage": 6 } },
    ]);
    vec![
        ("route_normalization", json!({})),
        ("trace_assembly", json!({ "decision_wait": "10s" })),
        ("edge_aggregation", json!({})),
        ("ochiai", json!({ "max_paths": 0 })),
        ("tail_sampling", json!({ "policies": policies })),
    ]
}
