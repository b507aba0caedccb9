//! `patch_queue`: patch requests for the consumer, in a durable queue on disk (no broker needed).
//!
//! Each request is a `CloudEvents` 1.0.2 document in structured JSON, one record of a checksummed spool. It is
//! acknowledged after fsync. A request whose id is in the queue already is skipped and counted as `duplicate`.
//!
//! ```yaml
//! exporters:
//!   patch_queue: { max_size: 64MiB }
//! ```

use std::path::PathBuf;

use async_trait::async_trait;
use backtrail_model::data::{Batch, Data};
use backtrail_model::patch_request::PatchRequest;
use backtrail_model::signal::{Signal, Signals};
use backtrail_pipeline::{ByteSize, Component, Context, Exporter, Finding, NodeError, Scope};
use backtrail_spool::{Error, Options, Reader, Writer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

use crate::cloud_event::CloudEvent;

const TYPE: &str = "dev.backtrail.patch.requested.v1";
const LEAST_SIZE: u64 = 64 << 10;

/// Settings of `patch_queue`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Directory of the queue; empty means `patch_queue` below `service.data_dir`.
    pub path: String,
    /// Most bytes on disk; past it the exporter waits for the consumer.
    pub max_size: ByteSize,
    /// `source` of the events: which collector it was.
    pub source: String,
}

impl Default for Config {
    fn default() -> Self {
        Self { path: String::new(), max_size: ByteSize(256 << 20), source: "/backtrail".to_owned() }
    }
}

impl Component for Config {
    const NAME: &'static str = "patch_queue";
    const SUMMARY: &'static str = "Queues patch requests on disk for the consumer, as CloudEvents.";
    const SCOPE: Scope = Scope::Stateless;
    type Node = dyn Exporter;

    fn accepts(&self) -> Signals {
        Signals::of(&[Signal::PatchRequests])
    }

    fn emits(&self) -> Signals {
        Signals::NONE
    }

    fn check(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.max_size.0 < LEAST_SIZE {
            findings.push(Finding::new(
                "max_size",
                format!("{} is too small for a queue", self.max_size),
                "write 64KiB or more",
            ));
        }
        if self.source.is_empty() {
            findings.push(Finding::new("source", "an event needs a source", "leave it out for /backtrail"));
        }
        findings
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Exporter>, NodeError> {
        let path = if self.path.is_empty() { cx.data_dir().join("patch_queue") } else { PathBuf::from(&self.path) };
        Ok(Box::new(PatchQueue { cx: cx.clone(), config: self.clone(), path, queue: None }))
    }
}

struct PatchQueue {
    cx: Context,
    config: Config,
    path: PathBuf,
    /// Opened with the first request: nothing is written before the whole graph runs.
    queue: Option<Queue>,
}

struct Queue {
    writer: Writer,
    ids: HashSet<String>,
}

impl PatchQueue {
    fn open(&self) -> Result<Queue, NodeError> {
        let options = Options {
            segment_bytes: (self.config.max_size.0 / 4).min(16 << 20),
            max_total_bytes: self.config.max_size.0,
            fsync: true,
        };
        let writer = Writer::open(&self.path, options).map_err(|error| unavailable(&self.cx, error))?;
        if let Some((file, offset, bytes)) = &writer.recovered().torn {
            tracing::warn!(node = self.cx.node(), file = %file.display(), offset, bytes, "incomplete record truncated");
        }
        let mut ids = HashSet::new();
        for record in Reader::open(&self.path) {
            match record {
                Ok(record) => ids.extend(id_of(&record.payload)),
                Err(Error::Damaged(damage)) => {
                    self.cx.stats().note("damaged_records", 1);
                    tracing::warn!(node = self.cx.node(), %damage, "the queue is damaged; the rest goes on");
                }
                Err(error) => return Err(unavailable(&self.cx, error)),
            }
        }
        Ok(Queue { writer, ids })
    }

