//! One question over HTTP: bounded in bytes and in time, to one host, with at most one second attempt.

use std::time::{Duration, Instant};

use backtrail_redact::Redactor;
use ureq::http::{HeaderValue, Response, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::typestate::WithBody;
use ureq::{Agent, Body, RequestBuilder};

use crate::dialect::Dialect;
use crate::error::LlmError;
use crate::prompt::visible;
use crate::provider::Provider;

/// Most bytes of a refusal that are read, and most letters of it that are passed on.
const COMPLAINT_BYTES: u64 = 64 << 10;
const COMPLAINT_LETTERS: usize = 200;

/// The wait before the second attempt when the server names none.
const PAUSE: Duration = Duration::from_secs(1);

/// A reply with status 200.
pub(crate) struct Reply {
    pub(crate) bytes: Vec<u8>,
    pub(crate) attempts: u32,
}

/// Sends a question and reads the reply. A busy server (429 or 5xx) is asked a second time, if the wait that it names
/// is short enough; nothing else is.
pub(crate) fn post(provider: &Provider, body: &[u8], redactor: &Redactor) -> Result<Reply, LlmError> {
    let endpoint = provider.endpoint()?;
    let agent = agent(provider)?;
    let began = now();
    for attempts in 1.. {
        let left = provider.timeout.saturating_sub(now().duration_since(began));
        if left.is_zero() {
            return Err(LlmError::TimedOut(provider.timeout));
        }
        let request = question(provider, &agent, &endpoint, left)?;
        let mut response = request.send(body).map_err(|error| failure(provider, &error))?;
        let status = response.status().as_u16();
        match status {
            200 => return Ok(Reply { bytes: read(provider, &mut response, provider.max_response_bytes)?, attempts }),
            300..=399 => return Err(LlmError::Redirected(status)),
            429 | 500..=599 => {
                let asked = retry_after(&response);
                let wait = asked.unwrap_or(PAUSE.min(provider.max_retry_after));
                let left = provider.timeout.saturating_sub(now().duration_since(began));
                if attempts > 1 || wait > provider.max_retry_after || wait >= left {
                    return Err(LlmError::Busy { status, wait: asked });
                }
                std::thread::sleep(wait);
            }
            _ => return Err(LlmError::Refused { status, says: complaint(provider, redactor, &mut response) }),
        }
    }
    unreachable!("the second attempt always returns")
}

/// A request with its headers, and with what is left of the time.
fn question(
    provider: &Provider,
    agent: &Agent,
    endpoint: &Uri,
    left: Duration,
) -> Result<RequestBuilder<WithBody>, LlmError> {
    let mut request = agent
        .post(endpoint.clone())
        .config()
        .timeout_global(Some(left))
        .build()
        .header("content-type", "application/json")
        .header("accept", "application/json")
        // A compressed reply can be a thousand times what it seems: none is asked for and none is read.
        .header("accept-encoding", "identity");
    if provider.dialect == Dialect::AnthropicMessages {
        request = request.header("anthropic-version", "2023-06-01");
    }
    let key = provider.key.expose();
    if key.is_empty() {
        return Ok(request);
    }
    let (name, value) = provider.dialect.authentication(key);
    let unfit = |_| LlmError::Config("the model's key holds letters that no header can carry".into());
    let mut value = HeaderValue::from_str(&value).map_err(unfit)?;
    value.set_sensitive(true);
    Ok(request.header(name, value))
}

fn agent(provider: &Provider) -> Result<Agent, LlmError> {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        // A proxy of the environment would see the question; one that is wanted is the url.
        .proxy(None)
        .user_agent("backtrail")
        .max_idle_connections(0);
    if let Some(pem) = &provider.ca {
        let items = parse_pem(pem).filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        });
        let certificates: Vec<_> = items.collect();
        if certificates.is_empty() {
            return Err(LlmError::Config("the model's 'ca' holds no certificate in PEM form".into()));
        }
        config = config.tls_config(TlsConfig::builder().root_certs(RootCerts::new_with_certs(&certificates)).build());
    }
    Ok(Agent::new_with_config(config.build()))
}

fn read(provider: &Provider, response: &mut Response<Body>, limit: u64) -> Result<Vec<u8>, LlmError> {
    let encoding = response.headers().get("content-encoding");
    if encoding.is_some_and(|name| !name.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(LlmError::Encoded);
    }
    let read = response.body_mut().with_config().limit(limit).read_to_vec();
    read.map_err(|error| failure(provider, &error))
}

fn failure(provider: &Provider, error: &ureq::Error) -> LlmError {
    match error {
        ureq::Error::Timeout(_) => LlmError::TimedOut(provider.timeout),
        ureq::Error::BodyExceedsLimit(limit) => LlmError::TooLong(*limit),
        ureq::Error::LargeResponseHeader(_, limit) => LlmError::TooLong(*limit as u64),
        other => LlmError::Unreachable(other.to_string()),
    }
}

/// The wait that a busy server names, in seconds. A date is not understood and counts as no wish.
fn retry_after(response: &Response<Body>) -> Option<Duration> {
    let seconds = response.headers().get("retry-after")?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// What a server says about a refusal: without the key, which some servers repeat, without secrets, and short.
fn complaint(provider: &Provider, redactor: &Redactor, response: &mut Response<Body>) -> String {
    let bytes = read(provider, response, COMPLAINT_BYTES).unwrap_or_default();
    let mut says = Dialect::complaint(&bytes).unwrap_or_default();
    let key = provider.key.expose();
    if !key.is_empty() {
        says = says.replace(key, "***");
    }
    visible(&redactor.replace(&says).0).chars().take(COMPLAINT_LETTERS).collect()
}

#[expect(clippy::disallowed_methods, reason = "the time that one question may take is real time; no pipeline is here")]
fn now() -> Instant {
    Instant::now()
}
