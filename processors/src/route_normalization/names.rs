//! What a span name consists of.

/// A span name, taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Name<'a> {
    /// A method alone: `GET`, `HTTP GET`, `HTTP`.
    Method(&'a str),
    /// A path, with the method that stands before it ("" if there is none).
    Path { method: &'a str, path: &'a str },
    /// No URL: stays as it is.
    Other,
}

const METHODS: [&str; 11] =
    ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "CONNECT", "TRACE", "QUERY", "HTTP"];

impl<'a> Name<'a> {
    pub(super) fn of(name: &'a str) -> Self {
        let (method, rest) = match name.split_once(' ') {
            Some((first, rest)) if is_method(first) => (first, rest),
            None if is_method(name) => return Self::Method(name),
            _ => ("", name),
        };
        // Some instrumentations write "HTTP GET /path".
        let (method, rest) = match (method, rest.split_once(' ')) {
            ("HTTP", Some((second, path))) if is_method(second) => (second, path),
            ("HTTP", None) if is_method(rest) => return Self::Method(rest),
            _ => (method, rest),
        };
        let path = path_of_url(rest);
        if !path.starts_with('/') || path.contains(' ') || (method.is_empty() && is_rpc(path)) {
            return Self::Other;
        }
        Self::Path { method, path }
    }
}

fn is_method(word: &str) -> bool {
    METHODS.contains(&word)
}

/// `/package.Service/Method`, as some gRPC libraries name their spans.
fn is_rpc(path: &str) -> bool {
    let mut segments = path[1..].split('/');
    let service = segments.next().unwrap_or_default();
    let method = segments.next();
    let is_last = segments.next().is_none();
    is_last
        && service.contains('.')
        && method.is_some_and(|method| method.starts_with(|first: char| first.is_ascii_alphabetic()))
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
