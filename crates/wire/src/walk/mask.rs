//! The skeleton of a log line: its words, with what varies from record to record masked.
//!
//! Everything that is masked holds a digit or stands in quotes, and the result holds neither, so a skeleton is its own
//! skeleton. The price: an id of letters alone stays.

/// What stands for a value.
pub(super) const MASK: &[u8] = b"<*>";
/// Most tokens of a skeleton: a message says early which one it is.
const TOKENS: usize = 12;
/// Most bytes of a skeleton.
const LONGEST: usize = 160;
/// How far into a line is looked.
const READ: usize = 1024;
/// Between two masks these join them to one: addresses, times and lists are one value each, however long they are.
const JOINING: &[u8] = b".:-/,_+";
/// What ends the value in `key=value`.
const ENDING: &[u8] = b",;)]}&|\"'`\\";

/// Appends the skeleton of the first line of `text` that is not empty.
pub(super) fn skeleton(text: &[u8], out: &mut Vec<u8>) {
    let text = cut(text.trim_ascii_start(), READ);
    let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let (begin, token) = (out.len(), out.len());
    Masker { line, at: 0, out, begin, token, unwrapped: None }.run();
}

/// At most `most` bytes of `text`, and no part of a character.
pub(super) fn cut(text: &[u8], most: usize) -> &[u8] {
    if text.len() <= most {
        return text;
    }
    // A character has at most three bytes after its first; more of them are no UTF-8, and nothing is to be saved.
    let end = (most.saturating_sub(3)..=most).rev().find(|&end| text[end] & 0xC0 != 0x80);
    &text[..end.unwrap_or(most)]
}

struct Masker<'a> {
    line: &'a [u8],
    at: usize,
    out: &'a mut Vec<u8>,
    /// Where the skeleton begins in `out`.
    begin: usize,
    /// Where its current token begins in `out`.
    token: usize,
    /// The closing quote of a message that is shown without its quotes.
    unwrapped: Option<usize>,
}

impl Masker<'_> {
    fn run(mut self) {
        let mut tokens = 0;
        while self.skip_blanks() {
            if self.out.len() > self.begin {
                self.out.push(b' ');
            }
            self.token = self.out.len();
            while self.at < self.line.len() && !self.line[self.at].is_ascii_whitespace() {
                self.step();
            }
            if self.out.len() - self.token > LONGEST {
                self.out.truncate(self.token);
                self.out.extend_from_slice(MASK);
            }
            tokens += usize::from(self.out.len() > self.token);
            if self.out.len() - self.begin > LONGEST {
                self.out.truncate(self.token);
                break;
            }
            if tokens == TOKENS {
                break;
            }
        }
        while self.out.len() > self.begin && self.out.ends_with(b" ") {
            self.out.pop();
        }
    }

    /// Whether another token follows.
    fn skip_blanks(&mut self) -> bool {
        // An unwrapped message's closing quote is nothing, wherever it stands.
        while self.at < self.line.len() && (self.line[self.at].is_ascii_whitespace() || self.is_unwrapped_end()) {
            self.at += 1;
        }
        if self.out.ends_with(b" ") && self.out.len() > self.begin {
            self.out.pop();
        }
        self.at < self.line.len()
    }

    fn is_unwrapped_end(&self) -> bool {
        self.unwrapped == Some(self.at)
    }

    fn step(&mut self) {
        let byte = self.line[self.at];
        match byte {
            _ if self.is_unwrapped_end() => self.at += 1,
            b'"' | b'\'' | b'`' => self.quote(byte),
            b'=' => self.value(),
            _ if is_word(byte) => self.word(),
            _ => self.literal(self.at + 1),
        }
    }

    /// Takes the line up to `end` as it is.
    fn literal(&mut self, end: usize) {
        self.out.extend_from_slice(&self.line[self.at..end]);
        self.at = end;
    }

    /// Masks the line up to `end`.
    fn mask(&mut self, end: usize) {
        self.at = end;
        let token = &self.out[self.token..];
        if token.ends_with(MASK) {
            return;
        }
        if let [before @ .., joining] = token
            && JOINING.contains(joining)
            && before.ends_with(MASK)
        {
            self.out.pop();
            return;
        }
        self.out.extend_from_slice(MASK);
    }

    /// A quoted string is one value; the message in `msg="..."` is not a value but what the line says.
    fn quote(&mut self, quote: u8) {
        let Some(end) = self.closing(quote) else { return self.literal(self.at + 1) };
        let token = &self.out[self.token..];
        if self.unwrapped.is_none() && (token.ends_with(b"msg=") || token.ends_with(b"message=")) {
            self.unwrapped = Some(end);
            self.at += 1;
        } else {
            self.mask(end + 1);
        }
    }

    /// The end of the string that the quote here opens, if it opens one: the quote in `don't` does not.
    fn closing(&self, quote: u8) -> Option<usize> {
        let (line, at) = (self.line, self.at);
        if at > 0 && (is_inside(line[at - 1]) || line[at - 1] == b'\\') {
            return None;
        }
        (at + 1..line.len()).find(|&end| {
            line[end] == quote && line[end - 1] != b'\\' && line.get(end + 1).is_none_or(|&next| !is_inside(next))
        })
    }

    /// `=` and what follows it, which is a value if it holds a digit.
    fn value(&mut self) {
        self.literal(self.at + 1);
        let rest = &self.line[self.at..];
        let ends = |byte: &u8| byte.is_ascii_whitespace() || ENDING.contains(byte);
        let len = rest.iter().position(ends).unwrap_or(rest.len());
        if rest[..len].iter().any(u8::is_ascii_digit) {
            self.mask(self.at + len);
        }
    }

    /// A word, or an id or address that begins like one.
    fn word(&mut self) {
        let rest = &self.line[self.at..];
        if let Some(len) = uuid(rest).or_else(|| colons(rest)) {
            return self.mask(self.at + len);
        }
        let len = rest.iter().position(|&byte| !is_word(byte)).unwrap_or(rest.len());
        let (word, end) = (&rest[..len], self.at + len);
        let is_digit = |&byte: &u8| byte.is_ascii_digit();
        let Some(first) = word.iter().position(is_digit) else { return self.literal(end) };
        let digits = word[first..].iter().position(|byte| !is_digit(byte)).unwrap_or(len - first);
        let is_hex = |text: &[u8]| text.iter().all(u8::is_ascii_hexdigit);
        let hex = (len >= 8 && is_hex(word)) || word.strip_prefix(b"0x").is_some_and(is_hex);
        if hex || word[first + digits..].iter().any(is_digit) {
            return self.mask(end);
        }
        self.literal(self.at + first);
        self.mask(self.at + digits);
        self.literal(end);
    }
}

