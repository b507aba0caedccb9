//! `POST /v1/investigate`: a verdict on the last while of an endpoint, without an incident.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use backtrail_pipeline::Duration;
use backtrail_pipeline::boards::{NoAnswer, Question};
use serde::Deserialize;
use serde_json::json;

use crate::listener::Shared;

/// The longest time that can be asked about.
const MOST: std::time::Duration = std::time::Duration::from_hours(24);

/// The body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    endpoint: Name,
    #[serde(default = "quarter")]
    last: Duration,
}

/// An endpoint by its name, or as a verdict writes it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Name {
    Text(String),
    Parts {
        #[serde(default)]
        service: String,
        #[serde(default)]
        route: String,
    },
}

fn quarter() -> Duration {
    Duration::from_secs(15 * 60)
}

impl Body {
    fn question(self) -> Result<Question, &'static str> {
        let endpoint = match self.endpoint {
            Name::Text(text) => text.trim().to_owned(),
            Name::Parts { service, route } => format!("{service} {route}").trim().to_owned(),
        };
        if endpoint.is_empty() {
            return Err("endpoint is empty: name a service, a route, or 'service route'");
        }
        if self.last.0.is_zero() || self.last.0 > MOST {
            return Err("last must be more than 0s and at most 24h");
        }
        Ok(Question { endpoint, last: self.last.0 })
    }
}

/// Judging takes up to a second of a core, so it is done where waiting is allowed.
pub(crate) async fn investigate(State(source): Shared, body: Bytes) -> Response {
    let read = serde_json::from_slice::<Body>(&body).map_err(|error| error.to_string());
    let question = match read.and_then(|body| body.question().map_err(str::to_owned)) {
        Ok(question) => question,
        Err(why) => {
            let shape = r#"the body must be such as {"endpoint": "frontend GET /cart", "last": "15m"}"#;
            return refused(StatusCode::BAD_REQUEST, &why, json!({ "hint": shape }));
        }
    };
    match tokio::task::spawn_blocking(move || source.investigate(&question)).await {
        Ok(Some(Ok(verdict))) => Json(verdict).into_response(),
        Ok(Some(Err(why))) => unanswered(&why),
        Ok(None) => refused(StatusCode::SERVICE_UNAVAILABLE, "the pipeline does not run yet", json!({})),
        Err(_) => refused(StatusCode::INTERNAL_SERVER_ERROR, "judging failed; the log says why", json!({})),
    }
}

fn unanswered(why: &NoAnswer) -> Response {
    let (code, further) = match why {
        NoAnswer::UnknownEndpoint { known } => (StatusCode::NOT_FOUND, json!({ "known": known })),
        NoAnswer::Nobody => (StatusCode::NOT_FOUND, json!({})),
        NoAnswer::Busy => (StatusCode::TOO_MANY_REQUESTS, json!({})),
        NoAnswer::NoSlices => (StatusCode::SERVICE_UNAVAILABLE, json!({})),
    };
    refused(code, &why.to_string(), further)
}

fn refused(code: StatusCode, error: &str, mut further: serde_json::Value) -> Response {
    further["error"] = error.into();
    (code, Json(further)).into_response()
}
