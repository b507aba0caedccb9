//! OTLP/HTTP: protobuf and JSON, chosen by `Content-Type`; answered in the request's type.

use std::sync::Arc;
use std::time::Duration;

use backtrail_model::signal::Signal;
use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ALLOW, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderName, RETRY_AFTER,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use prost::Message;

use super::body::{self, Gathered};
use super::config;
use super::cors;
use super::intake::{Form, Intake, Taken};
use super::reply::Reply;
use super::status::Refusal;
use crate::inflate::Encoding;

const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const ACCEPT_POST: HeaderName = HeaderName::from_static("accept-post");
/// How long the unread rest of a refused body is read and thrown away, so that the client can hear the answer.
const DISCARD: Duration = Duration::from_secs(1);

/// Answers one request.
pub(super) async fn answer(request: Request<Incoming>, intake: Arc<Intake>) -> Response<Reply> {
    let Some(http) = &intake.config().protocols.http else { return Response::new(Reply::empty()) };
    let origin = cors::allowed_origin(&http.cors, request.headers());
    let mut response = if request.method() == Method::OPTIONS && !http.cors.allowed_origins.is_empty() {
        cors::preflight(&http.cors, origin.is_some())
    } else {
        exchange(request, http, &intake).await
    };
    if let Some(origin) = origin {
        cors::permit(response.headers_mut(), origin);
    }
    response
}

async fn exchange(request: Request<Incoming>, http: &config::Http, intake: &Arc<Intake>) -> Response<Reply> {
    let form = form(request.headers());
    // Unread bytes are of no concern on HTTP/2, where a stream is reset alone, nor to a client that asked first.
    let linger = request.version() < Version::HTTP_2 && !request.headers().contains_key(EXPECT);
    let (head, mut body) = request.into_parts();
    let taken = match admit(&head, http, form.as_ref(), intake) {
        Ok((signal, form, encoding)) => receive(&head.headers, &mut body, signal, form, encoding, intake).await,
        Err(refusal) => Err(refusal),
    };
    match taken {
        Ok(taken) => success(&taken, form.unwrap_or(Form::Json)),
        Err(refusal) => {
            if linger {
                let _ = tokio::time::timeout(DISCARD, body::discard(&mut body)).await;
            }
            // Whoever sent no type that is understood reads the answer with their eyes.
            failure(&refusal, form.unwrap_or(Form::Json), !http.cors.allowed_origins.is_empty(), intake)
        }
    }
}

/// What can be said from the head alone.
fn admit(
    head: &http::request::Parts,
    http: &config::Http,
    form: Result<&Form, &Refusal>,
    intake: &Intake,
) -> Result<(Signal, Form, Encoding), Refusal> {
    let signal = match head.uri.path() {
        path if path == http.traces_url_path => Signal::Spans,
        path if path == http.logs_url_path => Signal::Logs,
        path if path == http.metrics_url_path => Signal::Metrics,
        path => return Err(Refusal::Unknown(path.to_owned())),
    };
    if !intake.wants(signal) {
        return Err(Refusal::Unknown(head.uri.path().to_owned()));
    }
    if head.method != Method::POST {
        return Err(Refusal::Method);
    }
    let form = *form.map_err(Clone::clone)?;
    let name = head.headers.get(CONTENT_ENCODING).map_or("".into(), |value| String::from_utf8_lossy(value.as_bytes()));
    let encoding = Encoding::named(name.trim()).ok_or_else(|| Refusal::Encoding(name.into_owned()))?;
    Ok((signal, form, encoding))
}

/// The form that `Content-Type` names, parameters such as `charset` aside.
fn form(headers: &HeaderMap) -> Result<Form, Refusal> {
    let value = headers.get(CONTENT_TYPE).map_or("".into(), |value| String::from_utf8_lossy(value.as_bytes()));
    let essence = value.split(';').next().unwrap_or_default().trim();
    let is = |name: &str| essence.eq_ignore_ascii_case(name);
    match () {
        () if is("application/x-protobuf") || is("application/protobuf") => Ok(Form::Protobuf),
        () if is("application/json") => Ok(Form::Json),
        () => Err(Refusal::ContentType(essence.chars().take(128).collect())),
    }
}

async fn receive(
    headers: &HeaderMap,
    body: &mut Incoming,
    signal: Signal,
    form: Form,
    encoding: Encoding,
    intake: &Arc<Intake>,
) -> Result<Taken, Refusal> {
    let limit = intake.limit(intake.http_limit(), "max_request_body_size");
    let announced = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let read = async {
        let gathered: Gathered = body::whole(body, announced, limit, intake.budget()).await?;
        body::inflate(encoding, gathered, limit).await
    };
    let gathered = intake.read(read).await?;
    intake.take(signal, form, gathered).await
}

fn success(taken: &Taken, form: Form) -> Response<Reply> {
    let (kind, body) = match form {
        Form::Protobuf => (PROTOBUF, taken.partial().unwrap_or_default()),
        Form::Json => (JSON, taken.json()),
    };
    respond(StatusCode::OK, kind, body)
}

fn failure(refusal: &Refusal, form: Form, cors: bool, intake: &Intake) -> Response<Reply> {
    intake.refused(refusal);
    let status = refusal.status(refusal.http_body_code(), intake.retry_after());
    let (kind, body) = match form {
        Form::Protobuf => (PROTOBUF, status.encode_to_vec().into()),
        Form::Json => (JSON, status.json().into()),
    };
    let mut response = respond(refusal.http(), kind, body);
    let headers = response.headers_mut();
    match refusal {
        Refusal::Method => {
            headers.insert(ALLOW, HeaderValue::from_static(if cors { "POST, OPTIONS" } else { "POST" }));
        }
        Refusal::ContentType(_) => {
            headers.insert(ACCEPT_POST, HeaderValue::from_static("application/x-protobuf, application/json"));
        }
        Refusal::Encoding(_) => {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd"));
        }
        refusal if refusal.is_temporary() => {
            // Whole seconds, rounded up: 0 would mean "at once".
            let seconds = intake.retry_after().as_millis().div_ceil(1000).max(1) as u64;
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        _ => {}
    }
    response
}

fn respond(status: StatusCode, kind: HeaderValue, body: Bytes) -> Response<Reply> {
    let mut response = Response::new(Reply::of(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
