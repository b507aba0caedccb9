//! `POST /v1/feedback`: whether a verdict was right.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use crate::listener::Shared;

/// Most bytes of an id or a name.
const MOST: usize = 1000;

/// The body: one of `culprit` and `wrong`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    verdict_id: String,
    #[serde(default)]
    culprit: Option<String>,
    #[serde(default)]
    wrong: bool,
}

impl Body {
    fn problem(&self) -> Option<&'static str> {
        let fits = |text: &str| !text.trim().is_empty() && text.len() <= MOST;
        match &self.culprit {
            _ if !fits(&self.verdict_id) => Some("verdict_id must have 1 to 1000 bytes"),
            Some(culprit) if !fits(culprit) => Some("culprit must have 1 to 1000 bytes"),
            Some(_) if self.wrong => Some("name the culprit or say that the verdict is wrong, not both"),
            None if !self.wrong => Some("name the culprit, or say that the verdict is wrong"),
            _ => None,
        }
    }
}

pub(crate) async fn feedback(State(source): Shared, body: Bytes) -> Response {
    let refused = |code: StatusCode, error: &str| (code, Json(json!({ "error": error }))).into_response();
    let read = serde_json::from_slice::<Body>(&body).map_err(|error| error.to_string());
    let body = match read.and_then(|body| body.problem().map_or(Ok(body), |problem| Err(problem.to_owned()))) {
        Ok(body) => body,
        Err(why) => return refused(StatusCode::BAD_REQUEST, &why),
    };
    let write = move || source.feedback(&body.verdict_id, body.culprit.as_deref());
    match tokio::task::spawn_blocking(write).await {
        Ok(Some(Ok(feedback))) => Json(json!({ "written": feedback, "right": feedback.right() })).into_response(),
        Ok(Some(Err(error))) => refused(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Ok(None) => refused(StatusCode::SERVICE_UNAVAILABLE, "the pipeline does not run yet"),
        Err(_) => refused(StatusCode::INTERNAL_SERVER_ERROR, "writing failed; the log says why"),
    }
}
