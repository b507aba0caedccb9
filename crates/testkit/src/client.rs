//! OTLP clients for tests: the real tonic client, and plain HTTP for everything that a real client would never send.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tonic::transport::Channel;

/// A gRPC trace client.
pub struct Grpc {
    client: TraceServiceClient<Channel>,
}

impl Grpc {
    /// Connects to the collector.
    ///
    /// # Errors
    /// When nothing listens there.
    pub async fn connect(address: SocketAddr) -> Result<Self, tonic::transport::Error> {
        let channel = Channel::from_shared(format!("http://{address}")).expect("a valid URI").connect().await?;
        Ok(Self { client: TraceServiceClient::new(channel).max_encoding_message_size(256 << 20) })
    }

    /// Exports a request.
    ///
    /// # Errors
    /// The collector's status.
    pub async fn export(
        &mut self,
        request: ExportTraceServiceRequest,
    ) -> Result<ExportTraceServiceResponse, Box<tonic::Status>> {
        self.client.export(request).await.map(tonic::Response::into_inner).map_err(Box::new)
    }
}

/// An HTTP answer, as received.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Head, lower-cased.
    pub head: String,
    /// Body.
    pub body: Vec<u8>,
}

/// Sends one HTTP/1.1 request on a connection of its own and reads the answer.
///
/// # Errors
/// When the connection fails before an answer came.
pub fn http(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Answer> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(head.as_bytes())?;
    // A server that refuses early may close while we still write: its answer is what counts.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if answer.is_empty() => return Err(error),
        _ => {}
    }
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(answer.len().saturating_sub(4));
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Ok(Answer { status, head, body: answer[(end + 4).min(answer.len())..].to_vec() })
}
