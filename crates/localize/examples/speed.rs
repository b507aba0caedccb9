//! How fast the hot paths are: `cargo run --release -p backtrail-localize --example speed`.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a development tool that prints and measures")]

use std::hint::black_box;
use std::time::Instant;

use backtrail_localize::critical_path::{PathScratch, PathSpan, critical_path};
use backtrail_localize::visits::{NO_PARENT, Scratch, SpanTimes, latency_tests};

fn main() {
    for spans in [8, 40, 400, 4000] {
        let trace = trace(spans);
        let rounds = 2_000_000 / spans;
        let (mut scratch, mut sum) = (Scratch::default(), 0);
        let begin = Instant::now();
        for _ in 0..rounds {
            latency_tests(black_box(&trace), &mut scratch, |_, _, ns| sum += ns);
        }
        let tests = begin.elapsed().as_nanos() as f64 / (rounds * spans) as f64;
        let path: Vec<PathSpan> =
            trace.iter().map(|s| PathSpan { start: s.start, end: s.end, parent: s.parent }).collect();
        let (mut scratch, mut out) = (PathScratch::default(), Vec::new());
        let begin = Instant::now();
        for _ in 0..rounds {
            critical_path(black_box(&path), 0, &mut scratch, &mut out);
        }
        let path = begin.elapsed().as_nanos() as f64 / (rounds * spans) as f64;
        println!("{spans:5} spans: latency tests {tests:.0} ns a span, critical path {path:.0} ns a span ({sum})");
    }
}

/// Servers that call one another in turns: server, handler, and four client spans each.
fn trace(spans: usize) -> Vec<SpanTimes> {
    let mut out = vec![SpanTimes { start: 0, end: 1_000_000_000, parent: NO_PARENT, service: 0, entry: true }];
    while out.len() < spans {
        let i = out.len();
        let parent = (i - 1) / 4;
        let (from, caller) = (out[parent], out[parent].service);
        let length = (from.end - from.start) / 5;
        let start = from.start + ((i - 1) % 4 + 1) as u64 * length;
        let (service, entry) = if from.entry { (caller, false) } else { (caller + 1, true) };
        out.push(SpanTimes { start, end: start + length * 9 / 10, parent: parent as u32, service, entry });
    }
    let mut order: Vec<usize> = (0..out.len()).collect();
    order.sort_by_key(|&i| out[i].start);
    let mut place = vec![0_u32; out.len()];
    order.iter().zip(0..).for_each(|(&old, new)| place[old] = new);
    let moved = |&i: &usize| {
        let span = out[i];
        SpanTimes { parent: place.get(span.parent as usize).copied().unwrap_or(NO_PARENT), ..span }
    };
    order.iter().map(moved).collect()
}
