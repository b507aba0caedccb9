//! A model behind a socket: it answers by what it finds in a question, and keeps every byte that it received.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

/// What is answered.
#[derive(Clone)]
pub(crate) enum Reply {
    /// A chat completion with this text.
    Says(String),
    /// Bytes without an end.
    Endless,
    /// Nothing, for as long as the other side waits.
    Nothing,
}

/// A running stub.
pub(crate) struct Stub {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Stub {
    /// Answers a question that holds the first text with the second.
    pub(crate) fn start(replies: Vec<(&'static str, Reply)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        let received = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&received);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), replies, kept) = (stream, replies.clone(), Arc::clone(&kept)) else { return };
                thread::spawn(move || serve(stream, &replies, &kept));
            }
        });
        Self { address, received }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The raw requests so far.
    pub(crate) fn received(&self) -> Vec<Vec<u8>> {
        self.received.lock().expect("nobody panics with the lock").clone()
    }
}

fn serve(mut stream: TcpStream, replies: &[(&str, Reply)], kept: &Mutex<Vec<Vec<u8>>>) {
    let question = read(&mut stream);
    let said = String::from_utf8_lossy(&question).into_owned();
    kept.lock().expect("nobody panics with the lock").push(question);
    let reply = replies.iter().find(|(marker, _)| said.contains(marker)).map_or(&Reply::Nothing, |(_, reply)| reply);
    // A client that has enough closes the connection: that ends what has no end.
    let _ = answer(&mut stream, reply);
}

fn answer(stream: &mut TcpStream, reply: &Reply) -> std::io::Result<()> {
    match reply {
        Reply::Says(text) => {
            let body = json!({ "id": "c", "object": "chat.completion", "created": 1, "model": "stub", "choices": [
                { "index": 0, "message": { "role": "assistant", "content": text }, "finish_reason": "stop" }] });
            let body = body.to_string();
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: ";
            stream.write_all(format!("{head}{}\r\n\r\n{body}", body.len()).as_bytes())
        }
        Reply::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"choices\": \"")?;
            loop {
                stream.write_all(&[b'x'; 1 << 16])?;
            }
        }
        Reply::Nothing => stream.read(&mut [0]).map(drop),
    }
}

fn read(stream: &mut TcpStream) -> Vec<u8> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 16 << 10]);
    loop {
        if let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            if bytes.len() >= head + 4 + length.unwrap_or(0) {
                return bytes;
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return bytes,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

/// An answer with one candidate.
pub(crate) fn candidate(edits: &Value, tests: &Value) -> Reply {
    answers(&[proposal(edits, tests)])
}

/// An answer with a candidate for each replacement of one text by another in a file.
pub(crate) fn edits(edits: &[(&str, &str, &str)]) -> Reply {
    let one = |(path, search, replace): &(&str, &str, &str)| {
        proposal(&json!([{ "path": path, "search": search, "replace": replace }]), &json!([]))
    };
    answers(&edits.iter().map(one).collect::<Vec<_>>())
}

fn proposal(edits: &Value, tests: &Value) -> Value {
    json!({ "title": "Back off", "why": "retries come at once", "mechanism": "attempts fall",
        "risk": "slower answers", "edits": edits, "tests": tests })
}

fn answers(candidates: &[Value]) -> Reply {
    Reply::Says(json!({ "candidates": candidates }).to_string())
}
