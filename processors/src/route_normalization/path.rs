//! Which segments of a path are ids, and which template a path fits.

/// Appends `path` to `to` with every segment that looks like an id replaced. Answers whether there was one.
pub(super) fn normalize(path: &str, to: &mut String) -> bool {
    let mut found = false;
    for (index, segment) in path.split('/').enumerate() {
        if index > 0 {
            to.push('/');
        }
        // Parameters of a segment (`;jsessionid=...`) are a query by another name.
        let segment = segment.split_once(';').map_or(segment, |(segment, _)| segment);
        if let Some(placeholder) = placeholder(segment) {
            to.push_str(placeholder);
            found = true;
        } else if let Some((placeholder, extension)) = file(segment) {
            to.push_str(placeholder);
            to.push_str(extension);
            found = true;
        } else {
            to.push_str(segment);
        }
    }
    found
}

/// What stands for a file that is named by an id, and its extension: `12345.pdf`.
fn file(segment: &str) -> Option<(&'static str, &str)> {
    let (stem, extension) = segment.split_at(segment.rfind('.')?);
    let is_extension = (3..=5).contains(&extension.len()) && extension.as_bytes()[1].is_ascii_alphabetic();
    // Stems of assets are words with a hash at most; these are few and come with releases.
    placeholder(stem).filter(|_| is_extension).map(|placeholder| (placeholder, extension))
}

/// What stands for a segment that is an id.
fn placeholder(segment: &str) -> Option<&'static str> {
    // What is quoted or encoded around an id is no part of it.
    let segment = segment.strip_prefix("%7B").and_then(|inner| inner.strip_suffix("%7D")).unwrap_or(segment);
    let bytes = segment.as_bytes();
    let digits = bytes.iter().filter(|byte| byte.is_ascii_digit()).count();
    // Most segments are words: no digit, no '@'.
    if digits == 0 {
        let hex = || bytes.len() >= 16 && bytes.iter().all(u8::is_ascii_hexdigit);
        return if is_email(bytes) {
            Some("{email}")
        } else if hex() || is_random(bytes, digits) {
            Some("{id}")
        } else {
            None
        };
    }
    if digits == bytes.len() {
        return Some(if is_compact_date(bytes) { "{date}" } else { "{id}" });
    }
    if is_uuid(bytes) {
        Some("{uuid}")
    } else if is_date(bytes) {
        Some("{date}")
    } else if is_email(bytes) {
        Some("{email}")
    } else if is_number(bytes)
        || is_hex(bytes)
        || is_code(bytes, digits)
        || is_token(bytes, digits)
        || is_random(bytes, digits)
    {
        Some("{id}")
    } else {
        None
    }
}

/// `B4711`, `AB-12345`, `KQ7ZPLM4XA`, `order-12345`: codes of things, not names of resources. Names have digits too
/// (`v2`, `oauth2`, `sha256`, `x509`, `error-404`), but few, and in lower case.
fn is_code(bytes: &[u8], digits: usize) -> bool {
    if !bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) || is_version(bytes) {
        return false;
    }
    let letters = bytes.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    let upper = bytes.iter().filter(|byte| byte.is_ascii_uppercase()).count();
    let number = bytes.len() - bytes.iter().rposition(|byte| !byte.is_ascii_digit()).map_or(0, |last| last + 1);
    let numbered = number >= 4 && matches!(bytes[bytes.len() - number - 1], b'-' | b'_');
    numbered
        || (digits > letters && (digits >= 4 || (digits == 3 && upper > 0)))
        || (upper == letters && letters + digits >= 8)
        || switches(bytes) >= 4 && digits >= 2 && upper == 0
}

/// `v2`, `V20240101`.
fn is_version(bytes: &[u8]) -> bool {
    matches!(bytes, [b'v' | b'V', digits @ ..] if digits.iter().all(u8::is_ascii_digit))
}

/// How often a letter follows a digit or a digit a letter.
fn switches(bytes: &[u8]) -> usize {
    let switch = |pair: &&[u8]| {
        pair[0].is_ascii_alphanumeric()
            && pair[1].is_ascii_alphanumeric()
            && pair[0].is_ascii_digit() != pair[1].is_ascii_digit()
    };
    bytes.windows(2).filter(switch).count()
}

