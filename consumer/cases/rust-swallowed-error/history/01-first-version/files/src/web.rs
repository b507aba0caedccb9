//! The HTTP interface, without a server: a target in, status and body out.

use crate::levels::Levels;
use crate::warehouse::Fault;

const MOST_SKUS: usize = 40;

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub body: String,
}

fn response(status: u16, body: impl Into<String>) -> Response {
    Response {
        status,
        body: body.into(),
    }
}

/// Answers `GET target`.
pub fn handle(levels: &Levels, target: &str) -> Response {
    if let Some(sku) = target.strip_prefix("/levels/") {
        return one(levels, sku);
    }
    if let Some(skus) = target.strip_prefix("/levels?skus=") {
        return many(levels, skus);
    }
    response(404, r#"{"error":"expected /levels/{sku}"}"#)
}

fn one(levels: &Levels, sku: &str) -> Response {
    if !plain(sku) {
        return response(400, r#"{"error":"bad sku"}"#);
    }
    match levels.of(sku) {
        Ok(level) => response(200, format!(r#"{{"sku":"{sku}","level":{level}}}"#)),
        Err(fault) => failure(sku, &fault),
    }
}

/// Products that nobody keeps are left out.
fn many(levels: &Levels, skus: &str) -> Response {
    let skus: Vec<&str> = skus.split(',').collect();
    if skus.len() > MOST_SKUS || !skus.iter().all(|sku| plain(sku)) {
        return response(400, r#"{"error":"bad list of skus"}"#);
    }
    let mut parts = Vec::new();
    for sku in skus {
        match levels.of(sku) {
            Ok(level) => parts.push(format!(r#""{sku}":{level}"#)),
            Err(Fault::Unknown) => {}
            Err(fault) => return failure(sku, &fault),
        }
    }
    response(200, format!("{{{}}}", parts.join(",")))
}

fn failure(sku: &str, fault: &Fault) -> Response {
    match fault {
        Fault::Unknown => response(404, format!(r#"{{"error":"unknown product {sku}"}}"#)),
        Fault::Unavailable(_) => response(503, r#"{"error":"levels are not known at the moment"}"#),
    }
}

/// Characters that need no escaping anywhere.
fn plain(sku: &str) -> bool {
    !sku.is_empty()
        && sku.len() <= 40
        && sku.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}
