//! Values that are assigned to a telling name: `password = "..."`, `API_KEY=...`, `"token": "..."`, `--secret ...`.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use crate::judge::{self, Form, Promise};
use crate::kind::Kind;

static NAME: LazyLock<Regex> = LazyLock::new(|| {
    let names = [
        "password",
        "passwd",
        "passphrase",
        "pwd",
        "client[_-]?secret",
        "secret[_-]?key",
        "secret",
        "token",
        "api[_-]?key",
        "access[_-]?key",
        "private[_-]?key",
        "auth[_-]?key",
        "account[_-]?key",
        "encryption[_-]?key",
        "signing[_-]?key",
        "shared[_-]?key",
        "master[_-]?key",
        "credentials?",
    ];
    Regex::new(&format!("(?i)(?:{})", names.join("|"))).expect("the names are fixed")
});

/// Longest name and longest value that is looked at.
const LONGEST: usize = 4096;

/// A value with what is needed to judge it.
struct Value {
    range: Range<usize>,
    form: Form,
}

/// Finds assigned secrets.
pub(crate) fn find(text: &str, into: &mut Vec<(Kind, Range<usize>)>) {
    for keyword in NAME.find_iter(text) {
        let start = name_start(text, keyword.start());
        let Some(value) = value_of(text, start, keyword.end()) else { continue };
        let lower = keyword.as_str().to_ascii_lowercase();
        let promise = if lower.starts_with("pass") || lower == "pwd" { Promise::Password } else { Promise::Key };
        if judge::is_secret(promise, &text[value.range.clone()], value.form) {
            let name = text[start..keyword.end()].to_ascii_lowercase();
            let kind = if name.contains("aws") { Kind::AwsSecretKey } else { Kind::Assigned };
            into.push((kind, value.range));
        }
    }
}

/// Where the name that ends in the keyword begins.
fn name_start(text: &str, keyword: usize) -> usize {
    let bytes = text.as_bytes();
    let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    let length = bytes[..keyword].iter().rev().take(64).take_while(|&&b| is_name(b)).count();
    keyword - length
}

/// The value behind a name, if something is assigned to it.
fn value_of(text: &str, name: usize, mut at: usize) -> Option<Value> {
    let bytes = text.as_bytes();
    // `token2`, `password_1` and `secret_key_base` are names too; `token_type` and `tokens` promise nothing.
    at += numbering(&bytes[at..]);
    let quote = closing_quote(bytes, &mut at);
    if bytes.get(at) == Some(&b']') && quote.is_some() {
        at += 1;
    }
    let after_name = at;
    at = skip_blanks(bytes, at);
    let operator = operator(bytes, at)?;
    let tag = operator == Operator::Tag;
    if tag && name.checked_sub(1).and_then(|before| bytes.get(before)) != Some(&b'<') {
        return None;
    }
    if operator == Operator::Call && !is_setter(&text[name..after_name]) {
        return None;
    }
    if operator == Operator::Blank && !text[name..after_name].starts_with("--") {
        return None;
    }
    at += operator.length();
    let after_operator = at;
    at = skip_blanks(bytes, at);
    let tight = after_name + operator.length() == at && after_operator == at;
    let inside_string = open_quote(text, name).filter(|_| quote.is_none());
    if operator == Operator::Colon
        && let Some(behind) = behind_type(bytes, at)
    {
        at = behind;
    }
    if let Some(range) = quoted(text, at) {
        // `print("Password: ", x)`: the quote behind the name closes the string that the name stands in.
        let own = bytes.get(range.start - 1) == inside_string.as_ref();
        return (!own).then_some(Value { range, form: Form::Literal });
    }
    if operator == Operator::Call {
        return None;
    }
    let range = bare(text, at)?;
    let next = bytes.get(range.end).copied();
    let line_form = is_whole_line(text, name, range.end) && (operator != Operator::Equals || tight);
    // A keyword argument is followed by a comma or a bracket; a pair in a log line or a connection string is not.
    let pair = tight && operator == Operator::Equals && !matches!(next, Some(b',' | b')' | b'(' | b'[' | b'.'));
    let call = matches!(next, Some(b'(' | b'['));
    let literal = tag || line_form || pair || (inside_string.is_some() && !call);
    Some(Value { range, form: if literal { Form::Literal } else { Form::Bare } }).filter(|_| !call)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equals,
    Compares(usize),
    Colon,
    Arrow,
    Tag,
    Call,
    Blank,
}

