//! The in-process path on one core: walk, normalize, assemble, edges, Ochiai, tail sampling, Parquet of what is kept;
//! and the same work over owned prost structs.

use backtrail_model::time::{Tick, UnixNano};
use bytes::Bytes;
use serde_json::json;

use crate::chain::Chain;
use crate::measure::{Scale, corpus, least_ns_per_span, print};
use crate::owned::Owned;

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_760_000_000 * SECOND;

/// Passes of the corpus in one run: a slice of 15 s holds about a million spans at line rate, and closes once.
const PASSES: u64 = 5;

pub(crate) fn run(scale: Scale) {
    let corpus = corpus(scale);
    let runs = scale.of(1, 3);
    let passes = scale.of(1, PASSES as usize) as u64;
    let spans = corpus.spans * passes as usize;
    // Made before the clock runs: the sender's work is not the collector's.
    let requests: Vec<Bytes> = (1..=passes)
        .flat_map(|pass| corpus.requests.iter().map(move |request| Bytes::from(request.pass(pass))))
        .collect();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut kept = 0;
    let ours = least_ns_per_span(runs, spans, |run| {
        let mut chain = Chain::new(&processors(), Some(&folder.path().join(format!("ours-{run}"))));
        let step = clock(requests.len());
        for (i, request) in requests.iter().enumerate() {
            let arrival = UnixNano(START + i as u64 * step);
            chain.request(request.clone(), arrival);
            if i % 16 == 15 {
                chain.tick(Tick { arrival, watermark: UnixNano(START - 60 * SECOND) });
            }
        }
        chain.finish();
        kept = chain.kept;
    });
    let share = kept as f64 / spans as f64;
    print(&format!("path: {ours:.0} ns a span on one core ({:.1} % of the spans kept)", share * 100.0));
    let mut owned_kept = 0;
    let owned = least_ns_per_span(runs, spans, |run| {
        let mut owned = Owned::new(&folder.path().join(format!("owned-{run}.parquet")));
        for request in &requests {
            owned.request(request);
        }
        owned.finish();
        owned_kept = owned.kept;
    });
    let share = owned_kept as f64 / spans as f64;
    print(&format!(
        "path over owned prost structs: {owned:.0} ns a span ({:.1} % kept); {:.1} times as much",
        share * 100.0,
        owned / ours,
    ));
}

/// The requests are spread over half a minute of arrival time, so that traces are decided while others come.
fn clock(requests: usize) -> u64 {
    30 * SECOND / requests.max(1) as u64
}

/// Keeps failing traces and a share of the rest: about 8 % of the spans.
fn processors() -> Vec<(&'static str, serde_json::Value)> {
    let policies = json!([
        { "name": "errors", "type": "status_code", "status_code": { "status_codes": ["ERROR"] } },
        { "name": "share", "type": "probabilistic", "probabilistic": { "sampling_percentage": 6 } },
    ]);
    vec![
        ("route_normalization", json!({})),
        ("trace_assembly", json!({ "decision_wait": "10s" })),
        ("edge_aggregation", json!({})),
        ("ochiai", json!({})),
        ("tail_sampling", json!({ "policies": policies })),
    ]
}
