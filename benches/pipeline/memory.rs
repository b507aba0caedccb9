//! What a million buffered spans cost, and whether the memory is given back after the decision.

use backtrail_model::time::{Tick, UnixNano};
use bytes::Bytes;
use serde_json::json;

use crate::chain::Chain;
use crate::measure::{Scale, corpus, print, rss};

const SECOND: u64 = 1_000_000_000;

pub(crate) fn run(scale: Scale) {
    let corpus = corpus(scale);
    let wanted = scale.of(10_000, 1_000_000) as u64;
    let mut chain = Chain::new(&[("trace_assembly", json!({ "decision_wait": "30s", "max_bytes": "4GiB" }))], None);
    let start = UnixNano(1_760_000_000 * SECOND);
    // The corpus itself and the walker's caches are there before, so that only the buffer is measured.
    chain.request(Bytes::from(corpus.requests[0].pass(u64::MAX)), start);
    let before = rss();
    let mut pass = 0;
    'fill: loop {
        pass += 1;
        for request in &corpus.requests {
            chain.request(Bytes::from(request.pass(pass)), start);
            if chain.held() >= wanted {
                break 'fill;
            }
        }
    }
    let (held, full) = (chain.held(), rss());
    chain.tick(Tick { arrival: UnixNano(start.0 + 31 * SECOND), watermark: UnixNano(start.0 + 20 * SECOND) });
    // The allocator returns pages lazily, while others are asked for: some seconds of light traffic.
    for step in 1..=15 {
        let now = UnixNano(start.0 + 31 * SECOND + step * SECOND / 5);
        for request in corpus.requests.iter().skip(step as usize * 5).take(5) {
            chain.request(Bytes::from(request.pass(pass + 1)), now);
        }
        chain.tick(Tick { arrival: now, watermark: UnixNano(start.0 + 20 * SECOND) });
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    let after = rss();
    let mega = |bytes: u64| bytes as f64 / 1e6;
    let (used, left) = (full.saturating_sub(before), after.saturating_sub(before));
    print(&format!(
        "memory: {held} buffered spans in {:.0} MB ({:.0} B a span of {:.0} B encoded); {:.0} MB left after the \
         decision ({:.0} % given back)",
        mega(used),
        used as f64 / held as f64,
        corpus.bytes_per_span(),
        mega(left),
        100.0 * (1.0 - left as f64 / used.max(1) as f64),
    ));
}
