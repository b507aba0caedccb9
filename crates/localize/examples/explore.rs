//! Ranks labelled cases (folders with `traces.otlp.jsonl.zst` and `truth.json`) by judging slices directly, without the
//! pipeline: `cargo run --release -p backtrail-localize --example explore -- DIR [--slice SECONDS] [--cases]`.
//! Prints service AS@1/3/5 (ties count against the truth) beside the floor, by system and fault class.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a development tool that prints, may stop, and measures"
)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::BuildHasher;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backtrail_localize::rank::{FLOOR_QUANTILE, floor, pessimistic_rank, sorted};
use backtrail_localize::visits::{NO_PARENT, Scratch, SpanTimes, latency_tests};
use backtrail_localize::{Options, judge};
use backtrail_model::edges::{EdgeKey, EdgeKind, EdgeSlice};
use backtrail_model::histogram::bucket;
use backtrail_model::spectra::{Element, ElementKind, Entry, SpectraSlice, TestKey, TraceGroup};
use backtrail_model::{SliceGrid, UnixNano};
use serde_json::Value;

struct Span {
    id: String,
    parent: String,
    service: Arc<str>,
    operation: Arc<str>,
    function: Arc<str>,
    kind: u64,
    start: u64,
    end: u64,
    error: bool,
}

type Slices = BTreeMap<u64, (SpectraSlice, EdgeSlice)>;

fn main() {
    let mut args = std::env::args().skip(1);
    let (mut dir, mut seconds, mut cases) = (String::new(), 5.0, false);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--slice" => seconds = args.next().unwrap().parse().unwrap(),
            "--cases" => cases = true,
            _ => dir = arg,
        }
    }
    let mut folders: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.join("truth.json").exists());
    folders.sort();
    let mut rows: BTreeMap<(String, String), Vec<[Option<u32>; 3]>> = BTreeMap::new();
    for folder in &folders {
        let truth: Value = serde_json::from_slice(&std::fs::read(folder.join("truth.json")).unwrap()).unwrap();
        let (system, class) = (truth["system"].as_str().unwrap(), truth["fault_class"].as_str().unwrap());
        let ranks = case(folder, &truth, seconds, cases);
        rows.entry((system.into(), "all".into())).or_default().push(ranks);
        rows.entry((system.into(), class.into())).or_default().push(ranks);
    }
    for ((system, class), ranks) in rows {
        let at = |column: usize| {
            let share = |k: u32| {
                let hits = ranks.iter().filter(|ranks| ranks[column].is_some_and(|rank| rank <= k)).count();
                100.0 * hits as f64 / ranks.len() as f64
            };
            format!("{:5.1}/{:5.1}/{:5.1}", share(1), share(3), share(5))
        };
        println!("{system:15} {class:9} {:3}  fusion {}  latency {}  floor {}", ranks.len(), at(0), at(1), at(2));
    }
}

fn case(folder: &Path, truth: &Value, seconds: f64, print: bool) -> [Option<u32>; 3] {
    let window_start: u64 = truth["window_unix_nano"][0].as_str().unwrap().parse().unwrap();
    let grid = SliceGrid { origin: UnixNano(window_start), length: Duration::from_secs_f64(seconds) };
    let slices = read(folder, grid);
    let first = grid.slice(UnixNano(window_start)).0;
    let part = |baseline: bool| slices.iter().filter(move |(at, _)| (**at < first) == baseline).map(|(_, slice)| slice);
    let (base, window): (Vec<_>, Vec<_>) = (part(true).map(|s| &s.0).collect(), part(false).map(|s| &s.0).collect());
    let (base_edges, edges): (Vec<_>, Vec<_>) =
        (part(true).map(|s| &s.1).collect(), part(false).map(|s| &s.1).collect());
    let begin = Instant::now();
    let judgement = judge(&base, &window, &base_edges, &edges, &Options::default());
    let took = begin.elapsed();
    let culprit = truth["root_cause"]["service"].as_str().unwrap();
    let floor = floor(&base, &window, FLOOR_QUANTILE);
    let scores = judgement.scores();
    let ranks = [&scores, &judgement.latency.scores, &floor].map(|scores| pessimistic_rank(scores, culprit));
    if print {
        let top = |scores| {
            sorted(scores).into_iter().take(4).map(|(s, x)| format!("{s} {x:.3}")).collect::<Vec<_>>().join(", ")
        };
        println!("{} {ranks:?} {took:?} signatures {}", truth["case_id"].as_str().unwrap(), {
            base.iter().chain(&window).flat_map(|slice| slice.signatures.keys()).collect::<BTreeSet<_>>().len()
        });
        println!("    total     {}", top(&scores));
        println!("    latency   {}", top(&judgement.latency.scores));
        println!("    structure {}", top(&judgement.structure.scores));
        for shift in &judgement.structure.shifts {
            println!(
                "        {} given {} -> {} {} {:.2} -> {:.2} G {:.0} w {:.2}",
                shift.service,
                shift.given.name,
                shift.element.name,
                if shift.absent { "absent" } else { "present" },
                shift.before,
                shift.now,
                shift.g,
                shift.weight
            );
        }
        println!("    floor     {}", top(&floor));
        println!("    {} {:?}", judgement.confidence.level, judgement.cause);
    }
    ranks
}

