//! Ochiai over a spectrum of 100,000 elements: from the columns of counts to the ranked first ten, as the verdict asks.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

use backtrail_localize::spectrum::{Limits, Spectrum};
use backtrail_model::histogram::bucket;
use backtrail_model::spectra::{Element, ElementKind, Entry, SpectraSlice, TraceGroup};
use backtrail_model::time::Slice;

use crate::measure::{Scale, Stopwatch, least, print};

/// Functions of the code base.
const ELEMENTS: usize = 100_000;
/// Services that they belong to.
const SERVICES: usize = 200;
/// Different sets of functions that traces touch.
const SIGNATURES: u64 = 2000;
/// Functions in each of them.
const TOUCHED: usize = 500;
/// Suspects that the verdict names.
const SUSPECTS: usize = 10;

pub(crate) fn run(scale: Scale) {
    let window = window();
    let limits = Limits::learn(&[], 0.99, &BTreeMap::new());
    let mut spectrum = Spectrum::default();
    let counted = least(scale.of(1, 5) as u64, |_| {
        let mut watch = Stopwatch::default();
        spectrum = watch.time(|| Spectrum::new(black_box(&[&window]), &limits));
        watch.nanos()
    });
    // The kernel brings a thread's CPU time up to date every few milliseconds, so many rounds are timed at once.
    let rounds = scale.of(1, 100);
    let ranked = least(scale.of(1, 5) as u64, |_| {
        let mut watch = Stopwatch::default();
        watch.time(|| {
            for _ in 0..rounds {
                let best = black_box(&spectrum).best(ElementKind::Function, SUSPECTS, |_| 0.9);
                assert_eq!(black_box(best).len(), SUSPECTS);
            }
        });
        watch.nanos() / rounds as f64
    });
    print(&format!(
        "score: {} elements scored and ranked in {:.3} ms; counted from a window of {SIGNATURES} signatures in {:.0} ms",
        spectrum.len(),
        ranked / 1e6,
        counted / 1e6,
    ));
}

/// A window in which every function is touched, and those of a tenth of the signatures by failing traces too.
fn window() -> SpectraSlice {
    let functions: Vec<Element> = (0..ELEMENTS)
        .map(|n| Element {
            kind: ElementKind::Function,
            service: format!("service-{}", n % SERVICES).into(),
            name: format!("com.example.service{}.Handler{n}.process", n % SERVICES).into(),
        })
        .collect();
    let entry = Entry { service: "frontend".into(), route: "GET /".into() };
    let mut slice = SpectraSlice::new(Slice(1));
    for signature in 0..SIGNATURES {
        // A stretch of the functions and others all over, so that their counts differ.
        let first = signature as usize * ELEMENTS / SIGNATURES as usize;
        let touched = (0..TOUCHED).map(|n| if n < 100 { first + n } else { (first + n * n * 7 + n) % ELEMENTS });
        let mut touched: Vec<Element> = touched.map(|n| functions[n % ELEMENTS].clone()).collect();
        touched.sort();
        touched.dedup();
        slice.signatures.insert(signature + 1, Arc::from(touched));
        for (error, count) in [(false, 400 + signature), (true, if signature % 10 == 0 { signature } else { 0 })] {
            if count > 0 {
                let group = TraceGroup { entry: entry.clone(), signature: signature + 1, error, latency: bucket(1000) };
                slice.groups.insert(group, count * 256);
            }
        }
    }
    slice
}
