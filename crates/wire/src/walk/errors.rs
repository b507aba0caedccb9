//! The error test: which spans failed.
//!
//! In this order: span status ERROR, `error.type`, then status codes by span kind. Names of the same fact stand from
//! new to old in one row, and only the first that is present is asked, so that a span which carries both conventions is
//! judged once.

use backtrail_model::span::{SlotValue, SpanKind};

use super::found::{Found, bits};
use super::keys::Known;
use super::value::{number, text};

/// What a row of the table asks of an attribute.
#[derive(Clone, Copy)]
enum Test {
    /// It is there and not empty.
    Present,
    /// Its gRPC status code counts as an error for the span's kind.
    Grpc,
    /// Its HTTP status code counts as an error for the span's kind.
    Http,
}

/// The rows after the span's own status, which needs no attribute.
const ROWS: [Row; 3] = [
    Row::new(Test::Present, &[Known::ErrorType]),
    Row::new(
        Test::Grpc,
        &[Known::RpcResponseStatusCode, Known::RpcStatusCode, Known::RpcGrpcStatusCode, Known::GrpcStatusCode],
    ),
    Row::new(Test::Http, &[Known::HttpResponseStatusCode, Known::HttpStatusCode]),
];

struct Row {
    test: Test,
    names: &'static [Known],
    /// The same names as bits.
    bits: u64,
}

impl Row {
    const fn new(test: Test, names: &'static [Known]) -> Self {
        Self { test, names, bits: bits(names) }
    }
}

/// gRPC's codes, by number. Newer conventions send the name.
const GRPC: [&[u8]; 17] = [
    b"OK",
    b"CANCELLED",
    b"UNKNOWN",
    b"INVALID_ARGUMENT",
    b"DEADLINE_EXCEEDED",
    b"NOT_FOUND",
    b"ALREADY_EXISTS",
    b"PERMISSION_DENIED",
    b"RESOURCE_EXHAUSTED",
    b"FAILED_PRECONDITION",
    b"ABORTED",
    b"OUT_OF_RANGE",
    b"UNIMPLEMENTED",
    b"INTERNAL",
    b"UNAVAILABLE",
    b"DATA_LOSS",
    b"UNAUTHENTICATED",
];

/// `UNKNOWN`, `DEADLINE_EXCEEDED`, `UNIMPLEMENTED`, `INTERNAL`, `UNAVAILABLE`, `DATA_LOSS`: a server's own faults.
const GRPC_SERVER_ERRORS: [u16; 6] = [2, 4, 12, 13, 14, 15];

/// What the error test finds in a span's attributes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Judged {
    /// An attribute says that the span failed.
    pub(super) error: bool,
    /// HTTP status code, or gRPC status code + 1000; 0 if neither is there.
    pub(super) status_code: u16,
}

/// Applies the table to one span.
pub(super) fn judge(found: &Found, kind: SpanKind, raw: &[u8]) -> Judged {
    let mut judged = Judged::default();
    if !found.has_error_evidence() {
        return judged;
    }
    for Row { test, names, .. } in ROWS.iter().filter(|row| found.any(row.bits)) {
        let failed = match test {
            Test::Present => names.iter().any(|&known| found.is_filled(known)),
            Test::Grpc => names.iter().find_map(|&known| grpc_code(found.get(known), raw)).is_some_and(|code| {
                judged.status_code = 1000 + code;
                grpc_failed(kind, code)
            }),
            Test::Http => names.iter().find_map(|&known| http_code(found.get(known), raw)).is_some_and(|code| {
                // A gRPC span's HTTP status says only that the transport worked.
                if judged.status_code == 0 {
                    judged.status_code = code;
                }
                http_failed(kind, code)
            }),
        };
        judged.error |= failed;
    }
    judged
}

fn grpc_failed(kind: SpanKind, code: u16) -> bool {
    match kind {
        SpanKind::Client | SpanKind::Producer => code != 0,
        // Inner spans repeat what a server answered more often than what a client received.
        _ => GRPC_SERVER_ERRORS.contains(&code),
    }
}

fn http_failed(kind: SpanKind, code: u16) -> bool {
    match kind {
        SpanKind::Client | SpanKind::Producer => (400..600).contains(&code),
        _ => (500..600).contains(&code),
    }
}

