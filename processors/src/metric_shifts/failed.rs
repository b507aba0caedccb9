//! Whether the requests that a point counts failed, by the point's attributes.

use backtrail_wire::metrics::Attributes;

/// `rpc.grpc.status_code` and what libraries call it.
const GRPC: [&str; 6] = [
    "rpc.response.status_code",
    "rpc.grpc.status_code",
    "grpc.status",
    "grpc_status",
    "grpc_code",
    "rpc_grpc_status_code",
];
/// `http.response.status_code` and what libraries call it.
const HTTP: [&str; 7] = [
    "http.response.status_code",
    "http.status_code",
    "http_response_status_code",
    "http_status_code",
    "status_code",
    "code",
    "status",
];

/// A span's status ERROR (spanmetrics), then `error.type`, then the status code: of gRPC every code but OK at a client
/// and the six that blame the server at a server; of HTTP 5xx, at a client 4xx too. The same order as for spans.
pub(super) fn failed(attributes: &Attributes<'_>, client: bool) -> bool {
    let first = |keys: &[&str]| attributes.first(keys).map(|value| &**value);
    if let Some(status) = first(&["status.code", "otel.status_code", "otel_status_code"]) {
        return status.to_ascii_uppercase().ends_with("ERROR");
    }
    if first(&["error.type", "error_type"]).is_some() {
        return true;
    }
    if let Some(code) = first(&GRPC) {
        return grpc_failed(code, client);
    }
    let Some(code) = first(&HTTP) else { return false };
    match code.as_bytes() {
        [class @ b'1'..=b'5', _, _] => *class == b'5' || (client && *class == b'4'),
        _ => ["error", "failed", "failure"].contains(&code.to_ascii_lowercase().as_str()),
    }
}

/// Codes as numbers, as `DEADLINE_EXCEEDED` or as `DeadlineExceeded`.
fn grpc_failed(code: &str, client: bool) -> bool {
    let plain: String = code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect();
    if client {
        return plain != "0" && plain != "OK";
    }
    let blames_the_server = [
        ("2", "UNKNOWN"),
        ("4", "DEADLINEEXCEEDED"),
        ("12", "UNIMPLEMENTED"),
        ("13", "INTERNAL"),
        ("14", "UNAVAILABLE"),
        ("15", "DATALOSS"),
    ];
    blames_the_server.iter().any(|&(number, name)| plain == number || plain == name)
}
