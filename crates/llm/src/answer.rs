//! Reads an answer: strictly, and within bounds that hold before anything is built from it.

use serde::Deserialize;

/// Most bytes of an answer.
pub const MAX_BYTES: usize = 1 << 20;
/// Deepest nesting; the schema needs five.
pub const MAX_DEPTH: usize = 8;
/// Most candidates.
pub const MAX_CANDIDATES: usize = 3;
/// Most edits of a candidate.
pub const MAX_EDITS: usize = 10;
/// Most new tests of a candidate.
pub const MAX_TESTS: usize = 5;
/// Most bytes of a path, a search, a replacement or a test.
pub const MAX_TEXT: usize = 64 << 10;
/// Most bytes of a title or a reason.
pub const MAX_PROSE: usize = 4 << 10;

/// Why an answer cannot be read. Places and counts, never the answer's own text.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unreadable {
    /// The reply around the answer is not of the provider's shape.
    #[error("the reply around it: {0}")]
    Envelope(String),
    /// The model stopped before it was done.
    #[error("it was cut short; raise 'answer_tokens' or ask for less")]
    CutShort,
    /// The model or its filter declines.
    #[error("the model declines")]
    Declined,
    /// More bytes than are read.
    #[error("it has {0} bytes, and {MAX_BYTES} are read")]
    TooLarge(usize),
    /// Text without JSON, or with more than one block of it.
    #[error("it is neither JSON nor one fenced block of JSON")]
    NoJson,
    /// Nested deeper than the schema.
    #[error("it is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// Not JSON.
    #[error("line {line}, column {column} is no JSON")]
    Syntax {
        /// Line.
        line: usize,
        /// Column.
        column: usize,
    },
    /// JSON of another schema.
    #[error("line {line}, column {column} does not fit the schema")]
    Schema {
        /// Line.
        line: usize,
        /// Column.
        column: usize,
    },
    /// More candidates than were asked for.
    #[error("it has {0} candidates, and {MAX_CANDIDATES} are looked at")]
    TooManyCandidates(usize),
    /// More edits or tests than were asked for.
    #[error("candidate {candidate} has {count} {what}, and {limit} are looked at")]
    TooMany {
        /// The candidate, from 1.
        candidate: usize,
        /// "edits" or "tests".
        what: &'static str,
        /// How many.
        count: usize,
        /// The bound.
        limit: usize,
    },
    /// A text that is longer than it may be.
    #[error("candidate {candidate} has a {what} of {bytes} bytes")]
    TooLong {
        /// The candidate, from 1.
        candidate: usize,
        /// Which text.
        what: &'static str,
        /// Its length.
        bytes: usize,
    },
}

/// An answer as it was given.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The candidates, best first.
    pub candidates: Vec<Proposal>,
}

/// A candidate as it was given.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// What it does.
    pub title: String,
    /// How the facts lead to it.
    pub why: String,
    /// Which quantity moves.
    pub mechanism: String,
    /// What can go wrong.
    pub risk: String,
    /// Edits.
    pub edits: Vec<ProposedEdit>,
    /// New tests.
    pub tests: Vec<ProposedTest>,
}

/// An edit as it was given.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProposedEdit {
    /// The file.
    pub path: String,
    /// What must stand there once.
    pub search: String,
    /// What stands there afterwards.
    pub replace: String,
}

/// A new test file as it was given.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProposedTest {
    /// The file.
    pub path: String,
    /// Its text.
    pub content: String,
}

/// Reads an answer: JSON of the schema, alone or in one fenced block.
pub fn parse(text: &str) -> Result<Answer, Unreadable> {
    if text.len() > MAX_BYTES {
        return Err(Unreadable::TooLarge(text.len()));
    }
    let json = unfenced(text)?;
    if depth(json) > MAX_DEPTH {
        return Err(Unreadable::TooDeep);
    }
    let answer: Answer = serde_json::from_str(json).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        if error.is_data() { Unreadable::Schema { line, column } } else { Unreadable::Syntax { line, column } }
    })?;
    check(&answer)?;
    Ok(answer)
}

/// The JSON within an answer. Some models put it between lines of three backquotes, with a sentence around them; a line
/// of JSON never begins with those, so the lines are told apart for certain.
fn unfenced(text: &str) -> Result<&str, Unreadable> {
    let text = text.trim();
    if text.starts_with('{') {
        return Ok(text);
    }
    let mut fences = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with("```") {
            fences.push(at..at + line.len());
        }
        at += line.len();
    }
    let [open, close] = fences.as_slice() else { return Err(Unreadable::NoJson) };
    let inside = text[open.end..close.start].trim();
    if inside.starts_with('{') { Ok(inside) } else { Err(Unreadable::NoJson) }
}

