//! What is told to the graph: changes and alerts.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use backtrail_model::{alert, change};
use serde_json::json;

use crate::listener::Shared;
use crate::view::Source;

/// Most bytes of a body.
pub(crate) const MOST_BODY: usize = 4 << 20;

/// `POST /v1/changes`
pub(crate) async fn changes(State(source): Shared, body: Bytes) -> Response {
    let Ok(text) = std::str::from_utf8(&body) else { return refused("the body is no UTF-8", &[]) };
    match change::read(text) {
        Ok(taken) => {
            let rejected: Vec<String> =
                taken.rejected.iter().map(|rejected| format!("{}: {}", rejected.place, rejected.why)).collect();
            answer(&source, taken.changes, &rejected, Source::post_changes)
        }
        Err(error) => refused(&error.to_string(), &[]),
    }
}

/// `POST /v1/alerts`
pub(crate) async fn alerts(State(source): Shared, body: Bytes) -> Response {
    let Ok(text) = std::str::from_utf8(&body) else { return refused("the body is no UTF-8", &[]) };
    match alert::read(text) {
        Ok(taken) => answer(&source, taken.alerts, &taken.rejected, Source::post_alerts),
        Err(error) => refused(&error.to_string(), &[]),
    }
}

/// 200 if anything was taken (or nothing was sent), 400 if all was bad, 503 while there is no graph: senders try again.
fn answer<T>(
    source: &Arc<dyn Source>,
    good: Vec<T>,
    rejected: &[String],
    post: impl Fn(&dyn Source, Vec<T>) -> bool,
) -> Response {
    let taken = good.len();
    if taken == 0 && !rejected.is_empty() {
        return refused("nothing could be taken", rejected);
    }
    if !post(source.as_ref(), good) {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "error": "the pipeline does not run yet" })))
            .into_response();
    }
    Json(json!({ "taken": taken, "rejected": rejected })).into_response()
}

fn refused(error: &str, rejected: &[String]) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error, "rejected": rejected }))).into_response()
}
