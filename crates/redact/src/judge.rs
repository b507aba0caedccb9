//! Is this value a secret, or does it stand for one? Entropy alone cannot tell; words, references and paths can.

/// What a name promises about its value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Promise {
    /// `password` and its kin: people choose them, so short and simple ones count.
    Password,
    /// `token`, `secret`, `api_key`: machines make them, so they look it.
    Key,
}

/// How a value is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// In quotes, or the whole rest of a configuration line: it is the value itself.
    Literal,
    /// A bare word that may as well be the name of something in code.
    Bare,
}

/// Words that stand in place of a secret in documentation, tests and templates.
const STAND_INS: &[&str] = &[
    "password",
    "passwd",
    "pass",
    "pwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "api",
    "key",
    "access",
    "auth",
    "bearer",
    "basic",
    "changeme",
    "change",
    "me",
    "changeit",
    "your",
    "my",
    "the",
    "a",
    "an",
    "here",
    "insert",
    "enter",
    "replace",
    "with",
    "example",
    "sample",
    "demo",
    "dummy",
    "fake",
    "mock",
    "test",
    "testing",
    "tests",
    "foo",
    "bar",
    "baz",
    "foobar",
    "placeholder",
    "redacted",
    "removed",
    "hidden",
    "masked",
    "none",
    "null",
    "nil",
    "undefined",
    "true",
    "false",
    "todo",
    "tbd",
    "unset",
    "empty",
    "default",
    "value",
    "string",
    "str",
    "text",
    "bytes",
    "user",
    "username",
    "admin",
    "root",
    "name",
    "id",
    "client",
    "private",
    "public",
    "not",
    "set",
    "some",
    "new",
    "old",
    "current",
    "confirm",
    "confirmation",
    "invalid",
    "wrong",
    "bad",
    "good",
    "valid",
    "required",
    "optional",
    "missing",
    "type",
    "field",
    "input",
    "is",
    "no",
    "x",
    "abc",
    "abcd",
    "xyz",
    "env",
    "file",
    "int",
    "uint",
    "float",
    "char",
    "decimal",
    "bool",
    "sha",
    "md",
    "utf",
    "base",
    "u",
    "i",
    "f",
    "vec",
    "option",
    "self",
    "this",
    "args",
    "config",
];

/// Whether a value is a reference, a template, a path or a stand-in rather than the thing itself.
pub(crate) fn stands_for_something_else(value: &str) -> bool {
    is_reference(value) || is_stand_in(value) || is_place(value)
}

/// Whether a value that was assigned to a telling name is a secret.
pub(crate) fn is_secret(promise: Promise, value: &str, form: Form) -> bool {
    let least = match (promise, form) {
        (Promise::Password, Form::Literal) => 6,
        (Promise::Key, Form::Literal) => 8,
        (_, Form::Bare) => 12,
    };
    if !(least..=4096).contains(&value.len()) || value.chars().any(char::is_whitespace) {
        return false;
    }
    if stands_for_something_else(value) || (promise == Promise::Key && value.contains(is_syntax)) {
        return false;
    }
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let letters = value.bytes().filter(u8::is_ascii_alphabetic).count();
    let symbols = value.chars().filter(|c| !c.is_ascii_alphanumeric() && !"-_./:".contains(*c)).count();
    let entropy = entropy(value);
    if entropy < 1.9 {
        return false;
    }
    match promise {
        Promise::Password if form == Form::Literal => {
            let long_word = letters == value.len() && letters >= 16 && entropy >= 3.0 && !has_stand_in(value);
            let mixed = letters > 0 && (digits > 0 || (symbols > 0 && !value.contains(is_syntax)));
            let joined = value.contains(['-', '_', '.', '/', ':']) && is_wordlike(value);
            let number = digits == value.len();
            long_word || number || (mixed && !joined)
        }
        _ if digits == 0 => letters >= 20 && entropy >= 4.0 && !is_wordlike(value),
        _ => letters > 0 && entropy >= if form == Form::Bare { 3.0 } else { 2.5 } && !is_wordlike(value),
    }
}

/// Characters that code and patterns have and machine-made keys do not.
fn is_syntax(c: char) -> bool {
    "()[]{}<>|\\*?^$,;`".contains(c)
}

/// Variables, templates, format strings and calls.
fn is_reference(value: &str) -> bool {
    let starts =
        ["os.environ", "process.env", "env.", "env:", "ENV[", "vault:", "ref:", "!vault", "!Ref", "!Sub", "#{"];
    let holds = ["${", "{{", "$(", "%s", "%(", "%v", "...", "environ[", "getenv", "<%"];
    // `$HOME` and `@inject` are names; `$ecr3t!9` begins like one and is none.
    let variable = value.strip_prefix(['$', '@']).is_some_and(|name| !name.contains(is_syntax) && is_wordlike(name));
    variable
        || starts.iter().any(|start| value.starts_with(start))
        || holds.iter().any(|part| value.contains(part))
        || (value.contains('{') && value.contains('}'))
        || (value.starts_with('<') && value.ends_with('>'))
        || value.bytes().all(|b| !b.is_ascii_alphanumeric())
        || value.bytes().all(|b| matches!(b, b'x' | b'X' | b'*' | b'.' | b'-' | b'_'))
}