impl Operator {
    fn length(self) -> usize {
        match self {
            Self::Compares(length) => length,
            Self::Arrow => 2,
            Self::Blank => 0,
            _ => 1,
        }
    }
}

fn operator(bytes: &[u8], at: usize) -> Option<Operator> {
    let rest = &bytes[at..];
    let starts = |sign: &[u8]| rest.starts_with(sign);
    if starts(b"===") || starts(b"!==") {
        return Some(Operator::Compares(3));
    }
    if starts(b"==") || starts(b"!=") || starts(b":=") || starts(b"+=") || starts(b"?=") {
        return Some(Operator::Compares(2));
    }
    if starts(b"=>") {
        return Some(Operator::Arrow);
    }
    match rest.first()? {
        b'=' => Some(Operator::Equals),
        b':' if !starts(b"::") => Some(Operator::Colon),
        b'>' => Some(Operator::Tag),
        b'(' => Some(Operator::Call),
        _ if at > 0 && bytes[at - 1] == b' ' => Some(Operator::Blank),
        _ => None,
    }
}

/// The length of `2`, `_1` or `_base` behind a name; the name must end there.
fn numbering(rest: &[u8]) -> usize {
    let mut length = 0;
    if rest.starts_with(b"_base") || rest.starts_with(b"_BASE") {
        length = 5;
    } else {
        let joint = usize::from(matches!(rest.first(), Some(b'_' | b'-')));
        let digits = rest[joint.min(rest.len())..].iter().take(3).take_while(|b| b.is_ascii_digit()).count();
        if digits > 0 {
            length = joint + digits;
        }
    }
    length
}

/// Steps over the quote that closes a quoted name, with the backslashes of JSON in a string.
fn closing_quote(bytes: &[u8], at: &mut usize) -> Option<u8> {
    let mut index = *at;
    while bytes.get(index) == Some(&b'\\') {
        index += 1;
    }
    let quote = *bytes.get(index).filter(|b| matches!(b, b'"' | b'\''))?;
    *at = index + 1;
    Some(quote)
}

fn skip_blanks(bytes: &[u8], at: usize) -> usize {
    at + bytes[at..].iter().take(16).take_while(|b| matches!(b, b' ' | b'\t')).count()
}

/// `password: str = "..."`: where the value stands behind a type.
fn behind_type(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..bytes.len().min(at + 64)];
    let is_type = |b: &&u8| b.is_ascii_alphanumeric() || b"_.[]<>|&'? ".contains(b);
    let length = rest.iter().take_while(is_type).count();
    let assigns = length > 0 && rest.get(length) == Some(&b'=') && rest.get(length + 1) != Some(&b'=');
    assigns.then(|| skip_blanks(bytes, at + length + 1))
}

/// What stands between quotes at this place, a string's prefix or backslashes before the quote allowed. A string that
/// is not closed ends with its line.
fn quoted(text: &str, at: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let mut open = at + bytes[at..].iter().take(2).take_while(|b| b"bBrRfFuU@".contains(b)).count();
    let slashes = bytes[open..].iter().take(8).take_while(|&&b| b == b'\\').count();
    open += slashes;
    let quote = *bytes.get(open).filter(|b| matches!(b, b'"' | b'\'' | b'`'))?;
    let start = open + 1;
    let limit = bytes.len().min(start + LONGEST);
    let mut end = start;
    while end < limit && bytes[end] != quote && bytes[end] != b'\n' {
        // An escaped character belongs to the value, unless the whole string is escaped itself.
        end += if bytes[end] == b'\\' && slashes == 0 { 2 } else { 1 };
    }
    end = end.min(limit);
    if slashes > 0 {
        end -= bytes[start..end].iter().rev().take_while(|&&b| b == b'\\').count();
    }
    Some(start..crate::shapes::floor(text, end)).filter(|range| !range.is_empty())
}

/// A bare word.
fn bare(text: &str, at: usize) -> Option<Range<usize>> {
    let ends = |c: char| c.is_whitespace() || c.is_control() || "\"'`,;&()[]{}<>\\|".contains(c);
    let length = text[at..].find(ends).unwrap_or(text.len() - at).min(LONGEST);
    let end = crate::shapes::floor(text, at + length);
    (end > at).then_some(at..end)
}