fn read(folder: &Path, grid: SliceGrid) -> Slices {
    let file = std::fs::File::open(folder.join("traces.otlp.jsonl.zst")).unwrap();
    let text = String::from_utf8(zstd::decode_all(file).unwrap()).unwrap();
    let mut names: BTreeSet<Arc<str>> = BTreeSet::new();
    let mut traces: BTreeMap<String, BTreeMap<String, Span>> = BTreeMap::new();
    for line in text.lines() {
        let request: Value = serde_json::from_str(line).unwrap();
        for resource in list(&request["resourceSpans"]) {
            let service = attribute(&resource["resource"]["attributes"], "service.name");
            for span in list(&resource["scopeSpans"]).flat_map(|scope| list(&scope["spans"])) {
                let mut name = |text: &str| {
                    if let Some(known) = names.get(text) {
                        return Arc::clone(known);
                    }
                    let new = Arc::<str>::from(text);
                    names.insert(Arc::clone(&new));
                    new
                };
                let nanos = |key: &str| span[key].as_str().unwrap().parse().unwrap();
                let text = |key: &str| span[key].as_str().unwrap_or_default().to_owned();
                let record = Span {
                    id: text("spanId"),
                    parent: text("parentSpanId"),
                    service: name(&service),
                    operation: name(&text("name")),
                    function: name(&attribute(&span["attributes"], "code.function.name")),
                    kind: span["kind"].as_u64().unwrap_or(0),
                    start: nanos("startTimeUnixNano"),
                    end: nanos("endTimeUnixNano"),
                    error: span["status"]["code"].as_u64() == Some(2),
                };
                traces.entry(text("traceId")).or_default().insert(record.id.clone(), record);
            }
        }
    }
    let (mut slices, mut scratch) = (Slices::new(), Scratch::default());
    for spans in traces.into_values() {
        count(spans.into_values().collect(), grid, &mut slices, &mut scratch);
    }
    slices
}

fn count(mut spans: Vec<Span>, grid: SliceGrid, slices: &mut Slices, scratch: &mut Scratch) {
    spans.sort_by(|a, b| (a.start, &a.id).cmp(&(b.start, &b.id)));
    let index: HashMap<&str, usize> = spans.iter().enumerate().map(|(i, span)| (span.id.as_str(), i)).collect();
    let parents: Vec<Option<usize>> = spans.iter().map(|span| index.get(span.parent.as_str()).copied()).collect();
    let end = spans.iter().map(|span| span.end).max().unwrap();
    let slice = grid.slice(UnixNano(end));
    let empty = || (SpectraSlice::new(slice), EdgeSlice::new(slice));
    let (spectra, edges) = slices.entry(slice.0).or_insert_with(empty);
    let mut ids: HashMap<&Arc<str>, u32> = HashMap::new();
    let times: Vec<SpanTimes> = spans
        .iter()
        .zip(&parents)
        .map(|(span, parent)| {
            let next = ids.len() as u32;
            let service = *ids.entry(&span.service).or_insert(next);
            let parent = parent.map_or(NO_PARENT, |parent| parent as u32);
            SpanTimes { start: span.start, end: span.end, parent, service, entry: matches!(span.kind, 2 | 5) }
        })
        .collect();
    latency_tests(&times, scratch, |i, child, nanos| {
        let callee = child.map(|child| Arc::clone(&spans[child].service));
        let key =
            TestKey { service: Arc::clone(&spans[i].service), operation: Arc::clone(&spans[i].operation), callee };
        spectra.tests.entry(key).or_default().record(nanos);
    });
    let mut elements: BTreeSet<Element> = BTreeSet::new();
    let mut add = |kind, service: &Arc<str>, name: &Arc<str>| {
        elements.insert(Element { kind, service: Arc::clone(service), name: Arc::clone(name) });
    };
    let none: Arc<str> = "".into();
    for (span, parent) in spans.iter().zip(&parents) {
        add(ElementKind::Service, &span.service, &none);
        add(ElementKind::Route, &span.service, &span.operation);
        if !span.function.is_empty() {
            add(ElementKind::Function, &span.service, &span.function);
        }
        let Some(parent) = parent.map(|parent| &spans[parent]).filter(|parent| parent.service != span.service) else {
            continue;
        };
        add(ElementKind::Edge, &parent.service, &span.service);
        let (caller, callee, route) = (&parent.service, &span.service, &span.operation);
        let (caller, callee, route) = (Arc::clone(caller), Arc::clone(callee), Arc::clone(route));
        let counts = edges.edges.entry(EdgeKey { caller, callee, route, kind: EdgeKind::Call }).or_default();
        counts.calls += 256;
        counts.requests += 256;
        counts.errors += if span.error || parent.error { 256 } else { 0 };
        counts.client.record(parent.end.saturating_sub(parent.start), 1);
        counts.server.record(span.end.saturating_sub(span.start), 1);
    }
    let elements: Vec<Element> = elements.into_iter().collect();
    let signature = foldhash::fast::FixedState::with_seed(1).hash_one(&elements);
    spectra.signatures.entry(signature).or_insert_with(|| elements.into());
    let root = (0..spans.len()).find(|&i| parents[i].is_none()).unwrap();
    let entry = Entry { service: Arc::clone(&spans[root].service), route: Arc::clone(&spans[root].operation) };
    let latency = bucket(spans[root].end.saturating_sub(spans[root].start));
    *spectra.groups.entry(TraceGroup { entry, signature, error: spans[root].error, latency }).or_default() += 256;
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn attribute(attributes: &Value, key: &str) -> String {
    let found = list(attributes).find(|attribute| attribute["key"] == key);
    found.and_then(|attribute| attribute["value"]["stringValue"].as_str()).unwrap_or_default().into()
}
