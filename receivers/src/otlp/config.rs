//! Options of `otlp`, in the shape and with the names of the OpenTelemetry Collector.

use backtrail_pipeline::{ByteSize, Duration, Finding};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// An OTLP server. With nothing set it serves both protocols on loopback.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What is served; a protocol is on when its key is present.
    #[serde(deserialize_with = "or_default")]
    pub protocols: Protocols,
    /// How long a client is asked to wait before it sends a refused request again.
    pub retry_after: Duration,
    /// How long a client may take for the head of a request, and again for its body.
    pub read_timeout: Duration,
    /// How long a request may wait until its data is where it has to be; then the client is asked to send it again.
    pub max_ack_hold: Duration,
    /// How long requests may go on after the stop signal.
    pub stop_timeout: Duration,
    /// Connections at a time, for each protocol; more wait to be accepted.
    pub max_connections: usize,
    /// Span times further back than this are clamped and counted.
    pub max_age: Duration,
    /// Span times further ahead than this are clamped and counted.
    pub max_future: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            protocols: Protocols::default(),
            retry_after: Duration::from_secs(1),
            read_timeout: Duration::from_secs(30),
            max_ack_hold: Duration::from_secs(60),
            stop_timeout: Duration::from_secs(5),
            max_connections: 1024,
            max_age: Duration::from_secs(24 * 3600),
            max_future: Duration::from_secs(600),
        }
    }
}

/// Protocols that are on.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Protocols {
    /// OTLP/gRPC.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub grpc: Option<Grpc>,
    /// OTLP/HTTP.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub http: Option<Http>,
}

/// `otlp:` alone means both; `protocols:` with keys means what is written there.
impl Default for Protocols {
    fn default() -> Self {
        Self { grpc: Some(Grpc::default()), http: Some(Http::default()) }
    }
}

/// OTLP/gRPC.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Grpc {
    /// Address and port.
    pub endpoint: String,
    /// Largest message, before and after decompression.
    pub max_recv_msg_size: ByteSize,
    /// The Collector's spelling of `max_recv_msg_size`, in MiB; wins when it is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_recv_msg_size_mib: Option<u32>,
    /// Requests at a time on one connection.
    pub max_concurrent_streams: u32,
}

impl Default for Grpc {
    fn default() -> Self {
        Self {
            endpoint: "127.0.0.1:4317".to_owned(),
            max_recv_msg_size: ByteSize(64 << 20),
            max_recv_msg_size_mib: None,
            max_concurrent_streams: 256,
        }
    }
}

impl Grpc {
    /// The size limit that is in force.
    pub fn limit(&self) -> u64 {
        self.max_recv_msg_size_mib.map_or(self.max_recv_msg_size.0, |mib| u64::from(mib) << 20)
    }
}

/// OTLP/HTTP, protobuf and JSON.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Address and port.
    pub endpoint: String,
    /// Path of traces.
    pub traces_url_path: String,
    /// Path of logs.
    pub logs_url_path: String,
    /// Path of metrics.
    pub metrics_url_path: String,
    /// Largest body, before and after decompression.
    pub max_request_body_size: ByteSize,
    /// Which web pages may send from a browser; none by default.
    #[serde(deserialize_with = "or_default")]
    pub cors: Cors,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            endpoint: "127.0.0.1:4318".to_owned(),
            traces_url_path: "/v1/traces".to_owned(),
            logs_url_path: "/v1/logs".to_owned(),
            metrics_url_path: "/v1/metrics".to_owned(),
            max_request_body_size: ByteSize(64 << 20),
            cors: Cors::default(),
        }
    }
}

/// Cross-origin requests of browsers.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cors {
    /// Origins, such as `https://shop.example.com`; one `*` stands for any characters. At most 64.
    pub allowed_origins: Vec<String>,
    /// Request headers beyond `Accept`, `Accept-Language`, `Content-Language` and `Content-Type`. At most 64.
    pub allowed_headers: Vec<String>,
    /// How long a browser may keep the answer to its preflight; 0 sends no `Access-Control-Max-Age`.
    pub max_age: Duration,
}

/// Hints that two options share.
const ADDRESS: &str = "write address:port, such as 127.0.0.1:4317";
const MESSAGE: &str = "write a size from 1B to 4GiB - 1B, such as 64MiB";