/// Letters and digits; every byte of what is not ASCII counts as a letter.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80
}

/// What stands inside a word or a mask: a quote beside it neither opens nor closes a string.
fn is_inside(byte: u8) -> bool {
    is_word(byte) || byte == b'<' || byte == b'>'
}

/// Length of the UUID at the beginning of `text`.
fn uuid(text: &[u8]) -> Option<usize> {
    const LEN: usize = 36;
    let id = text.get(..LEN)?;
    let shape = |(at, byte): (usize, &u8)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    let whole = id.iter().enumerate().all(shape) && text.get(LEN).is_none_or(|&next| !is_word(next));
    (whole && id.iter().any(u8::is_ascii_digit)).then_some(LEN)
}

/// Length of the IPv6 address, hardware address or time of day at the beginning of `text`: at least two colons.
fn colons(text: &[u8]) -> Option<usize> {
    let is_part = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
    let run = text.iter().position(|byte| !is_part(byte)).unwrap_or(text.len());
    let len = text[..run].iter().rposition(|byte| !matches!(byte, b':' | b'.'))? + 1;
    let mut parts = text[..len].split(|&byte| byte == b':');
    let fits = |part: &[u8]| part.len() <= 4 && !part.contains(&b'.');
    let dotted = |part: &[u8]| part.iter().all(|&byte| byte.is_ascii_digit() || byte == b'.');
    let last = parts.next_back()?;
    let count = parts.clone().count();
    let whole = count >= 2 && parts.all(fits) && (fits(last) || dotted(last));
    let ends = text.get(len).is_none_or(|&next| !is_word(next));
    (whole && ends && text[..len].iter().any(u8::is_ascii_digit)).then_some(len)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn masked(text: &str) -> String {
        let mut out = b"before".to_vec();
        skeleton(text.as_bytes(), &mut out);
        String::from_utf8(out.split_off(6)).expect("UTF-8")
    }

    #[test]
    fn values_are_masked_and_words_stay() {
        for (line, expected) in [
            ("order 42 shipped in 3.5ms", "order <*> shipped in <*>ms"),
            ("user123 on http2 k8s", "user<*> on http<*> k<*>s"),
            ("id a1b2c3 deadbeef12 0xff 0x7ffe1234 facade", "id <*> <*> <*> <*> facade"),
            ("trace 4bf92f3577b34da6a3ce929d0e0e4736 end", "trace <*> end"),
            ("cart 9f1c2d3e-aaaa-4bbb-8ccc-ddddeeeeffff gone", "cart <*> gone"),
            ("peer 10.0.0.7:8080 and 2001:db8::ff00:42:8329, fe80::1:", "peer <*> and <*>, <*>:"),
            ("at 12:30:45.123: done", "at <*>: done"),
            ("std::vec a::b::c", "std::vec a::b::c"),
            ("ids [1, 2] 1,2,3 v1.2.3-4", "ids [<*>, <*>] <*> v<*>"),
            ("GET /users/17/orders?id=x9&page=next", "GET /users/<*>/orders?id=<*>&page=next"),
            ("state=OK shard=eu-1/x retry=false n=5;m=6", "state=OK shard=<*> retry=false n=<*>;m=<*>"),
            ("größe 5 für müller7", "größe <*> für müller<*>"),
        ] {
            assert_eq!(masked(line), expected, "{line}");
        }
    }

    #[test]
    fn quoted_strings_are_one_value_and_apostrophes_are_none() {
        for (line, expected) in [
            (r#"no product "a b, c" in 'the shop' `x`"#, "no product <*> in <*> <*>"),
            ("can't read the users' cart", "can't read the users' cart"),
            (r#"said "it's \"so\" now" twice"#, "said <*> twice"),
            (r#"open " never closed"#, r#"open " never closed"#),
            (r#"name="Ann Lee" left=''"#, "name=<*> left=<*>"),
        ] {
            assert_eq!(masked(line), expected, "{line}");
        }
    }

    #[test]
    fn lines_of_known_loggers_keep_what_they_say() {
        for (line, expected) in [
            // logback, log4j
            (
                "2024-03-01 10:15:30,123  INFO [nio-8080-exec-3] c.a.OrderService - Order 17 created",
                "<*> <*> INFO [nio-<*>-exec-<*>] c.a.OrderService - Order <*> created",
            ),
            // logrus, slog (logfmt)
            (
                r#"time="2024-03-01T10:15:30Z" level=info msg="Listening on port 8080 (it's up)" pod=web-0"#,
                "time=<*> level=info msg=Listening on port <*> (it's up) pod=<*>",
            ),
            // klog
            (
                r#"I0301 10:15:30.000123   12 server.go:99] "Started" pod="kube-system/dns""#,
                "I<*> <*> <*> server.go:<*>] <*> pod=<*>",
            ),
            // nginx
            (
                r#"10.1.2.3 - - [01/Mar/2024:10:15:30 +0000] "GET /a HTTP/1.1" 200 612 "-" "curl/8""#,
                "<*> - - [<*>/Mar/<*> +<*>] <*> <*> <*> <*> <*>",
            ),
            // Python
            ("ERROR:root:failed after 3 tries\nTraceback (most recent", "ERROR:root:failed after <*> tries"),
            // glog of C++ with an exception behind it
            (
                "\n\n  Failed to place order: rpc error: code = Unavailable",
                "Failed to place order: rpc error: code = Unavailable",
            ),
        ] {
            assert_eq!(masked(line), expected, "{line}");
        }
    }

    #[test]
    fn a_skeleton_is_bounded_by_tokens_and_bytes_at_a_word() {
        assert_eq!(masked(&"a ".repeat(100)), "a a a a a a a a a a a a");
        let words = masked(&format!("{} end", "wörd-".repeat(15).repeat(2).replace("-w", "- w")));
        assert!(words.len() <= LONGEST && words.ends_with('-'), "{words}");
        assert_eq!(masked(&format!("data {} end", "xyz".repeat(60))), "data <*> end");
        assert_eq!(masked(" \t\n "), "");
        assert_eq!(cut("aé".as_bytes(), 2), b"a");
        assert_eq!(cut(&[0x80; 9], 5), [0x80; 5]);
    }

    fn lines() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop::sample::select(vec![
            "a",
            "msg=",
            "message=",
            "k=",
            "=",
            "\"",
            "'",
            "`",
            "\\",
            " ",
            "  ",
            "\t",
            "\n",
            "<*>",
            "<",
            ">",
            "7",
            "42",
            ":",
            "::",
            ".",
            "-",
            "_",
            "/",
            ",",
            "+",
            ";",
            ")",
            "&",
            "deadbeef",
            "deadbeefdeadbeef",
            "0x",
            "ab",
            "é",
            "\r",
            "abcdefab-abcd-4bcd-abcd-abcdefabcdef",
            "fe80::1",
            "10:20:30",
            "a1b2",
        ]);
        let pieces = prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat().into_bytes());
        prop_oneof![8 => pieces, 1 => prop::collection::vec(any::<u8>(), 0..2000), 1 => ".{0,300}".prop_map(String::into_bytes)]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_skeleton_is_its_own_skeleton_and_holds_no_digit(line in lines()) {
            let (mut once, mut twice) = (Vec::new(), Vec::new());
            skeleton(&line, &mut once);
            skeleton(&once, &mut twice);
            let shown = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
            prop_assert_eq!(shown(&once), shown(&twice));
            prop_assert!(once.len() <= LONGEST && !once.iter().any(u8::is_ascii_digit), "{}", shown(&once));
            prop_assert!(once.split(|&byte| byte == b' ').count() <= TOKENS);
        }
    }
}
