//! SIGTERM under load loses nothing that was acknowledged; a second run on the same folder works.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use backtrail_testkit::client::Grpc;
use backtrail_testkit::corpus::Corpus;
use backtrail_testkit::process::{Collector, assert_conserved, row, wait_for};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use crate::support::{binary, keep_all, spans_by_trace};

/// Spans by trace of a request.
fn count(request: &ExportTraceServiceRequest, into: &mut BTreeMap<String, usize>) {
    for span in request.resource_spans.iter().flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans) {
        let id = span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
        *into.entry(id).or_default() += 1;
    }
}

#[test]
fn sigterm_under_load_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let collector = Collector::start(binary(), dir.path(), &keep_all());
    let address = collector.address("grpc");
    let stop = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..3_u64)
        .map(|sender| {
            let stop = Arc::clone(&stop);
            std::thread::spawn(move || send_until(&stop, address, sender))
        })
        .collect();
    wait_for("load", || collector.node("receivers.otlp")["accepted"].as_u64().filter(|&n| n > 20_000));
    let (status, last) = collector.terminate();
    stop.store(true, Ordering::Release);
    let mut acknowledged = BTreeMap::new();
    for sender in senders {
        for (id, spans) in sender.join().expect("the sender ends") {
            *acknowledged.entry(id).or_insert(0) += spans;
        }
    }
    assert!(status.success(), "{status}");
    assert_conserved(&last);
    let written = spans_by_trace(&dir.path().join("data/windows"));
    assert!(!acknowledged.is_empty());
    let lost: Vec<_> =
        acknowledged.iter().filter(|(id, spans)| written.get(*id).copied().unwrap_or(0) < **spans).collect();
    assert!(lost.is_empty(), "{} of {} traces lost spans: {:?}", lost.len(), acknowledged.len(), lost.first());
    let kept = row(&last, "exporters.parquet/spans");
    assert_eq!(kept["sent"].as_u64(), Some(written.values().sum::<usize>() as u64));

    // The same folder serves a second run: nothing is in its way and nothing is overwritten.
    let before = written.values().sum::<usize>();
    let again = Collector::start(binary(), dir.path(), &keep_all());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let request =
        ExportTraceServiceRequest::decode(Corpus::new(9, 40).requests[0].pass(1).as_slice()).expect("decodes");
    let mut more = BTreeMap::new();
    count(&request, &mut more);
    let address = again.address("grpc");
    runtime.block_on(async {
        Grpc::connect(address).await.expect("it listens").export(request).await.expect("it takes spans");
    });
    again.stop();
    let after = spans_by_trace(&dir.path().join("data/windows")).values().sum::<usize>();
    assert_eq!(after, before + more.values().sum::<usize>());
}

/// Sends until told to stop or refused; returns the spans that were acknowledged, by trace.
fn send_until(stop: &AtomicBool, address: std::net::SocketAddr, sender: u64) -> BTreeMap<String, usize> {
    let corpus = Corpus::new(sender, 300);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut acknowledged = BTreeMap::new();
    runtime.block_on(async {
        let mut client = Grpc::connect(address).await.expect("it listens");
        for pass in 1_u64.. {
            for request in &corpus.requests {
                if stop.load(Ordering::Acquire) {
                    return;
                }
                let bytes = request.pass(sender << 32 | pass);
                let request = ExportTraceServiceRequest::decode(bytes.as_slice()).expect("decodes");
                let mut spans = BTreeMap::new();
                count(&request, &mut spans);
                match client.export(request).await {
                    Ok(_) => spans.into_iter().for_each(|(id, n)| *acknowledged.entry(id).or_insert(0) += n),
                    Err(_) => return,
                }
            }
        }
    });
    acknowledged
}
