//! The HTTP side: binds, answers, and goes when it is told.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use tokio::net::TcpListener;

use crate::feedback::feedback;
use crate::investigate::investigate;
use crate::metrics::{self, Process};
use crate::posts;
use crate::view::{Source, View};

/// The admin listener could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ListenerError {
    /// The address cannot be bound.
    #[error("cannot listen on '{endpoint}' (service.admin.endpoint)")]
    Bind {
        /// As configured.
        endpoint: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The server broke.
    #[error("the admin listener failed")]
    Serve(#[source] std::io::Error),
}

/// A bound admin listener.
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

pub(crate) type Shared = State<Arc<dyn Source>>;

impl Listener {
    /// Binds `endpoint`; port 0 takes a free one.
    pub async fn bind(endpoint: &str) -> Result<Self, ListenerError> {
        let failed = |source| ListenerError::Bind { endpoint: endpoint.to_owned(), source };
        let socket = TcpListener::bind(endpoint).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok(Self { socket, address })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until the future is dropped.
    pub async fn serve(self, source: Arc<dyn Source>) -> Result<(), ListenerError> {
        axum::serve(self.socket, router(source)).await.map_err(ListenerError::Serve)
    }
}

/// The routes.
fn router(source: Arc<dyn Source>) -> Router {
    Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(exposition))
        .route("/status", get(status))
        .route("/v1/changes", post(posts::changes))
        .route("/v1/alerts", post(posts::alerts))
        .route("/v1/feedback", post(feedback))
        .route("/v1/investigate", post(investigate))
        .layer(DefaultBodyLimit::max(posts::MOST_BODY))
        .with_state(source)
}

async fn readyz(State(source): Shared) -> Response {
    if source.ready() {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {}\n", source.status().state)).into_response()
}

async fn exposition(State(source): Shared) -> Response {
    let text = metrics::render(&source.status(), source.ready(), Process::read());
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
}

#[derive(Deserialize)]
struct Filter {
    pipeline: Option<String>,
}

async fn status(State(source): Shared, Query(filter): Query<Filter>) -> Response {
    let wanted = filter.pipeline.as_deref().filter(|name| !name.is_empty());
    if let Some(view) = View::of(source.as_ref(), wanted) {
        return Json(view).into_response();
    }
    let known: Vec<&str> = source.pipelines().keys().map(String::as_str).collect();
    let error = format!("there is no pipeline '{}'", wanted.unwrap_or_default());
    (StatusCode::NOT_FOUND, Json(serde_json::json!({ "error": error, "pipelines": known }))).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};

    use backtrail_model::UnixNano;
    use backtrail_model::alert::Alert;
    use backtrail_model::change::Change;
    use backtrail_model::feedback::Feedback;
    use backtrail_model::verdict::Verdict;
    use backtrail_pipeline::boards::{NoAnswer, Question};
    use backtrail_pipeline::engine::{NodeStatus, Status};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[derive(Default)]
    struct Fake {
        ready: AtomicBool,
        changes: Mutex<Vec<Change>>,
        alerts: Mutex<Vec<Alert>>,
        pipelines: BTreeMap<String, Vec<String>>,
    }

    impl Fake {
        fn new() -> Arc<Self> {
            let keep = vec!["receivers.otlp".to_owned()];
            let pipelines = BTreeMap::from([("keep".to_owned(), keep)]);
            Arc::new(Self { ready: AtomicBool::new(true), pipelines, ..Self::default() })
        }
    }

    impl Source for Fake {
        fn status(&self) -> Status {
            let row = |node: &str| NodeStatus { node: node.to_owned(), accepted: 3, sent: 3, ..NodeStatus::default() };
            let state = if self.ready() { "running" } else { "draining" };
            let nodes = vec![row("receivers.otlp"), row("processors.ochiai")];
            Status { state: state.to_owned(), listening: Vec::new(), nodes }
        }

        fn ready(&self) -> bool {
            self.ready.load(Ordering::Relaxed)
        }

        fn pipelines(&self) -> &BTreeMap<String, Vec<String>> {
            &self.pipelines
        }
        fn post_changes(&self, changes: Vec<Change>) -> bool {
            self.changes.lock().expect("not poisoned").extend(changes);
            self.ready()
        }
        fn post_alerts(&self, alerts: Vec<Alert>) -> bool {
            self.alerts.lock().expect("not poisoned").extend(alerts);
            self.ready()
        }
        fn feedback(&self, verdict_id: &str, culprit: Option<&str>) -> Option<std::io::Result<Feedback>> {
            let feedback = Feedback {
                time_unix_nano: UnixNano(7),
                verdict_id: verdict_id.to_owned(),
                said: None,
                culprit: culprit.map(str::to_owned),
            };
            self.ready().then_some(Ok(feedback))
        }
        fn investigate(&self, question: &Question) -> Option<Result<Verdict, NoAnswer>> {
            let known = vec![format!("web GET /, not {}", question.endpoint)];
            self.ready().then_some(Err(match question.last.as_secs() {
                1 => NoAnswer::Busy,
                2 => NoAnswer::NoSlices,
                _ => NoAnswer::UnknownEndpoint { known },
            }))
        }
    }

    async fn ask(fake: &Arc<Fake>, path: &str) -> (u16, String) {
        exchange(fake, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await
    }

    async fn tell(fake: &Arc<Fake>, path: &str, body: &str) -> (u16, String) {
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}", body.len());
        exchange(fake, &format!("{head}\r\n\r\n{body}")).await
    }

    /// Asks a listener over a real socket; gives the status code and the body.
    async fn exchange(fake: &Arc<Fake>, request: &str) -> (u16, String) {
        let listener = Listener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.address();
        let source: Arc<dyn Source> = Arc::<Fake>::clone(fake);
        let client = async {
            let mut stream = tokio::net::TcpStream::connect(address).await.expect("connects");
            stream.write_all(request.as_bytes()).await.expect("writes");
            let mut reply = String::new();
            stream.read_to_string(&mut reply).await.expect("reads");
            let code = reply.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
            let body = reply.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
            (code, body)
        };
        tokio::select! {
            served = listener.serve(source) => panic!("the server ended: {served:?}"),
            reply = client => reply,
        }
    }

    #[tokio::test]
    async fn readiness_follows_the_graph_and_liveness_does_not() {
        let fake = Fake::new();
        assert_eq!(ask(&fake, "/readyz").await.0, 200);
        fake.ready.store(false, Ordering::Relaxed);
        assert_eq!(ask(&fake, "/readyz").await, (503, "not ready: draining\n".to_owned()));
        assert_eq!(ask(&fake, "/livez").await.0, 200);
    }

    #[tokio::test]
    async fn status_can_be_asked_for_one_pipeline() {
        let fake = Fake::new();
        let (code, all) = ask(&fake, "/status").await;
        let all: serde_json::Value = serde_json::from_str(&all).expect("json");
        assert_eq!(
            (code, all["status"].as_str(), all["nodes"].as_array().map(Vec::len)),
            (200, Some("StatusOK"), Some(2))
        );
        let (_, keep) = ask(&fake, "/status?pipeline=keep").await;
        let keep: serde_json::Value = serde_json::from_str(&keep).expect("json");
        assert_eq!(keep["nodes"][0]["node"], "receivers.otlp");
        assert_eq!(keep["nodes"].as_array().map(Vec::len), Some(1));
        let (code, error) = ask(&fake, "/status?pipeline=nope").await;
        assert!(code == 404 && error.contains("no pipeline 'nope'"), "{error}");
    }

    #[tokio::test]
    async fn metrics_are_prometheus_text() {
        let (code, text) = ask(&Fake::new(), "/metrics").await;
        assert_eq!(code, 200);
        assert!(text.contains("backtrail_accepted_items_total{node=\"processors.ochiai\"} 3"), "{text}");
    }

    #[tokio::test]
    async fn posted_changes_are_taken_and_bad_ones_named() {
        let fake = Fake::new();
        let body = r#"[{"time": 7, "commit": "abc", "service": "cart"}, {"commit": "no time"}]"#;
        let (code, reply) = tell(&fake, "/v1/changes", body).await;
        assert_eq!((code, &*reply), (200, r#"{"rejected":["changes[1]: no time"],"taken":1}"#));
        assert_eq!(fake.changes.lock().expect("not poisoned")[0].commit, "abc");
        let (code, reply) = tell(&fake, "/v1/changes", "{\"commits\": 7}").await;
        assert!(code == 400 && reply.contains("not a list of changes"), "{reply}");
        assert_eq!(tell(&fake, "/v1/changes", r#"[{"commit": "x"}]"#).await.0, 400);
        fake.ready.store(false, Ordering::Relaxed);
        assert_eq!(tell(&fake, "/v1/changes", "[]").await.0, 503);
        assert_eq!(ask(&fake, "/v1/changes").await.0, 405);
    }

    #[tokio::test]
    async fn the_webhook_of_alertmanager_is_taken_and_what_is_too_large_refused() {
        let fake = Fake::new();
        let body = r#"{"version": "4", "status": "firing", "alerts": [
            {"status": "firing", "labels": {"alertname": "Slow", "service": "cart"}, "startsAt": "2026-06-18T15:06:00Z"}]}"#;
        assert_eq!(tell(&fake, "/v1/alerts", body).await, (200, r#"{"rejected":[],"taken":1}"#.to_owned()));
        assert_eq!(fake.alerts.lock().expect("not poisoned")[0].service, "cart");
        let (code, reply) = tell(&fake, "/v1/alerts", "[").await;
        assert!(code == 400 && reply.contains("not JSON"), "{reply}");
        let large = " ".repeat(posts::MOST_BODY + 1);
        assert_eq!(tell(&fake, "/v1/alerts", &large).await.0, 413);
    }

    #[tokio::test]
    async fn a_question_without_an_answer_is_told_why() {
        let fake = Fake::new();
        for (body, code, words) in [
            ("[", 400, "hint"),
            ("{}", 400, "endpoint"),
            (r#"{"endpoint": " "}"#, 400, "endpoint is empty"),
            (r#"{"endpoint": "x", "last": "0s"}"#, 400, "at most 24h"),
            (r#"{"endpoint": "x", "last": "15"}"#, 400, "15"),
            (r#"{"endpoint": "x", "lost": "15m"}"#, 400, "lost"),
            (r#"{"endpoint": "x", "last": "1s"}"#, 429, "another question"),
            (r#"{"endpoint": "x", "last": "2s"}"#, 503, "no slice"),
            (r#"{"endpoint": "web GET /x"}"#, 404, "web GET /, not web GET /x"),
            (r#"{"endpoint": {"service": "web", "route": "GET /x"}}"#, 404, "web GET /, not web GET /x"),
        ] {
            let (answered, reply) = tell(&fake, "/v1/investigate", body).await;
            assert!(answered == code && reply.contains(words), "{body}: {answered} {reply}");
        }
        fake.ready.store(false, Ordering::Relaxed);
        assert_eq!(tell(&fake, "/v1/investigate", r#"{"endpoint": "x"}"#).await.0, 503);
    }

    #[tokio::test]
    async fn feedback_names_a_culprit_or_says_wrong() {
        let fake = Fake::new();
        for (body, code, words) in [
            (r#"{"verdict_id": "v", "culprit": "cart"}"#, 200, r#""culprit":"cart""#),
            (r#"{"verdict_id": "v", "wrong": true}"#, 200, r#""right":null"#),
            (r#"{"verdict_id": "v"}"#, 400, "name the culprit, or"),
            (r#"{"verdict_id": "v", "culprit": "cart", "wrong": true}"#, 400, "not both"),
            (r#"{"verdict_id": " ", "wrong": true}"#, 400, "verdict_id"),
            (r#"{"verdict": "v", "wrong": true}"#, 400, "verdict"),
        ] {
            let (answered, reply) = tell(&fake, "/v1/feedback", body).await;
            assert!(answered == code && reply.contains(words), "{body}: {answered} {reply}");
        }
    }
}