/// The quote of the string that is open at `at` in its line, if one is.
fn open_quote(text: &str, at: usize) -> Option<u8> {
    let bytes = text.as_bytes();
    let start =
        bytes[..at].iter().rev().take(LONGEST).position(|&b| b == b'\n').map_or(at.saturating_sub(LONGEST), |n| at - n);
    let mut open = None;
    let mut escaped = false;
    for &b in &bytes[start..at] {
        match open {
            _ if escaped => escaped = false,
            _ if b == b'\\' => escaped = true,
            None if matches!(b, b'"' | b'\'') => open = Some(b),
            Some(quote) if quote == b => open = None,
            _ => {}
        }
    }
    open
}

/// Whether a line consists of the name, the operator and the value, as in configuration files.
fn is_whole_line(text: &str, name: usize, end: usize) -> bool {
    let before = text[..name].rsplit('\n').next().unwrap_or_default().trim_start();
    let after = text[end..].split('\n').next().unwrap_or_default().trim();
    let heads = ["", "export ", "- ", "ENV ", "ARG ", "set ", "\"", "'", "+", "-"];
    heads.contains(&before) && (after.is_empty() || after.starts_with('#'))
}

/// `setPassword(` and `withToken(` take the value itself.
fn is_setter(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    last.starts_with("set") || last.starts_with("with")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<&str> {
        let mut found = Vec::new();
        find(text, &mut found);
        found.into_iter().map(|(_, range)| &text[range]).collect()
    }

    #[test]
    fn values_are_found_in_the_syntax_of_code_configuration_and_logs() {
        let cases = [
            ("password = \"hunter2!\"", "hunter2!"),
            ("DB_PASSWORD=c0rrecthorse\n", "c0rrecthorse"),
            ("export API_KEY=9f86d081884c7d659a2f", "9f86d081884c7d659a2f"),
            ("spring.datasource.password=s3cr3tDb", "s3cr3tDb"),
            ("  password: s3cr3tDb  # prod", "s3cr3tDb"),
            ("{\"api_key\": \"9f86d081884c7d65\"}", "9f86d081884c7d65"),
            ("{\\\"password\\\": \\\"hunter2x\\\"}", "hunter2x"),
            ("login failed password=hunter2x user=bob", "hunter2x"),
            ("GET /pay?token=9f86d081884c7d65&x=1", "9f86d081884c7d65"),
            ("config['secret'] = '9f86d081884c7d65'", "9f86d081884c7d65"),
            ("const password: string = `hunter2x`;", "hunter2x"),
            ("let api_key: &'static str = \"9f86d081884c7d65\";", "9f86d081884c7d65"),
            ("<password>hunter2x</password>", "hunter2x"),
            ("builder.setPassword(\"hunter2x\")", "hunter2x"),
            ("mysql --password hunter2hunter2x9", "hunter2hunter2x9"),
            ("\"Server=db;Password=hunter2x;Pooling=true\"", "hunter2x"),
            ("clientSecret => 'Zx8kQ2pLmN4vR7tY'", "Zx8kQ2pLmN4vR7tY"),
            ("if token == \"Zx8kQ2pLmN4vR7tY\":", "Zx8kQ2pLmN4vR7tY"),
            ("password: \"correcthorsebatterystaple\"", "correcthorsebatterystaple"),
        ];
        for (text, value) in cases {
            assert_eq!(values(text), [value], "{text}");
        }
    }

    #[test]
    fn code_references_and_stand_ins_are_spared() {
        let cases = [
            "password = os.environ[\"DB_PASSWORD\"]",
            "password = os.environ.get(\"DB_PASSWORD\")",
            "password = \"${DB_PASSWORD}\"",
            "password: ${DB_PASSWORD}",
            "API_KEY=$OTHER_KEY",
            "token = self.session.token2",
            "token = get_token(user1)",
            "login(password=password1, token=tok2)",
            "password: str",
            "secret: [u8; 32],",
            "token: Option<Utf8Path>,",
            "print(\"Password: \", user, \"abc123def\")",
            "input(\"Password: \")",
            "token_type = \"bearer9f86d081884c\"",
            "tokens = 1234567890123",
            "max_token = 4096",
            "password = \"your-password-here\"",
            "password = \"********\"",
            "secret = \"/run/secrets/db2\"",
            "Token = r'[a-z]+[0-9]'",
            "secret::Token::new2()",
            "api_key = \"{{ vault.api_key_1 }}\"",
            "password = getpass.getpass()",
            "token = \"csrf_token_v2\"",
        ];
        for text in cases {
            assert_eq!(values(text), [""; 0], "{text}");
        }
    }
}
