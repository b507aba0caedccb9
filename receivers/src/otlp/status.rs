//! Why a request is not taken, and how that is told: `google.rpc.Status` in protobuf and JSON, gRPC codes, HTTP codes.

use std::time::Duration;

use http::StatusCode;
use prost::Message;
use serde_json::json;

/// Codes of gRPC that this server answers with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i32)]
pub(super) enum Code {
    InvalidArgument = 3,
    NotFound = 5,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Unavailable = 14,
}

/// Why a request is not taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    /// The bytes are not what they should be; they would be refused again.
    Malformed(String),
    /// More bytes than the limit, announced, received or inflated.
    Oversize {
        /// The limit.
        limit: u64,
        /// The option that sets it.
        option: &'static str,
    },
    /// The byte budget of all receivers is lent out.
    Overload,
    /// The client did not send its request in time.
    Slow,
    /// A content encoding that is not understood.
    Encoding(String),
    /// A content type that is not understood.
    ContentType(String),
    /// Not the method of this path.
    Method,
    /// No such path or gRPC method.
    Unknown(String),
    /// The pipeline lost the data, did not settle it in time, or is stopping.
    NotTaken(&'static str),
    /// The pipeline refused the data for good.
    Rejected,
}

impl Refusal {
    /// The name in the node's notes.
    pub(super) const fn note(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "refused_malformed",
            Self::Oversize { .. } => "refused_oversize",
            Self::Overload => "refused_overload",
            Self::Slow => "refused_slow",
            Self::Encoding(_) => "refused_encoding",
            Self::ContentType(_) => "refused_content_type",
            Self::Method => "refused_method",
            Self::Unknown(_) => "refused_unknown_path",
            Self::NotTaken(_) => "refused_not_taken",
            Self::Rejected => "refused_by_pipeline",
        }
    }

    pub(super) const fn code(&self) -> Code {
        match self {
            Self::Malformed(_) | Self::ContentType(_) | Self::Rejected => Code::InvalidArgument,
            // Without RetryInfo: final for the client, which is right for a size and wrong for an overload.
            Self::Oversize { .. } => Code::ResourceExhausted,
            Self::Overload | Self::Slow | Self::NotTaken(_) => Code::Unavailable,
            Self::Encoding(_) | Self::Method | Self::Unknown(_) => Code::Unimplemented,
        }
    }

    pub(super) const fn http(&self) -> StatusCode {
        match self {
            Self::Malformed(_) | Self::Rejected => StatusCode::BAD_REQUEST,
            Self::Oversize { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            // Slow too: OTLP clients drop what is answered with 408.
            Self::Overload | Self::Slow | Self::NotTaken(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Encoding(_) | Self::ContentType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unknown(_) => StatusCode::NOT_FOUND,
        }
    }

    /// Whether the client should send the same request again.
    pub(super) const fn is_temporary(&self) -> bool {
        matches!(self, Self::Overload | Self::Slow | Self::NotTaken(_))
    }

    pub(super) fn message(&self) -> String {
        match self {
            Self::Malformed(what) => what.clone(),
            Self::Oversize { limit, option } => {
                format!(
                    "request exceeds {limit} bytes, before or after decompression; send smaller batches or raise {option}"
                )
            }
            Self::Overload => {
                "the memory for received data is in use; send again later, or raise memory_limiter".to_owned()
            }
            Self::Slow => "the request took longer than read_timeout".to_owned(),
            Self::Encoding(name) => format!("encoding '{name}' is not supported; use identity, gzip or zstd"),
            Self::ContentType(name) => {
                format!("content type '{name}' is not supported; use application/x-protobuf or application/json")
            }
            Self::Method => "method is not allowed; use POST".to_owned(),
            Self::Unknown(name) => {
                format!("'{name}' is not served here: no such path, or no pipeline that takes its signal")
            }
            Self::NotTaken(why) => format!("{why}; send again later"),
            Self::Rejected => "the pipeline refused this data for good".to_owned(),
        }
    }

    /// The code in the body of an HTTP answer: there a missing path is "not found", while a missing gRPC method is
    /// "unimplemented".
    pub(super) const fn http_body_code(&self) -> Code {
        match self {
            Self::Unknown(_) => Code::NotFound,
            _ => self.code(),
        }
    }

    /// The `google.rpc.Status` of this refusal.
    pub(super) fn status(&self, code: Code, retry_after: Duration) -> Status {
        let detail = match self {
            refusal if refusal.is_temporary() => Some(Any::pack(RETRY_INFO, &RetryInfo::new(retry_after))),
            Self::Malformed(what) => Some(Any::pack(
                BAD_REQUEST,
                &BadRequest { violations: vec![Violation { field: "body".to_owned(), description: what.clone() }] },
            )),
            _ => None,
        };
        Status { code: code as i32, message: self.message(), details: detail.into_iter().collect() }
    }
}

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";
const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Status {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(super) details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Any {
    #[prost(string, tag = "1")]
    pub(super) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    pub(super) delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Delay {
    #[prost(int64, tag = "1")]
    pub(super) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(super) nanos: i32,
}

/// `google.rpc.BadRequest`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct BadRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) violations: Vec<Violation>,
}

/// `google.rpc.BadRequest.FieldViolation`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Violation {
    #[prost(string, tag = "1")]
    pub(super) field: String,
    #[prost(string, tag = "2")]
    pub(super) description: String,
}

impl Any {
    fn pack(type_url: &str, message: &impl Message) -> Self {
        Self { type_url: type_url.to_owned(), value: message.encode_to_vec() }
    }

    fn json(&self) -> Option<serde_json::Value> {
        let mut value = match self.type_url.as_str() {
            RETRY_INFO => {
                let delay = RetryInfo::decode(self.value.as_slice()).ok()?.delay?;
                json!({ "retryDelay": delay.to_string() })
            }
            BAD_REQUEST => {
                let violations = BadRequest::decode(self.value.as_slice()).ok()?.violations;
                let list = violations.iter().map(|v| json!({ "field": v.field, "description": v.description }));
                json!({ "fieldViolations": list.collect::<Vec<_>>() })
            }
            _ => return None,
        };
        value["@type"] = self.type_url.as_str().into();
        Some(value)
    }
}

impl RetryInfo {
    fn new(after: Duration) -> Self {
        Self { delay: Some(Delay { seconds: after.as_secs() as i64, nanos: after.subsec_nanos() as i32 }) }
    }
}

/// The JSON form of `google.protobuf.Duration`: seconds with 0, 3, 6 or 9 digits after the point.
impl std::fmt::Display for Delay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.nanos {
            0 => write!(f, "{}s", self.seconds),
            nanos if nanos % 1_000_000 == 0 => write!(f, "{}.{:03}s", self.seconds, nanos / 1_000_000),
            nanos => write!(f, "{}.{nanos:09}s", self.seconds),
        }
    }
}

impl Status {
    /// The JSON form, as protobuf maps it.
    pub(super) fn json(&self) -> Vec<u8> {
        let details: Vec<_> = self.details.iter().filter_map(Any::json).collect();
        let mut value = json!({ "code": self.code, "message": self.message });
        if !details.is_empty() {
            value["details"] = details.into();
        }
        value.to_string().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_refusal_says_when_to_come_again_and_a_final_one_does_not() {
        let json = |refusal: Refusal| {
            let bytes = refusal.status(refusal.code(), Duration::from_millis(1500)).json();
            serde_json::from_slice::<serde_json::Value>(&bytes).expect("JSON")
        };
        let overload = json(Refusal::Overload);
        assert_eq!(overload["code"], 14);
        assert_eq!(overload["details"][0]["retryDelay"], "1.500s");
        assert_eq!(overload["details"][0]["@type"], RETRY_INFO);
        let oversize = json(Refusal::Oversize { limit: 1, option: "max_request_body_size" });
        assert_eq!(oversize["code"], 8);
        assert!(oversize.get("details").is_none());
        let malformed = json(Refusal::Malformed("no".to_owned()));
        assert_eq!(malformed["details"][0]["fieldViolations"][0]["description"], "no");
    }
}
