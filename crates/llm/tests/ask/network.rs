//! A network that stalls, floods, lies and points elsewhere. No test here looks at the clock: each ends because the
//! bound that it is about holds, and would hang without it.

use std::time::Duration;

use backtrail_llm::{Dialect, LlmError, Secret};

use crate::fixture::{Case, KEY, provider};
use crate::stub::{Reply, Stub};

const GOOD: &str = "{\"candidates\":[]}";

fn ask(replies: Vec<Reply>, timeout: Duration) -> (Result<u32, LlmError>, usize) {
    let stub = Stub::start(replies);
    let mut provider = provider(&stub, Dialect::OpenAiChat);
    provider.timeout = timeout;
    provider.max_response_bytes = 1 << 20;
    let result = Case::new().ask(&provider).map(|outcome| outcome.transcript.attempts);
    (result, stub.received().len())
}

const PATIENT: Duration = Duration::from_mins(1);
const HASTY: Duration = Duration::from_millis(300);

#[test]
fn a_reply_without_an_end_is_cut_at_its_bound() {
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let chunk = [b"1000\r\n".as_slice(), &[b' '; 0x1000], b"\r\n"].concat();
    let (result, _) = ask(vec![Reply::Endless(head, chunk)], PATIENT);
    assert!(matches!(result, Err(LlmError::TooLong(limit)) if limit == 1 << 20), "{result:?}");
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n".to_vec();
    let (result, _) = ask(vec![Reply::Endless(head, vec![b' '; 4096])], PATIENT);
    assert!(matches!(result, Err(LlmError::TooLong(_))), "{result:?}");
    let (result, _) = ask(vec![Reply::Endless(b"HTTP/1.1 200 OK\r\n".to_vec(), b"x-more: more\r\n".to_vec())], PATIENT);
    assert!(result.is_err(), "headers end too");
}

#[test]
fn a_reply_that_drips_meets_the_deadline_of_the_whole() {
    for head in ["HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n", "HTTP/1.1 200 OK\r\nx-slow:", "HTTP/1.1 200 "] {
        let (result, _) = ask(vec![Reply::Drip(head.into())], HASTY);
        assert!(matches!(result, Err(LlmError::TimedOut(limit)) if limit == HASTY), "{head:?}: {result:?}");
    }
}

#[test]
fn a_closed_connection_is_no_answer_and_is_not_tried_again() {
    for bytes in
        ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"cho", "SSH-2.0-OpenSSH\r\n"]
    {
        let (result, asked) = ask(vec![Reply::Bytes(bytes.into()), Reply::openai(GOOD)], PATIENT);
        assert!(matches!(result, Err(LlmError::Unreachable(_))), "{bytes:?}: {result:?}");
        assert_eq!(asked, 1);
    }
}

#[test]
fn a_busy_server_is_asked_twice_and_a_refusing_one_once() {
    let busy = |status: &str, wait: &str| Reply::http(status, &format!("retry-after: {wait}\r\n"), b"later");
    for status in ["429 Too Many Requests", "500 Internal Server Error", "503 Service Unavailable"] {
        let (result, asked) = ask(vec![busy(status, "0"), Reply::openai(GOOD)], PATIENT);
        assert!(matches!(result, Ok(2)), "{status}: {result:?}");
        assert_eq!(asked, 2);
        let (result, asked) = ask(vec![busy(status, "0"), busy(status, "0"), Reply::openai(GOOD)], PATIENT);
        assert!(matches!(result, Err(LlmError::Busy { .. })), "{status}: {result:?}");
        assert_eq!(asked, 2);
    }
    let (result, asked) = ask(vec![busy("429 Too Many Requests", "86400"), Reply::openai(GOOD)], PATIENT);
    assert!(matches!(result, Err(LlmError::Busy { status: 429, wait: Some(_) })), "{result:?}");
    assert_eq!(asked, 1, "a day is not waited for");
    let (result, asked) = ask(vec![busy("503 x", "Wed, 21 Oct 2099 07:28:00 GMT"), Reply::openai(GOOD)], PATIENT);
    assert!(matches!(result, Ok(2)), "{result:?}");
    assert_eq!(asked, 2);
    for status in ["400 Bad Request", "401 Unauthorized", "404 Not Found"] {
        let (result, asked) = ask(vec![Reply::http(status, "", b"{}"), Reply::openai(GOOD)], PATIENT);
        assert!(matches!(result, Err(LlmError::Refused { .. })), "{status}: {result:?}");
        assert_eq!(asked, 1);
    }
}

#[test]
fn nobody_follows_a_redirect() {
    let elsewhere = Stub::start(vec![Reply::openai(GOOD)]);
    for status in ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let location = format!("location: {}/chat/completions\r\n", elsewhere.url());
        let (result, _) = ask(vec![Reply::http(status, &location, b"")], PATIENT);
        assert!(matches!(result, Err(LlmError::Redirected(_))), "{status}: {result:?}");
    }
    assert_eq!(elsewhere.received().len(), 0);
}

#[test]
fn an_encoded_reply_is_refused_before_it_is_read() {
    for encoding in ["gzip", "br", "deflate, gzip"] {
        let reply = Reply::http("200 OK", &format!("content-encoding: {encoding}\r\n"), &[0x1f, 0x8b, 8, 0]);
        let (result, _) = ask(vec![reply], PATIENT);
        assert!(matches!(result, Err(LlmError::Encoded)), "{encoding}: {result:?}");
    }
}

#[test]
fn a_refusal_is_passed_on_without_the_key_and_short() {
    let says = format!("Incorrect key: {KEY}. Mail bob@corp.com\u{202e} {}", "x".repeat(5000));
    let body = serde_json::json!({ "error": { "message": says } }).to_string();
    let (result, _) = ask(vec![Reply::http("401 Unauthorized", "", body.as_bytes())], PATIENT);
    let error = result.expect_err("a refusal");
    let (shown, debug) = (error.to_string(), format!("{error:?}"));
    assert!(shown.contains("Incorrect key: ***. Mail [email]") && shown.len() < 400, "{shown}");
    for text in [shown, debug] {
        assert!(!text.contains("sesame") && !text.contains("bob@") && !text.contains('\u{202e}'), "{text}");
    }
}

#[test]
fn a_key_that_would_break_the_header_is_refused_and_not_shown() {
    let stub = Stub::start(vec![Reply::openai(GOOD)]);
    let mut provider = provider(&stub, Dialect::OpenAiChat);
    provider.key = Secret::new("sesame\r\nx-evil: 1");
    let error = Case::new().ask(&provider).expect_err("no header can carry it");
    assert!(matches!(error, LlmError::Config(_)) && !format!("{error:?} {error}").contains("sesame"), "{error:?}");
    assert_eq!(stub.received().len(), 0);
}

#[test]
fn nobody_listening_is_told_from_a_slow_server() {
    let stub = Stub::start(vec![]);
    let mut provider = provider(&stub, Dialect::OpenAiChat);
    provider.url = "http://127.0.0.1:1".into();
    let error = Case::new().ask(&provider).expect_err("nobody is there");
    assert!(matches!(error, LlmError::Unreachable(_)), "{error:?}");
}