impl Config {
    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut wrong = |bad: bool, path: &str, message: &str, hint: &str| {
            if bad {
                found.push(Finding::new(path, message, hint));
            }
        };
        let Protocols { grpc, http } = &self.protocols;
        wrong(
            grpc.is_none() && http.is_none(),
            "protocols",
            "no protocol is on",
            "add grpc or http, or leave protocols out for both",
        );
        let size = |bytes: u64| bytes == 0 || bytes > u64::from(u32::MAX);
        if let Some(grpc) = grpc {
            wrong(!is_address(&grpc.endpoint), "protocols.grpc.endpoint", "no address with a port", ADDRESS);
            wrong(size(grpc.limit()), "protocols.grpc.max_recv_msg_size", "size out of range", MESSAGE);
            wrong(
                grpc.max_concurrent_streams == 0,
                "protocols.grpc.max_concurrent_streams",
                "no request could ever be sent",
                "write 1 or more",
            );
        }
        if let Some(http) = http {
            wrong(!is_address(&http.endpoint), "protocols.http.endpoint", "no address with a port", ADDRESS);
            wrong(
                size(http.max_request_body_size.0),
                "protocols.http.max_request_body_size",
                "size out of range",
                MESSAGE,
            );
            let paths = [&http.traces_url_path, &http.logs_url_path, &http.metrics_url_path];
            for (name, path) in ["traces", "logs", "metrics"].iter().zip(paths) {
                let key = format!("protocols.http.{name}_url_path");
                wrong(!path.starts_with('/'), &key, "path does not begin with /", "write it as /v1/traces");
                let same = paths.iter().filter(|other| **other == path).count() > 1;
                wrong(same, &key, "two signals have the same path", "give each signal its own path");
            }
            let long = http.cors.allowed_origins.len() > 64 || http.cors.allowed_headers.len() > 64;
            wrong(long, "protocols.http.cors", "list of more than 64 entries", "use a pattern with *");
        }
        wrong(self.max_connections == 0, "max_connections", "no connection could be accepted", "write 1 or more");
        wrong(self.read_timeout.0.is_zero(), "read_timeout", "no request could be read in no time", "write 30s");
        wrong(self.max_ack_hold.0.is_zero(), "max_ack_hold", "every request would be refused", "write 60s");
        found
    }
}

/// Whether `endpoint` looks like `host:port`; names are resolved when the port is bound.
fn is_address(endpoint: &str) -> bool {
    endpoint.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

/// A key that is present turns its protocol on, with or without settings below it.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<Option<T>, D::Error> {
    or_default(from).map(Some)
}

/// `key:` with nothing after it is null in YAML and means the defaults.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(value: serde_json::Value) -> Config {
        serde_json::from_value(value).expect("parses")
    }

    #[test]
    fn an_empty_otlp_serves_both_protocols_on_loopback() {
        for value in [json!({}), json!({ "protocols": null })] {
            let config = parse(value);
            assert_eq!(config.protocols.grpc.expect("on").endpoint, "127.0.0.1:4317");
            assert_eq!(config.protocols.http.expect("on").endpoint, "127.0.0.1:4318");
        }
    }

    #[test]
    fn a_protocol_is_on_when_its_key_is_present() {
        let config = parse(json!({ "protocols": { "grpc": null } }));
        assert!(config.protocols.grpc.is_some() && config.protocols.http.is_none());
        let again = parse(serde_json::to_value(&config).expect("prints"));
        assert!(again.protocols.http.is_none());
        assert_eq!(parse(json!({ "protocols": {} })).findings()[0].path, "protocols");
    }

    #[test]
    fn the_collectors_size_in_mib_is_understood() {
        let config = parse(json!({ "protocols": { "grpc": { "max_recv_msg_size_mib": 4 } } }));
        assert_eq!(config.protocols.grpc.expect("on").limit(), 4 << 20);
    }

    #[test]
    fn every_wrong_value_is_found_and_typos_are_errors() {
        let config = parse(json!({
            "max_connections": 0,
            "protocols": {
                "grpc": { "endpoint": "4317", "max_recv_msg_size": 0 },
                "http": { "traces_url_path": "x", "logs_url_path": "/v1/metrics" }
            }
        }));
        let paths: Vec<String> = config.findings().into_iter().map(|finding| finding.path).collect();
        assert_eq!(
            paths,
            [
                "protocols.grpc.endpoint",
                "protocols.grpc.max_recv_msg_size",
                "protocols.http.traces_url_path",
                "protocols.http.logs_url_path",
                "protocols.http.metrics_url_path",
                "max_connections",
            ]
        );
        assert!(serde_json::from_value::<Config>(json!({ "protocol": {} })).is_err());
        assert!(Config::default().findings().is_empty());
    }
}