/// The deepest nesting, counted before anything is built.
fn depth(json: &str) -> usize {
    let (mut now, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                now += 1;
                deepest = deepest.max(now);
            }
            b'}' | b']' if !quoted => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn check(answer: &Answer) -> Result<(), Unreadable> {
    if answer.candidates.len() > MAX_CANDIDATES {
        return Err(Unreadable::TooManyCandidates(answer.candidates.len()));
    }
    for (index, proposal) in answer.candidates.iter().enumerate() {
        let candidate = index + 1;
        let counts = [("edits", proposal.edits.len(), MAX_EDITS), ("tests", proposal.tests.len(), MAX_TESTS)];
        for (what, count, limit) in counts {
            if count > limit {
                return Err(Unreadable::TooMany { candidate, what, count, limit });
            }
        }
        let prose = [&proposal.title, &proposal.why, &proposal.mechanism, &proposal.risk];
        let edits = proposal.edits.iter().flat_map(|edit| [("search", &edit.search), ("replacement", &edit.replace)]);
        let tests = proposal.tests.iter().map(|test| ("test", &test.content));
        let paths = proposal.edits.iter().map(|edit| &edit.path).chain(proposal.tests.iter().map(|test| &test.path));
        let short = prose.into_iter().map(|text| ("reason", text)).chain(paths.map(|text| ("path", text)));
        let all = short.map(|(what, text)| (what, text, MAX_PROSE));
        for (what, text, limit) in all.chain(edits.chain(tests).map(|(what, text)| (what, text, MAX_TEXT))) {
            if text.len() > limit {
                return Err(Unreadable::TooLong { candidate, what, bytes: text.len() });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn answer(edits: usize) -> String {
        let edit = r#"{"path":"a.py","search":"x","replace":"y"}"#;
        let edits = vec![edit; edits].join(",");
        format!(
            r#"{{"candidates":[{{"title":"t","why":"w","mechanism":"m","risk":"r","edits":[{edits}],"tests":[]}}]}}"#
        )
    }

    #[test]
    fn json_is_read_alone_and_in_one_fence() {
        let plain = answer(1);
        for text in
            [plain.clone(), format!("```json\n{plain}\n```"), format!("Here it is:\n\n```\n{plain}\n```\nGood luck!")]
        {
            assert_eq!(parse(&text).map(|answer| answer.candidates[0].edits.len()), Ok(1), "{text}");
        }
        assert_eq!(parse("{\"candidates\":[]}").map(|answer| answer.candidates.len()), Ok(0));
    }

    #[test]
    fn everything_else_is_refused_with_its_reason() {
        let plain = answer(1);
        assert_eq!(parse("I will not."), Err(Unreadable::NoJson));
        assert_eq!(parse(""), Err(Unreadable::NoJson));
        assert_eq!(parse(&format!("```\n{plain}\n```\n```\n{plain}\n```")), Err(Unreadable::NoJson));
        assert!(matches!(parse(&plain.replace("\"why\"", "\"whyever\"")), Err(Unreadable::Schema { line: 1, .. })));
        assert!(matches!(parse(&plain.replace("\"title\":\"t\",", "")), Err(Unreadable::Schema { .. })));
        assert!(matches!(parse(&plain.replace(":\"t\",", ":\"t\",\"title\":\"u\",")), Err(Unreadable::Schema { .. })));
        assert!(matches!(parse(&plain[..plain.len() - 1]), Err(Unreadable::Syntax { .. })));
        assert!(matches!(parse(&format!("{plain} {plain}")), Err(Unreadable::Syntax { .. })));
        assert_eq!(
            parse(&answer(11)),
            Err(Unreadable::TooMany { candidate: 1, what: "edits", count: 11, limit: MAX_EDITS })
        );
        let long = plain.replace("\"y\"", &format!("\"{}\"", "y".repeat(MAX_TEXT + 1)));
        assert_eq!(parse(&long), Err(Unreadable::TooLong { candidate: 1, what: "replacement", bytes: MAX_TEXT + 1 }));
        assert_eq!(parse(&" ".repeat(MAX_BYTES + 1)), Err(Unreadable::TooLarge(MAX_BYTES + 1)));
        let many = format!("{{\"candidates\":[{}]}}", [&plain[15..plain.len() - 2]; 4].join(","));
        assert_eq!(parse(&many), Err(Unreadable::TooManyCandidates(4)));
        assert_eq!(parse(&format!("{{\"candidates\":{}", "[".repeat(500_000))), Err(Unreadable::TooDeep));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "[\\[\\]{}\",:`\\\\\n a-z]{0,200}") {
            let _ = parse(&text);
        }

        #[test]
        fn no_change_of_one_letter_makes_the_reader_panic(at in 0_usize..120, letter in any::<char>()) {
            let plain = answer(1);
            let changed: String = plain.chars().enumerate().map(|(i, c)| if i == at { letter } else { c }).collect();
            if let Ok(read) = parse(&changed) {
                prop_assert!(read.candidates.len() <= MAX_CANDIDATES);
            }
        }
    }
}
