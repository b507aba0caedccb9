//! A graph for tests: keeps what it is given and settles it as it is told.

use std::sync::Arc;

use backtrail_model::ack::{Ack, Outcome};
use backtrail_model::data::{Batch, Data};
use backtrail_model::signal::Signal;
use backtrail_model::time::{SliceGrid, UnixNano};
use backtrail_pipeline::Context;
use backtrail_pipeline::context::{Inlet, Outlet, Sending, Shared, SharedOptions};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use parking_lot::Mutex;

/// What the graph heard.
#[derive(Clone, Debug)]
pub(crate) enum Heard {
    Batch(Data, UnixNano),
    Advance(UnixNano),
}

/// An inlet that collects.
pub(crate) struct Graph {
    pub(crate) heard: Mutex<Vec<Heard>>,
    /// How batches are settled; `None` keeps them unsettled.
    pub(crate) outcome: Mutex<Option<Outcome>>,
    pub(crate) unsettled: Mutex<Vec<Ack>>,
}

impl Graph {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            heard: Mutex::default(),
            outcome: Mutex::new(Some(Outcome::Delivered)),
            unsettled: Mutex::default(),
        })
    }

    pub(crate) fn outlet(self: &Arc<Self>, cx: &Context) -> Outlet {
        Outlet::new(Arc::clone(self) as Arc<dyn Inlet>, Arc::clone(cx.stats()))
    }

    pub(crate) fn batches(&self) -> Vec<Data> {
        let heard = self.heard.lock();
        let batches = heard.iter().filter_map(|heard| match heard {
            Heard::Batch(data, _) => Some(data.clone()),
            Heard::Advance(_) => None,
        });
        batches.collect()
    }
}

impl Inlet for Graph {
    fn send(&self, batch: Batch) -> Sending<'_> {
        self.heard.lock().push(Heard::Batch(batch.data, batch.arrival));
        match *self.outcome.lock() {
            Some(Outcome::Delivered) => batch.ack.delivered(),
            Some(Outcome::Rejected) => batch.ack.rejected(),
            Some(Outcome::Failed) => batch.ack.failed(),
            None => self.unsettled.lock().push(batch.ack),
        }
        Box::pin(async {})
    }

    fn wants(&self, _signal: Signal) -> bool {
        true
    }

    fn advance(&self, arrival: UnixNano) -> Sending<'_> {
        self.heard.lock().push(Heard::Advance(arrival));
        Box::pin(async {})
    }
}

/// A context with the machine's clock and a budget of `memory` bytes.
pub(crate) fn context(memory: u64) -> Context {
    let shared = Shared::new(SharedOptions {
        grid: SliceGrid { origin: UnixNano(0), length: std::time::Duration::from_secs(15) },
        allowed_lateness: std::time::Duration::from_secs(10),
        data_dir: std::path::PathBuf::new(),
        config_digest: String::new(),
        memory_limit: memory,
        symbol_cap: 10_000,
        virtual_clock: false,
    });
    Context::new("receivers.test", 0, Arc::default(), shared)
}

/// Asserts accepted = sent + dropped, and that every lent byte came back.
pub(crate) fn assert_conserved(cx: &Context) {
    use std::sync::atomic::Ordering::Relaxed;
    let (stats, dropped) = (cx.stats(), cx.stats().dropped().values().sum::<u64>());
    assert_eq!(stats.accepted.load(Relaxed), stats.sent.load(Relaxed) + dropped);
}

/// A request of `count` spans that end one millisecond apart, the last one at `end`.
pub(crate) fn traces(count: u64, end: UnixNano) -> ExportTraceServiceRequest {
    let string = |text: &str| Some(AnyValue { value: Some(any_value::Value::StringValue(text.to_owned())) });
    let spans = (0..count).map(|n| {
        let end = end.0 - (count - 1 - n) * 1_000_000;
        Span {
            trace_id: (u128::from(n) + 1).to_be_bytes().to_vec(),
            span_id: (n + 1).to_be_bytes().to_vec(),
            name: format!("GET /cart/{}", n % 8),
            kind: 2,
            start_time_unix_nano: end - 1_000_000,
            end_time_unix_nano: end,
            attributes: vec![KeyValue {
                key: "http.request.method".to_owned(),
                value: string("GET"),
                ..KeyValue::default()
            }],
            ..Span::default()
        }
    });
    let service = KeyValue { key: "service.name".to_owned(), value: string("shop"), ..KeyValue::default() };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes: vec![service], ..Resource::default() }),
            scope_spans: vec![ScopeSpans { spans: spans.collect(), ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }],
    }
}
