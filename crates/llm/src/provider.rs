//! Who is asked: a URL, a model, a key, and how long and how much is waited for.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use ureq::http::Uri;

use crate::dialect::Dialect;
use crate::error::LlmError;

/// A key. It prints as `***` everywhere.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Secret(String);

impl Secret {
    /// Text that must not be shown; empty for a model that asks for no key.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that sends it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "Secret()" } else { "Secret(***)" })
    }
}

/// A language model behind a URL.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Where it is: `https://api.openai.com/v1`, `https://api.anthropic.com`, `http://127.0.0.1:11434/v1`, or the whole
    /// URL of the endpoint. Proxies of the environment are not used.
    pub url: String,
    /// Its model.
    pub model: String,
    /// How it is spoken to.
    pub dialect: Dialect,
    /// Its key.
    pub key: Secret,
    /// The whole time that an answer may take, with a second attempt if there is one.
    pub timeout: Duration,
    /// Most bytes of an answer.
    pub max_response_bytes: u64,
    /// Longest wait that a busy server may ask for (`Retry-After`) before the one second attempt.
    pub max_retry_after: Duration,
    /// Certificates (PEM) that are trusted instead of the public ones.
    pub ca: Option<Vec<u8>>,
    /// Whether `http` may leave this machine. Code and telemetry would travel in the clear.
    pub plain_http: bool,
}

impl Provider {
    /// A provider with two minutes, 4 MiB, and at most 20 seconds before a second attempt.
    pub fn new(url: impl Into<String>, model: impl Into<String>, dialect: Dialect, key: Secret) -> Self {
        Self {
            url: url.into(),
            model: model.into(),
            dialect,
            key,
            timeout: Duration::from_mins(2),
            max_response_bytes: 4 << 20,
            max_retry_after: Duration::from_secs(20),
            ca: None,
            plain_http: false,
        }
    }

    /// The URL of the endpoint, if the provider can be used at all.
    pub(crate) fn endpoint(&self) -> Result<Uri, LlmError> {
        let refuse = |why: &str| LlmError::Config(format!("the model's url {why}"));
        let base = self.url.trim_end_matches('/');
        let path = self.dialect.path(base);
        let uri: Uri = format!("{base}{path}").parse().map_err(|_| refuse("is no url"))?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| refuse("has no host"))?;
        if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
            return Err(refuse("carries a user; put the key into 'key'"));
        }
        if uri.query().is_some() {
            return Err(refuse("carries a query; put the key into 'key'"));
        }
        match uri.scheme_str() {
            Some("https") => Ok(uri),
            Some("http") if self.plain_http || is_loopback(host) => Ok(uri),
            Some("http") => Err(refuse("is plain http to another machine; use https, or allow 'plain_http'")),
            _ => Err(refuse("is neither http nor https")),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(url: &str, dialect: Dialect) -> Result<String, String> {
        let provider = Provider::new(url, "m", dialect, Secret::new("k"));
        provider.endpoint().map(|uri| uri.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_base_url_gets_the_path_of_its_dialect_and_a_whole_url_stays() {
        let open = endpoint("https://api.openai.com/v1/", Dialect::OpenAiChat);
        assert_eq!(open.as_deref(), Ok("https://api.openai.com/v1/chat/completions"));
        let whole = endpoint("http://[::1]:8000/x/chat/completions", Dialect::OpenAiChat);
        assert_eq!(whole.as_deref(), Ok("http://[::1]:8000/x/chat/completions"));
        for base in ["https://api.anthropic.com", "https://api.anthropic.com/v1"] {
            let anthropic = endpoint(base, Dialect::AnthropicMessages);
            assert_eq!(anthropic.as_deref(), Ok("https://api.anthropic.com/v1/messages"));
        }
    }

    #[test]
    fn urls_that_would_leak_are_refused() {
        for url in ["http://10.0.0.5/v1", "https://u:p@host/v1", "https://h/v1?key=x", "ftp://h/", "https://", "no url"]
        {
            assert!(endpoint(url, Dialect::OpenAiChat).is_err(), "{url}");
        }
        let mut inside = Provider::new("http://10.0.0.5/v1", "m", Dialect::OpenAiChat, Secret::default());
        inside.plain_http = true;
        inside.endpoint().expect("plain http was allowed");
    }

    #[test]
    fn a_key_is_never_printed() {
        let provider = Provider::new("http://localhost", "m", Dialect::OpenAiChat, Secret::new("sesame-1"));
        assert!(!format!("{provider:?}").contains("sesame"));
    }
}
