//! Secrets that are known by their own shape, wherever they stand.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use crate::judge;
use crate::kind::Kind;

/// A shape of credentials; group 1, if there is one, is the secret part.
struct Shape {
    kind: Kind,
    regex: Regex,
}

/// The public documentation of each vendor gives the prefix. Lengths are lower limits, because vendors make them longer.
const SHAPES: &[(Kind, &str)] = &[
    (Kind::AwsAccessKey, r"\b((?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16})\b"),
    (Kind::GcpKey, r"\b(AIza[0-9A-Za-z_-]{35})"),
    (Kind::GcpKey, r"\b(GOCSPX-[0-9A-Za-z_-]{24,})"),
    (Kind::GcpKey, r"\b(ya29\.[0-9A-Za-z_-]{20,})"),
    (Kind::AzureKey, r"(?:AccountKey|SharedAccessKey|accountkey)=([A-Za-z0-9+/]{42,88}={1,2})"),
    (Kind::AzureKey, r"[?&;]sig=([A-Za-z0-9%+/]{40,}(?:%3[dD]|=))"),
    (Kind::AzureKey, r"\b([a-zA-Z0-9_~.]{3}[0-9]Q~[a-zA-Z0-9_~.-]{31,34})"),
    (Kind::GithubToken, r"\b(gh[pousr]_[A-Za-z0-9]{36,255})"),
    (Kind::GithubToken, r"\b(github_pat_[A-Za-z0-9_]{22,255})"),
    (Kind::GitlabToken, r"\b(gl(?:pat|dt|rt|cbt|ptt|ft|agent|oas|soat|imt)-[A-Za-z0-9_.-]{20,})"),
    (Kind::SlackToken, r"\b(xox[abceoprs](?:\.xox[bp])?-[A-Za-z0-9-]{10,})"),
    (Kind::SlackToken, r"\b(xapp-[0-9]-[A-Za-z0-9-]{10,})"),
    (Kind::SlackToken, r"hooks\.slack\.com/(?:services|workflows)/([A-Za-z0-9/_-]{20,})"),
    (Kind::StripeKey, r"\b((?:sk|rk)_(?:live|test)_[A-Za-z0-9]{16,})"),
    (Kind::StripeKey, r"\b(whsec_[A-Za-z0-9+/=]{24,})"),
    (Kind::NpmToken, r"\b(npm_[A-Za-z0-9]{36,})"),
    (Kind::PypiToken, r"\b(pypi-[A-Za-z0-9_-]{50,})"),
    (Kind::VendorToken, r"\b(sk-(?:proj|svcacct|admin|ant)-[A-Za-z0-9_-]{20,})"),
    (Kind::VendorToken, r"\b(sk-[A-Za-z0-9]{32,})\b"),
    (Kind::VendorToken, r"\b(hf_[A-Za-z0-9]{30,})\b"),
    (Kind::VendorToken, r"\b(SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43})"),
    (Kind::VendorToken, r"\b(do[opr]_v1_[a-f0-9]{64})\b"),
    (Kind::VendorToken, r"\b(hv[sbr]\.[A-Za-z0-9_-]{24,})"),
    (Kind::VendorToken, r"\b(dckr_pat_[A-Za-z0-9_-]{20,})"),
    (Kind::VendorToken, r"\b(dapi[a-f0-9]{32})\b"),
    (Kind::VendorToken, r"\b(shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32})\b"),
    (Kind::VendorToken, r"\b(glsa_[A-Za-z0-9]{32}_[a-f0-9]{8})\b"),
    (Kind::VendorToken, r"\b(rubygems_[a-f0-9]{48})\b"),
    (Kind::VendorToken, r"\b(AGE-SECRET-KEY-1[0-9A-Z]{58})\b"),
    (Kind::Jwt, r"\b(eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*)"),
    (Kind::Jwt, r"\b(eyJ[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,})"),
];

