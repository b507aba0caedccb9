//! OTLP/gRPC: the unary `Export` of three services, on raw bytes.

use std::fmt::Write as _;
use std::sync::Arc;

use backtrail_model::signal::Signal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use prost::Message;

use super::body::{self, Limit};
use super::intake::{Form, Intake, Taken};
use super::reply::Reply;
use super::status::Refusal;
use crate::inflate::Encoding;

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_DETAILS: HeaderName = HeaderName::from_static("grpc-status-details-bin");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
/// What `grpc-encoding` may say.
const ENCODINGS: HeaderValue = HeaderValue::from_static("identity,gzip,zstd");
/// The frame of an empty response message: not compressed, 0 bytes.
const EMPTY_MESSAGE: &[u8] = &[0; 5];

/// The signal of a method's path.
fn signal(path: &str) -> Option<Signal> {
    match path {
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export" => Some(Signal::Spans),
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export" => Some(Signal::Logs),
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" => Some(Signal::Metrics),
        _ => None,
    }
}

/// Answers one call.
pub(super) async fn answer(request: Request<Incoming>, intake: Arc<Intake>) -> Response<Reply> {
    if !is_grpc(request.headers()) {
        return not_grpc(&intake);
    }
    match call(request, &intake).await {
        Ok(taken) => success(&taken),
        Err(refusal) => failure(&refusal, &intake),
    }
}

/// Whether the content type is gRPC with protobuf messages.
fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    kind.strip_prefix(b"application/grpc").is_some_and(|rest| rest.is_empty() || rest == b"+proto" || rest[0] == b';')
}

async fn call(request: Request<Incoming>, intake: &Arc<Intake>) -> Result<Taken, Refusal> {
    let path = request.uri().path();
    let signal =
        signal(path).filter(|&signal| intake.wants(signal)).ok_or_else(|| Refusal::Unknown(path.to_owned()))?;
    if request.method() != Method::POST {
        return Err(Refusal::Method);
    }
    let encoding = encoding(request.headers())?;
    let limit = intake.limit(intake.grpc_limit(), "max_recv_msg_size");
    let mut body = request.into_body();
    let gathered = intake.read(read(&mut body, encoding, limit, intake)).await?;
    drop(body);
    intake.take(signal, Form::Protobuf, gathered).await
}

async fn read(
    body: &mut Incoming,
    encoding: Encoding,
    limit: Limit,
    intake: &Intake,
) -> Result<body::Gathered, Refusal> {
    let (compressed, gathered) = body::message(body, limit, intake.budget()).await?;
    match (compressed, encoding) {
        (false, _) => Ok(gathered),
        (true, Encoding::Identity) => Err(Refusal::Malformed("compressed message without grpc-encoding".to_owned())),
        (true, encoding) => body::inflate(encoding, gathered, limit).await,
    }
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
    let Some(value) = headers.get(GRPC_ENCODING) else { return Ok(Encoding::Identity) };
    let name = String::from_utf8_lossy(value.as_bytes());
    Encoding::named(&name).ok_or_else(|| Refusal::Encoding(name.into_owned()))
}

fn success(taken: &Taken) -> Response<Reply> {
    let message = taken.partial().map_or(Bytes::from_static(EMPTY_MESSAGE), |partial| {
        let mut framed = BytesMut::with_capacity(EMPTY_MESSAGE.len() + partial.len());
        framed.put_u8(0);
        framed.put_u32(partial.len() as u32);
        framed.extend_from_slice(&partial);
        framed.freeze()
    });
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
    let mut response = Response::new(Reply::with_trailers(message, trailers));
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

/// A response of trailers only.
fn failure(refusal: &Refusal, intake: &Intake) -> Response<Reply> {
    intake.refused(refusal);
    let status = refusal.status(refusal.code(), intake.retry_after());
    let mut response = Response::new(Reply::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, GRPC);
    headers.insert(GRPC_STATUS, HeaderValue::from(status.code));
    headers.insert(GRPC_MESSAGE, text(&status.message));
    if !status.details.is_empty()
        && let Ok(value) = HeaderValue::from_str(&STANDARD_NO_PAD.encode(status.encode_to_vec()))
    {
        headers.insert(GRPC_DETAILS, value);
    }
    if matches!(refusal, Refusal::Encoding(_)) {
        headers.insert(GRPC_ACCEPT_ENCODING, ENCODINGS);
    }
    response
}

/// What another protocol hears at this port: mixing up 4317 and 4318 is the most frequent mistake.
fn not_grpc(intake: &Intake) -> Response<Reply> {
    intake.refused(&Refusal::ContentType(String::new()));
    let mut response = Response::new(Reply::of("this port speaks OTLP/gRPC; OTLP/HTTP has a port of its own\n"));
    *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    response
}

/// `grpc-message`: percent-encoded where it is not printable ASCII, and bounded.
fn text(message: &str) -> HeaderValue {
    let mut encoded = String::with_capacity(message.len());
    for byte in message.bytes().take(1024) {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    HeaderValue::from_str(&encoded).unwrap_or(HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_percent_encoded() {
        assert_eq!(text("100% größe\n"), "100%25 gr%C3%B6%C3%9Fe%0A");
    }

    #[test]
    fn only_protobuf_messages_are_grpc() {
        let of = |kind: &'static str| is_grpc(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]));
        assert!(of("application/grpc") && of("application/grpc+proto") && of("application/grpc;charset=utf-8"));
        assert!(!of("application/grpc-web") && !of("application/grpc+json") && !of("application/json"));
    }
}
