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

pub(crate) fn run(scale: Scale) {
    let corpus = corpus(scale);
    let runs = scale.of(1, 5);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut kept = 0;
    let ours = least_ns_per_span(runs, corpus.spans, |pass| {
        let mut chain = Chain::new(&processors(), Some(&folder.path().join(format!("ours-{pass}"))));
        let step = clock(corpus.requests.len());
        for (i, request) in corpus.requests.iter().enumerate() {
            let arrival = UnixNano(START + i as u64 * step);
            chain.request(Bytes::from(request.pass(pass)), arrival);
            if i % 16 == 15 {
                chain.tick(Tick { arrival, watermark: UnixNano(arrival.0 - 2 * SECOND) });
            }
        }
        chain.finish();
        kept = chain.kept;
    });
    let share = kept as f64 / corpus.spans as f64;
    print(&format!("path: {ours:.0} ns a span on one core ({:.1} % of the spans kept)", share * 100.0));
    let mut owned_kept = 0;
    let owned = least_ns_per_span(runs, corpus.spans, |pass| {
        let mut owned = Owned::new(&folder.path().join(format!("owned-{pass}.parquet")));
        for request in &corpus.requests {
            owned.request(&request.pass(pass));
        }
        owned.finish();
        owned_kept = owned.kept;
    });
    let share = owned_kept as f64 / corpus.spans as f64;
    print(&format!(
        "path over owned prost structs: {owned:.0} ns a span ({:.1} % kept); {:.1} times as much",
        share * 100.0,
        owned / ours,
    ));
}

/// The requests are spread over a minute of arrival time, so that traces are decided while others come.
fn clock(requests: usize) -> u64 {
    60 * SECOND / requests.max(1) as u64
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
