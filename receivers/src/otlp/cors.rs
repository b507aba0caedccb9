//! Cross-origin requests: browsers send telemetry from the pages that the options name, and from no others.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE,
    ORIGIN, VARY,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use super::config::Cors;
use super::reply::Reply;

/// The request's origin, if it may send.
pub(super) fn allowed_origin(cors: &Cors, headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(ORIGIN)?;
    let name = origin.to_str().ok()?;
    cors.allowed_origins.iter().any(|pattern| matches(pattern, name)).then(|| origin.clone())
}

fn matches(pattern: &str, origin: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern.eq_ignore_ascii_case(origin),
        Some((start, end)) => {
            origin.len() >= start.len() + end.len() && origin.starts_with(start) && origin.ends_with(end)
        }
    }
}

/// The answer to a preflight; one from a foreign origin carries no permission.
pub(super) fn preflight(cors: &Cors, allowed: bool) -> Response<Reply> {
    let mut response = Response::new(Reply::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    if allowed {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
        let mut names = vec!["content-type", "content-encoding"];
        names.extend(cors.allowed_headers.iter().map(String::as_str));
        if let Ok(names) = HeaderValue::from_str(&names.join(", ")) {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
        }
        if !cors.max_age.0.is_zero() {
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(cors.max_age.0.as_secs()));
        }
    }
    response
}

/// Marks a response as readable by a page of `origin`.
pub(super) fn permit(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(VARY, HeaderValue::from_static("origin"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        assert!(matches("https://*.example.com", "https://shop.example.com"));
        assert!(!matches("https://*.example.com", "https://example.com"));
        assert!(matches("*", "https://example.com"));
        assert!(!matches("https://a.com", "https://a.com.evil.org"));
    }
}