/// `your-token-here`, `test1234`, `mySecret`: made of nothing but words that stand for a secret.
fn is_stand_in(value: &str) -> bool {
    let words = words(value);
    !words.is_empty() && words.iter().all(|word| STAND_INS.contains(&word.as_str()))
}

fn has_stand_in(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    ["pass", "secret", "token", "key", "auth", "confirm", "user", "login", "credential", "valid"]
        .iter()
        .any(|word| lower.contains(word))
}

/// Paths, host names with a path, and URLs: where a secret is, not what it is.
fn is_place(value: &str) -> bool {
    value.contains("://")
        || ((value.starts_with(['/', '.', '~']) || value.contains(":\\") || value.contains('/')) && is_wordlike(value))
}

/// The words of an identifier, lower case: split at everything that is no letter and where camel case begins a word.
fn words(value: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut previous = ' ';
    for c in value.chars() {
        if c.is_ascii_alphabetic() {
            let begins = !previous.is_ascii_alphabetic() || (c.is_ascii_uppercase() && previous.is_ascii_lowercase());
            match words.last_mut() {
                Some(word) if !begins => word.push(c.to_ascii_lowercase()),
                _ => words.push(c.to_ascii_lowercase().to_string()),
            }
        }
        previous = c;
    }
    words
}

/// Whether a value reads like an identifier: words with at most two digits behind each and at most four in all, in a
/// case that people write (`max_retry2`, `HttpClient`, `CSRF_TOKEN`), each with a vowel.
pub(crate) fn is_wordlike(value: &str) -> bool {
    let pieces = value.split(|c: char| !c.is_ascii_alphanumeric()).filter(|piece| !piece.is_empty());
    let mut digits = 0;
    for piece in pieces {
        let word = piece.trim_end_matches(|c: char| c.is_ascii_digit());
        let tail = piece.len() - word.len();
        digits += tail;
        if word.bytes().any(|b| b.is_ascii_digit()) || (tail > 2 && !word.is_empty()) || digits > 4 {
            return false;
        }
        if words(word).iter().any(|hump| hump.len() > 24) || !is_written_by_people(word) {
            return false;
        }
    }
    true
}

/// All lower, all upper, or camel case with words of two letters and more; long words have a vowel in every six letters.
fn is_written_by_people(word: &str) -> bool {
    let upper = word.bytes().filter(u8::is_ascii_uppercase).count();
    let one_case = upper == 0 || upper == word.len();
    if !one_case {
        let humps =
            word.as_bytes().windows(2).filter(|w| w[0].is_ascii_lowercase() != w[1].is_ascii_lowercase()).count();
        if humps * 2 > word.len() {
            return false;
        }
    }
    let mut run = 0;
    for b in word.bytes() {
        run = if b"aeiouyAEIOUY".contains(&b) { 0 } else { run + 1 };
        if run > 6 {
            return false;
        }
    }
    true
}

/// Shannon entropy over bytes, in bits a byte: `-sum p log2 p`. "aaaa" has 0, sixteen different bytes have 4.
fn entropy(value: &str) -> f64 {
    let mut counts = [0_u32; 256];
    value.bytes().for_each(|b| counts[usize::from(b)] += 1);
    let total = value.len() as f64;
    let parts = counts.iter().filter(|&&count| count > 0).map(|&count| f64::from(count) / total);
    -parts.map(|p| p * p.log2()).sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_is_zero_for_one_letter_and_four_for_sixteen() {
        assert!(entropy("aaaa").abs() < 1e-9);
        assert!((entropy("0123456789abcdef") - 4.0).abs() < 1e-9);
    }

    #[test]
    fn words_of_people_are_told_from_keys_of_machines() {
        for word in [
            "max_retry2",
            "HttpClient",
            "CSRF_TOKEN",
            "session-token-v2",
            "oauth2/callback",
            "OriginAccessIdentityList",
        ] {
            assert!(is_wordlike(word), "{word}");
        }
        for key in ["9f86d081884c7d659a2f", "Zx8kQ2pLmN4vR7tY", "aB3dE5fG7hJ9", "XkQzRtPlMnBvCxZ"] {
            assert!(!is_wordlike(key), "{key}");
        }
    }

    #[test]
    fn what_stands_for_a_secret_is_spared() {
        for value in
            ["${DB_PASSWORD}", "$TOKEN", "{{ vault.key }}", "<your-token>", "%(password)s", "changeme", "test1234"]
        {
            assert!(stands_for_something_else(value), "{value}");
        }
        for value in ["your-api-key-here", "************", "xxxxxxxxxxxx", "/run/secrets/db_password", "MySecret"] {
            assert!(stands_for_something_else(value), "{value}");
        }
        for value in ["hunter2", "S3cr3t!pw", "$ecr3t!9x", "correct-9-horse-7-battery"] {
            assert!(!stands_for_something_else(value), "{value}");
        }
    }
}