/// Base64 and base62: capital letters, small ones and digits change place at every other byte, as they do not where words
/// are written together (`GetUserById`).
fn is_random(bytes: &[u8], digits: usize) -> bool {
    let shortest = if digits > 0 { 10 } else { 20 };
    if bytes.len() < shortest {
        return false;
    }
    let class = |byte: u8| match byte {
        b'a'..=b'z' => 1,
        b'A'..=b'Z' => 2,
        b'0'..=b'9' => 3,
        b'-' | b'_' | b'=' | b'+' | b'.' | b'%' => 4,
        _ => 0,
    };
    let changes = bytes.windows(2).filter(|pair| class(pair[0]) != class(pair[1])).count();
    let has = |wanted| bytes.iter().any(|&byte| class(byte) == wanted);
    !has(0) && has(1) && has(2) && changes * 2 >= bytes.len()
}

fn is_uuid(bytes: &[u8]) -> bool {
    bytes.len() == 36
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// `2026-11-23`, alone or with a time behind it.
fn is_date(bytes: &[u8]) -> bool {
    let date = |bytes: &[u8]| {
        bytes.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        })
    };
    bytes.len() >= 10 && date(&bytes[..10]) && (bytes.len() == 10 || matches!(bytes[10], b'T' | b't' | b' ' | b'%'))
}

/// `20261123`.
fn is_compact_date(bytes: &[u8]) -> bool {
    bytes.len() == 8
        && (bytes.starts_with(b"19") || bytes.starts_with(b"20"))
        && (b"01"[..] <= bytes[4..6] && bytes[4..6] <= b"12"[..])
        && (b"01"[..] <= bytes[6..] && bytes[6..] <= b"31"[..])
}

fn is_email(bytes: &[u8]) -> bool {
    let at = bytes.iter().position(|&byte| byte == b'@').or_else(|| bytes.windows(3).position(|part| part == b"%40"));
    at.is_some_and(|at| at > 0 && bytes[at..].contains(&b'.'))
}

/// `-17`, `3.14`, `17,18`: digits with what may stand between them.
fn is_number(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b',' | b'_' | b':'))
        // `v1` is a version and so is `1.2`; ids with a point are long.
        && (bytes.len() > 4 || !bytes.contains(&b'.'))
}

/// Hexadecimal with a digit, from 8 on; `0x` may stand before it.
fn is_hex(bytes: &[u8]) -> bool {
    let bytes = bytes.strip_prefix(b"0x").unwrap_or(bytes);
    bytes.len() >= 8 && bytes.iter().all(u8::is_ascii_hexdigit)
}

/// ULIDs, nano ids, base62 and base64url: long, of letters and digits, with more digits than a name has.
fn is_token(bytes: &[u8], digits: usize) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'=');
    let word_breaks = bytes.iter().filter(|byte| matches!(byte, b'-' | b'_')).count();
    bytes.len() >= 16 && digits >= 3 && digits * 8 >= bytes.len() && word_breaks <= 3 && bytes.iter().all(plain)
}

/// Whether the path was written as a template: `{id}`, `:id`, `<id>`, `*` or `$id` in a segment.
pub(super) fn is_template(path: &str) -> bool {
    path.split('/').any(|segment| {
        matches!(segment.as_bytes().first(), Some(b'{' | b':' | b'<' | b'*' | b'$'))
            || (segment.contains('{') && segment.contains('}'))
    })
}

/// A route with parts that stand for any segment.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    segments: Vec<Segment>,
    /// Whether anything may follow.
    open: bool,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Segment {
    Word(Box<str>),
    Any,
}

impl Pattern {
    pub(super) fn new(template: &str) -> Self {
        let mut segments: Vec<Segment> = template
            .split('/')
            .map(|segment| match segment.as_bytes().first() {
                Some(b'{' | b':' | b'<' | b'*') => Segment::Any,
                _ => Segment::Word(segment.into()),
            })
            .collect();
        let open = template.ends_with("/*") || template.ends_with("/**");
        if open {
            segments.pop();
        }
        Self { segments, open }
    }

