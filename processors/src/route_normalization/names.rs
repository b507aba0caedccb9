//! What a span name consists of.

use super::database;

/// A span name, taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Name<'a> {
    /// A method alone: `GET`, `HTTP GET`, `HTTP`.
    Method(&'static str),
    /// A host alone or with `*`, as proxies name whatever passes them, with the method that stands before it.
    Host(&'static str),
    /// A path, with the method that stands before it ("" if there is none).
    Path { method: &'static str, path: &'a str },
    /// A word that all spans of a database share: `Query`.
    Query,
    /// No URL: stays as it is.
    Other,
}

const METHODS: [&str; 11] =
    ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "QUERY", "HTTP"];

impl<'a> Name<'a> {
    pub(super) fn of(name: &'a str) -> Self {
        if database::is_bare(name) {
            return Self::Query;
        }
        let (method, rest) = match name.split_once(' ') {
            Some((first, rest)) => match method(first) {
                Some(method) => (method, rest),
                None => ("", name),
            },
            None => match method(name) {
                Some(method) => return Self::Method(method),
                None => ("", name),
            },
        };
        // Some instrumentations write "HTTP GET /path".
        let (method, rest) = match (method, rest.split_once(' ')) {
            ("HTTP", Some((second, path))) if self::method(second).is_some() => {
                (self::method(second).unwrap_or(method), path)
            }
            ("HTTP", None) if self::method(rest).is_some() => {
                return Self::Method(self::method(rest).unwrap_or(method));
            }
            _ => (method, rest),
        };
        let (host, path) = split_host(rest, method);
        if host && matches!(path, "" | "/*") {
            return Self::Host(method);
        }
        let path = path_of_url(path);
        if !path.starts_with('/') || path.contains(' ') || (method.is_empty() && rpc_call(path).is_some()) {
            return Self::Other;
        }
        Self::Path { method, path }
    }
}

/// The method that a word is. Zipkin writes names in lower case.
pub(super) fn method(word: &str) -> Option<&'static str> {
    let lower = word.bytes().all(|byte| byte.is_ascii_lowercase());
    METHODS.iter().find(|method| **method == word || (lower && method.eq_ignore_ascii_case(word))).copied()
}

/// Splits `host:80/path`, a URL without its scheme. Without a port, a host can be told from a word, a file or a package only
/// where a method stands before it (`GET shop.example.com/cart`) or everything below it is meant
/// (`stock.default.svc/*`).
fn split_host<'a>(text: &'a str, method: &str) -> (bool, &'a str) {
    let (host, path) = text.split_at(text.find(['/', '?', '#']).unwrap_or(text.len()));
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'[' | b']' | b':');
    if host.is_empty() || !host.bytes().all(is_part) {
        return (false, text);
    }
    let digits = |text: &str| !text.is_empty() && text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let has_port = host.rsplit_once(':').is_some_and(|(name, port)| !name.is_empty() && digits(port));
    // `shop.example.com` and `10.0.0.1`, but not `v1.2`.
    let last = host.rsplit_once('.').map_or("", |(_, last)| last);
    let has_domain = last.starts_with(|first: char| first.is_ascii_alphabetic())
        || (host.split('.').count() == 4 && host.split('.').all(digits));
    // `GET users:17` is a key.
    let is_host = (has_port && (method.is_empty() || !path.is_empty()))
        || (has_domain && (path == "/*" || (!method.is_empty() && !path.is_empty())));
    if is_host { (true, path) } else { (false, text) }
}

/// `package.Service/Method` of a path that is a call by gRPC, as some libraries name their spans, too.
pub(super) fn rpc_call(path: &str) -> Option<&str> {
    let call = path.strip_prefix('/')?;
    let (service, method) = call.split_once('/')?;
    let is_call =
        service.contains('.') && !method.contains('/') && method.starts_with(|first: char| first.is_ascii_alphabetic());
    is_call.then_some(call)
}

/// The path of a URL or of a request target: no scheme, host, query or fragment. A URL without a path has "/".
pub(super) fn path_of_url(url: &str) -> &str {
    let scheme = url.find("://").filter(|&at| !url[..at].contains(['/', '?', ' ']));
    let rest = scheme.map_or(url, |at| {
        let rest = &url[at + 3..];
        &rest[rest.find(['/', '?', '#']).unwrap_or(rest.len())..]
    });
    let path = &rest[..rest.find(['?', '#']).unwrap_or(rest.len())];
    if path.is_empty() && scheme.is_some() { "/" } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_taken_apart() {
        for (name, expected) in [
            ("GET", Name::Method("GET")),
            ("HTTP POST", Name::Method("POST")),
            ("HTTP", Name::Method("HTTP")),
            ("/users/1", Name::Path { method: "", path: "/users/1" }),
            ("GET /users/1?x=2", Name::Path { method: "GET", path: "/users/1" }),
            ("HTTP GET /users/1", Name::Path { method: "GET", path: "/users/1" }),
            ("GET https://shop:80/users/1#top", Name::Path { method: "GET", path: "/users/1" }),
            ("http://shop", Name::Path { method: "", path: "/" }),
            ("oteldemo.CartService/GetCart", Name::Other),
            ("/oteldemo.CartService/GetCart", Name::Other),
            ("UsersController#show", Name::Other),
            ("SELECT shop/users", Name::Other),
            ("orders process", Name::Other),
            ("GET users:17", Name::Other),
            ("get", Name::Method("GET")),
            ("get /users/1", Name::Path { method: "GET", path: "/users/1" }),
            ("GET shop:80/users/1", Name::Path { method: "GET", path: "/users/1" }),
            ("GET shop.example.com/users/1", Name::Path { method: "GET", path: "/users/1" }),
            ("GET api/users/1", Name::Other),
            ("stock:9080/*", Name::Host("")),
            ("stock.default.svc.cluster.local:9080/*", Name::Host("")),
            ("stock.default/*", Name::Host("")),
            ("GET stock:9080/*", Name::Host("GET")),
            ("stock:9080", Name::Host("")),
            ("GET v1.2/users", Name::Other),
            ("[::1]:9080/*", Name::Host("")),
            ("files/*", Name::Other),
            ("/*", Name::Path { method: "", path: "/*" }),
            ("Query", Name::Query),
            ("mysql.query", Name::Query),
            ("", Name::Other),
        ] {
            assert_eq!(Name::of(name), expected, "{name}");
        }
    }

    #[test]
    fn a_path_has_no_host_and_no_query() {
        assert_eq!(path_of_url("https://u@shop:8443/a/b?redirect=http://x/y"), "/a/b");
        assert_eq!(path_of_url("/a?next=http://x/y"), "/a");
        assert_eq!(path_of_url("https://shop?q=1"), "/");
    }
}