    fn take(&mut self, request: &PatchRequest) -> Result<(), NodeError> {
        if self.queue.is_none() {
            self.queue = Some(self.open()?);
        }
        let Some(queue) = &mut self.queue else { return Ok(()) };
        if queue.ids.contains(&request.id) {
            self.cx.stats().drop_items("duplicate", 1);
            return Ok(());
        }
        let (subject, time) = (&request.suspect_ref.incident_key, request.problem.time_window.end_unix_nano);
        let event = CloudEvent::new(TYPE, &request.id, &self.config.source, subject, time, request);
        let document = serde_json::to_vec(&event).map_err(|error| NodeError::Bug(error.to_string()))?;
        match queue.writer.append(&document).and_then(|_| queue.writer.sync()) {
            Ok(()) => {
                queue.ids.insert(request.id.clone());
                self.cx.stats().send(1);
                Ok(())
            }
            Err(error) => {
                // What did reach the disk is read back, so that the retry neither loses nor doubles the request.
                if !matches!(error, Error::Full { .. }) {
                    self.queue = None;
                }
                Err(unavailable(&self.cx, error))
            }
        }
    }
}

#[async_trait]
impl Exporter for PatchQueue {
    async fn export(&mut self, batch: &Batch) -> Result<(), NodeError> {
        let Data::PatchRequest(request) = &batch.data else {
            return Err(NodeError::Bug(format!("patch_queue was given {}", batch.data.signal())));
        };
        crate::heavy(|| self.take(request))
    }
}

fn unavailable(cx: &Context, error: Error) -> NodeError {
    let remedy = match &error {
        Error::Full { .. } => "; run the consumer, or raise max_size",
        Error::Locked(_) => "; another collector uses this path",
        _ => "",
    };
    NodeError::unavailable(format!("{}: {error}{remedy}", cx.node()), error)
}

fn id_of(document: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Id {
        id: String,
    }
    serde_json::from_slice::<Id>(document).ok().map(|event| event.id)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use backtrail_model::time::UnixNano;

    use super::*;

    fn request(id: &str) -> Batch {
        let mut request: PatchRequest =
            serde_json::from_str(include_str!("../tests/data/patch_request.json")).expect("a request");
        request.id = id.to_owned();
        Batch::derived(Data::PatchRequest(Arc::new(request)), UnixNano(0))
    }

    fn node(path: &std::path::Path, max_size: ByteSize) -> (Box<dyn Exporter>, Context) {
        let cx = Context::for_test("exporters.patch_queue");
        let config = Config { path: path.display().to_string(), max_size, ..Config::default() };
        (config.build(&cx).expect("builds"), cx)
    }

    #[tokio::test]
    async fn a_request_is_a_cloud_event_in_the_spool_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("queue");
        let (mut exporter, cx) = node(&path, Config::default().max_size);
        assert!(!path.exists(), "nothing is written before the first request");
        for id in ["a", "b", "a"] {
            exporter.export(&request(id)).await.expect("taken");
        }
        assert_eq!((cx.stats().sent.load(Ordering::Relaxed), cx.stats().dropped()["duplicate"]), (2, 1));
        drop(exporter);
        let (mut again, cx) = node(&path, Config::default().max_size);
        again.export(&request("b")).await.expect("taken");
        assert_eq!(cx.stats().dropped()["duplicate"], 1);
        let records: Vec<_> = Reader::open(&path).map(|record| record.expect("intact").payload).collect();
        assert_eq!(records.len(), 2);
        let event: serde_json::Value = serde_json::from_slice(&records[0]).expect("JSON");
        assert_eq!(event["specversion"], "1.0");
        assert_eq!(event["type"], TYPE);
        assert_eq!(event["time"], "2022-08-22T03:53:54.123Z");
        assert_eq!(event["data"]["id"], "a");
    }

    #[tokio::test]
    async fn a_full_queue_is_unavailable_and_says_what_to_do() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut exporter, _) = node(dir.path(), ByteSize(LEAST_SIZE));
        let mut n = 0;
        let error = loop {
            n += 1;
            if let Err(error) = exporter.export(&request(&n.to_string())).await {
                break error;
            }
        };
        assert!(matches!(&error, NodeError::Unavailable { .. }), "{error}");
        assert!(error.to_string().contains("raise max_size"), "{error}");
    }

    #[tokio::test]
    async fn an_unwritable_path_is_unavailable() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("file");
        std::fs::write(&file, "").expect("writable");
        let (mut exporter, _) = node(&file.join("queue"), Config::default().max_size);
        assert!(matches!(exporter.export(&request("a")).await, Err(NodeError::Unavailable { .. })));
    }
}