    pub(super) fn fits(&self, path: &str) -> bool {
        let mut segments = path.split('/');
        for wanted in &self.segments {
            let Some(segment) = segments.next() else { return false };
            let fits = match wanted {
                Segment::Word(word) => **word == *segment,
                Segment::Any => !segment.is_empty(),
            };
            if !fits {
                return false;
            }
        }
        self.open || segments.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalized(path: &str) -> String {
        let mut to = String::new();
        normalize(path, &mut to);
        to
    }

    #[test]
    fn ids_are_replaced_segment_by_segment() {
        for (path, expected) in [
            ("/users/17", "/users/{id}"),
            ("/users/17/orders/0", "/users/{id}/orders/{id}"),
            ("/carts/550e8400-e29b-41d4-a716-446655440000/items", "/carts/{uuid}/items"),
            ("/commits/9fceb02d", "/commits/{id}"),
            ("/blobs/0xdeadbeef01", "/blobs/{id}"),
            ("/events/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/events/{id}"),
            ("/v/V1StGXR8_Z5jdHi6B-myT", "/v/{id}"),
            ("/reports/2026-11-23", "/reports/{date}"),
            ("/reports/2026-11-23T10:00:00Z", "/reports/{date}"),
            ("/reports/20261123", "/reports/{date}"),
            ("/by-mail/ada@example.org", "/by-mail/{email}"),
            ("/by-mail/ada%40example.org", "/by-mail/{email}"),
            ("/geo/-12.5731", "/geo/{id}"),
            // Short codes of letters and digits: numbers of trains and flights, SKUs, product ids.
            ("/trips/B4711", "/trips/{id}"),
            ("/trips/B4712/2024-05-12", "/trips/{id}/{date}"),
            ("/products/KQ7ZPLM4XA", "/products/{id}"),
            ("/products/48WXTRKNUV", "/products/{id}"),
            ("/parts/AB-12345", "/parts/{id}"),
            ("/s/x7k2p9q", "/s/{id}"),
            ("/orders/order-12345", "/orders/{id}"),
            ("/watch/dQw4w9WgXcQ", "/watch/{id}"),
            ("/tokens/YWRhQGV4YW1wbGUub3Jn", "/tokens/{id}"),
            ("/tokens/eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.sflKxwRJ", "/tokens/{id}"),
            ("/invoices/12345.pdf", "/invoices/{id}.pdf"),
            ("/img/550e8400-e29b-41d4-a716-446655440000.png", "/img/{uuid}.png"),
            ("/a;v=1/users/17;jsessionid=0A1B2C", "/a/users/{id}"),
            ("/%7B550e8400-e29b-41d4-a716-446655440000%7D", "/{uuid}"),
            ("/", "/"),
            ("/users/", "/users/"),
        ] {
            assert_eq!(normalized(path), expected);
        }
    }

    #[test]
    fn names_are_no_ids() {
        for path in [
            "/api/v1/users",
            "/v2.1/cart",
            "/oauth2/token",
            "/assets/app.min.js",
            "/get-user-by-email-2-factor",
            "/GetSubscriptionV2ForCustomer",
            "/deadline",
            "/feedface",
            "/s3/list",
            "/v2024/x",
            "/h264/x509/sha256/base64/utf8/k8s/i18n/http2/log4j2",
            "/node-1/error-404",
            "/IDs/getUserByIdAndName/OrderItemsV2",
            "/app.3f.js",
            "/grpc.health.v1.Health/Check",
        ] {
            assert_eq!(normalized(path), path);
        }
    }

    #[test]
    fn a_pattern_fits_whole_segments() {
        let pattern = Pattern::new("/users/{id}/orders/{order}");
        assert!(pattern.fits("/users/ada/orders/x-1"));
        assert!(!pattern.fits("/users/ada/orders") && !pattern.fits("/users/ada/orders/1/lines"));
        assert!(!pattern.fits("/users//orders/1") && !pattern.fits("/groups/ada/orders/1"));
        assert!(Pattern::new("/files/*").fits("/files/a/b/c") && !Pattern::new("/files/*").fits("/fil"));
    }

    #[test]
    fn templates_are_recognized() {
        assert!(
            ["/users/{id}", "/users/:id", "/users/<int:id>", "/files/*", "/a.{format}"].iter().all(|t| is_template(t))
        );
        assert!(!is_template("/users/17"));
    }
}