static ALL: LazyLock<Vec<Shape>> = LazyLock::new(|| {
    let shape = |&(kind, regex): &(Kind, &str)| Shape {
        kind,
        // `\b` by ASCII: a token behind an accented letter is a token.
        regex: Regex::new(&regex.replace(r"\b", r"(?-u:\b)")).expect("the shapes are fixed"),
    };
    SHAPES.iter().map(shape).collect()
});

static PEM: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----").expect("the shape is fixed")
});

static PEM_END: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"-----END (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----").expect("the shape is fixed")
});

static HEADER: LazyLock<Regex> = LazyLock::new(|| {
    let scheme =
        r#"(?i)(authorization\\*["']?\s{0,4}(?:[:=,]|=>)\s{0,4}[a-z]?\\*["']?)?(?-u:\b)(bearer|basic|token)[ +]{1,2}"#;
    Regex::new(&format!(r"{scheme}([A-Za-z0-9._~+/=-]{{6,}})")).expect("the shape is fixed")
});

static USERINFO: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"[A-Za-z][A-Za-z0-9+.-]{1,30}://[!-~&&[^/?#"'<>@:]]{0,128}:([!-~&&[^/?#"'<>]]{1,256})@[A-Za-z0-9\[$%{]"#,
    )
    .expect("the shape is fixed")
});

/// A PEM block longer than this is not read to its end: what is within the limit is taken.
const PEM_LIMIT: usize = 64 << 10;

/// Finds everything whose shape is known.
pub(crate) fn find(text: &str, into: &mut Vec<(Kind, Range<usize>)>) {
    for shape in ALL.iter() {
        for found in shape.regex.captures_iter(text) {
            into.extend(found.get(1).map(|part| (shape.kind, part.range())));
        }
    }
    private_keys(text, into);
    headers(text, into);
    for found in USERINFO.captures_iter(text) {
        let Some(password) = found.get(1) else { continue };
        if !judge::stands_for_something_else(password.as_str()) {
            into.push((Kind::UrlPassword, password.range()));
        }
    }
}

/// Private key blocks, whole. The bare frame without a key in it, as in parsers of keys, is none.
fn private_keys(text: &str, into: &mut Vec<(Kind, Range<usize>)>) {
    for begin in PEM.find_iter(text) {
        let rest = &text[begin.end()..floor(text, begin.end().saturating_add(PEM_LIMIT))];
        let body = PEM_END.find(rest).map_or_else(|| body_length(rest), |end| end.end());
        let key_bytes = rest[..body].bytes().filter(u8::is_ascii_alphanumeric).count();
        // The closing frame holds about twenty letters itself.
        if key_bytes >= 64 || (PEM_END.find(&rest[..body]).is_none() && key_bytes >= 32) {
            into.push((Kind::PrivateKey, begin.start()..begin.end() + body));
        }
    }
}

/// How far text that can belong to a key goes: base64, white space, its escapes, and headers such as `Proc-Type: 4`.
fn body_length(text: &str) -> usize {
    let belongs = |c: char| c.is_ascii_alphanumeric() || c.is_ascii_whitespace() || "+/=\\-:,\"'".contains(c);
    text.find(|c| !belongs(c)).unwrap_or(text.len())
}

fn headers(text: &str, into: &mut Vec<(Kind, Range<usize>)>) {
    for found in HEADER.captures_iter(text) {
        let (Some(scheme), Some(value)) = (found.get(2), found.get(3)) else { continue };
        let told = value.as_str();
        if judge::stands_for_something_else(told) {
            continue;
        }
        let named = found.get(1).is_some();
        // "basic authentication" and "token expired" are prose: without the header's name it takes a value like a key.
        let prose = !told.bytes().any(|b| b.is_ascii_digit()) && judge::is_wordlike(told);
        let alone = scheme.as_str().eq_ignore_ascii_case("bearer") && told.len() >= 16 && !judge::is_wordlike(told);
        if (named && !prose) || alone {
            into.push((Kind::Authorization, value.range()));
        }
    }
}

/// The last character boundary at or before `at`.
pub(crate) fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|&index| text.is_char_boundary(index)).unwrap_or(0)
}
