//! `NaN` and infinities without quotes, as Python's `json` writes them: no JSON, and common in recorded metrics. One of
//! them in a request would cost all the rest of it, so they are quoted as OTLP/JSON wants them, once parsing has failed.

/// The same text with bare `NaN`, `Infinity` and `-Infinity` in quotes; `None` if there are none.
pub(super) fn quoted(json: &[u8]) -> Option<Vec<u8>> {
    const TOKENS: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];
    let mut out = Vec::with_capacity(json.len() + 64);
    let (mut in_string, mut at, mut found) = (false, 0, false);
    while let Some(&byte) = json.get(at) {
        match byte {
            b'\\' if in_string => {
                out.extend(&json[at..json.len().min(at + 2)]);
                at += 2;
                continue;
            }
            b'"' => in_string = !in_string,
            b'N' | b'I' | b'-' if !in_string => {
                if let Some(token) = TOKENS.iter().find(|token| json[at..].starts_with(token)) {
                    out.push(b'"');
                    out.extend(*token);
                    out.push(b'"');
                    (at, found) = (at + token.len(), true);
                    continue;
                }
            }
            _ => {}
        }
        out.push(byte);
        at += 1;
    }
    found.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_numbers_that_json_does_not_have_are_quoted_and_text_is_left_alone() {
        let text = br#"{"a":NaN,"b":[-Infinity,Infinity,-1],"NaN":"say \"NaN\" \\","c":-2}"#;
        let expected = br#"{"a":"NaN","b":["-Infinity","Infinity",-1],"NaN":"say \"NaN\" \\","c":-2}"#;
        assert_eq!(quoted(text).as_deref(), Some(&expected[..]));
        assert_eq!(quoted(br#"{"a":"NaN","b":-1}"#), None);
        assert_eq!(quoted(br#"{"a":"\"#), None);
    }
}