fn grpc_code(value: SlotValue, raw: &[u8]) -> Option<u16> {
    if let Some(code) = number(value, raw) {
        return u16::try_from(code).ok().filter(|&code| usize::from(code) < GRPC.len());
    }
    let name = text(value, raw)?;
    GRPC.iter().position(|code| code.eq_ignore_ascii_case(name)).map(|code| code as u16)
}

fn http_code(value: SlotValue, raw: &[u8]) -> Option<u16> {
    u16::try_from(number(value, raw)?).ok().filter(|code| (100..1000).contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use SlotValue::Int;

    /// Text values lie in the raw span; here it holds just the one text.
    fn row(kind: SpanKind, attributes: &[(Known, SlotValue)], raw: &[u8]) -> (bool, u16) {
        let mut found = Found::new();
        for &(known, value) in attributes {
            found.set(known, value);
        }
        let judged = judge(&found, kind, raw);
        (judged.error, judged.status_code)
    }

    #[test]
    fn http_codes_count_by_kind() {
        for name in [Known::HttpResponseStatusCode, Known::HttpStatusCode] {
            for (kind, code, error) in [
                (SpanKind::Server, 200, false),
                (SpanKind::Server, 404, false),
                (SpanKind::Server, 499, false),
                (SpanKind::Server, 500, true),
                (SpanKind::Server, 599, true),
                (SpanKind::Client, 399, false),
                (SpanKind::Client, 400, true),
                (SpanKind::Client, 503, true),
                (SpanKind::Internal, 404, false),
                (SpanKind::Internal, 500, true),
            ] {
                assert_eq!(row(kind, &[(name, Int(code))], b""), (error, code as u16), "{name:?} {kind:?} {code}");
            }
        }
    }

    #[test]
    fn grpc_codes_count_by_kind() {
        for name in
            [Known::RpcResponseStatusCode, Known::RpcStatusCode, Known::RpcGrpcStatusCode, Known::GrpcStatusCode]
        {
            for code in 0..17 {
                let server = matches!(code, 2 | 4 | 12 | 13 | 14 | 15);
                assert_eq!(row(SpanKind::Server, &[(name, Int(code))], b""), (server, 1000 + code as u16));
                assert_eq!(row(SpanKind::Client, &[(name, Int(code))], b""), (code != 0, 1000 + code as u16));
            }
            let named = SlotValue::Str { offset: 0, len: 11 };
            assert_eq!(row(SpanKind::Server, &[(name, named)], b"UNAVAILABLE"), (true, 1014));
        }
    }

    #[test]
    fn error_type_counts_for_every_kind_when_it_is_not_empty() {
        let timeout = SlotValue::Str { offset: 0, len: 7 };
        let empty = SlotValue::Str { offset: 0, len: 0 };
        for kind in [SpanKind::Unspecified, SpanKind::Internal, SpanKind::Server, SpanKind::Consumer] {
            assert_eq!(row(kind, &[(Known::ErrorType, timeout)], b"timeout"), (true, 0));
            assert_eq!(row(kind, &[(Known::ErrorType, empty)], b""), (false, 0));
        }
    }

    #[test]
    fn the_current_name_wins_over_the_old_one() {
        let both = [(Known::HttpResponseStatusCode, Int(200)), (Known::HttpStatusCode, Int(500))];
        assert_eq!(row(SpanKind::Server, &both, b""), (false, 200));
        let both = [(Known::RpcStatusCode, Int(0)), (Known::RpcGrpcStatusCode, Int(14))];
        assert_eq!(row(SpanKind::Client, &both, b""), (false, 1000));
    }

    #[test]
    fn grpc_gives_the_status_code_of_a_call_over_http() {
        let call = [(Known::HttpStatusCode, Int(200)), (Known::RpcGrpcStatusCode, Int(14))];
        assert_eq!(row(SpanKind::Client, &call, b""), (true, 1014));
    }

    #[test]
    fn codes_that_do_not_exist_say_nothing() {
        assert_eq!(row(SpanKind::Client, &[(Known::HttpStatusCode, Int(0))], b""), (false, 0));
        assert_eq!(row(SpanKind::Client, &[(Known::HttpStatusCode, Int(-1))], b""), (false, 0));
        assert_eq!(row(SpanKind::Client, &[(Known::RpcGrpcStatusCode, Int(99))], b""), (false, 0));
        assert_eq!(row(SpanKind::Client, &[(Known::RpcGrpcStatusCode, SlotValue::Bool(true))], b""), (false, 0));
    }
}
