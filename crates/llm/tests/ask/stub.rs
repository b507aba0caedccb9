//! An HTTP server in a thread: one scripted reply for each connection, and every byte that it received.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// What happens on a connection after the request was read.
pub(crate) enum Reply {
    /// These bytes, then the end.
    Bytes(Vec<u8>),
    /// These bytes, then the second ones for ever.
    Endless(Vec<u8>, Vec<u8>),
    /// These bytes, then one letter every few milliseconds for ever.
    Drip(Vec<u8>),
}

impl Reply {
    /// A whole HTTP reply.
    pub(crate) fn http(status: &str, headers: &str, body: &[u8]) -> Self {
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
        Self::Bytes([head.as_bytes(), body].concat())
    }

    /// A chat completion that holds a text.
    pub(crate) fn openai(text: &str) -> Self {
        Self::json(&json!({
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1_770_000_000, "model": "stub",
            "choices": [{ "index": 0, "message": { "role": "assistant", "content": text, "refusal": null },
                          "finish_reason": "stop" }],
            "usage": { "prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20 },
        }))
    }

    /// A message whose tool is used with an input.
    pub(crate) fn anthropic(input: &Value) -> Self {
        Self::json(&json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "stub",
            "content": [{ "type": "text", "text": "Handing in." },
                        { "type": "tool_use", "id": "toolu_1", "name": "propose_edits", "input": input }],
            "stop_reason": "tool_use", "usage": { "input_tokens": 10, "output_tokens": 10 },
        }))
    }

    pub(crate) fn json(value: &Value) -> Self {
        Self::http("200 OK", "content-type: application/json\r\n", value.to_string().as_bytes())
    }
}

/// A running server.
pub(crate) struct Stub {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Stub {
    /// Serves the replies, one a connection, and then no one any more.
    pub(crate) fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let received = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&received);
        thread::spawn(move || {
            for reply in replies {
                let Ok((mut stream, _)) = listener.accept() else { return };
                let request = read_request(&mut stream);
                kept.lock().expect("no test panics with the lock").push(request);
                // A client that has enough closes the connection: that is what ends an endless reply.
                let _ = serve(&mut stream, &reply);
            }
        });
        Self { address, received }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The raw requests so far.
    pub(crate) fn received(&self) -> Vec<String> {
        let received = self.received.lock().expect("no test panics with the lock");
        received.iter().map(|bytes| String::from_utf8(bytes.clone()).expect("requests are text")).collect()
    }

    /// The body of the only request.
    pub(crate) fn body(&self) -> Value {
        let received = self.received();
        assert_eq!(received.len(), 1, "one request was expected");
        let (_, body) = received[0].split_once("\r\n\r\n").expect("a head and a body");
        serde_json::from_str(body).expect("the body is json")
    }
}

fn read_request(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        let head = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(head) = head {
            let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
            let length =
                text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
            if bytes.len() >= head + 4 + length.expect("the client states the length") {
                return bytes;
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return bytes,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

fn serve(stream: &mut TcpStream, reply: &Reply) -> std::io::Result<()> {
    match reply {
        Reply::Bytes(bytes) => stream.write_all(bytes),
        Reply::Endless(head, part) => {
            stream.write_all(head)?;
            loop {
                stream.write_all(part)?;
            }
        }
        Reply::Drip(head) => {
            stream.write_all(head)?;
            loop {
                stream.write_all(b" ")?;
                thread::sleep(Duration::from_millis(5));
            }
        }
    }
}
