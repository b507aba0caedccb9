//! What holds for every input: no panic, no false place, no budget exceeded.

use std::sync::OnceLock;

use backtrail_code::{
    FunctionId, Index, IndexLimits, Language, ParseError, ParseLimits, Parsed, api_changes, changed_functions,
    is_trivial, locate, parse, parse_stack, parse_within, snippets, undefined_names_of,
};
use proptest::prelude::*;

const FIXTURES: [&str; 7] = [
    "payments.py",
    "orders.go",
    "InventoryController.java",
    "ledger.rs",
    "gateway.ts",
    "server.js",
    "ShippingController.cs",
];

fn fixtures() -> &'static [(Language, String)] {
    static READ: OnceLock<Vec<(Language, String)>> = OnceLock::new();
    READ.get_or_init(|| {
        let read = |name: &&str| {
            let path = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
            let text = std::fs::read_to_string(path).expect("the fixture is in the repository");
            (Language::of_path(name).expect("a known extension"), text)
        };
        FIXTURES.iter().map(read).collect()
    })
}

/// Asks everything of a parsed text and checks that every place is inside it.
fn check(parsed: &Parsed) -> Result<(), TestCaseError> {
    let text = parsed.text();
    let lines = text.lines().count().max(1) as u32 + 1;
    for (place, function) in parsed.functions().iter().enumerate() {
        prop_assert!(text.get(function.bytes.clone()).is_some(), "{function:?}");
        prop_assert!(function.start_line <= function.end_line && function.end_line <= lines, "{function:?}");
        prop_assert!(function.inside.is_none_or(|outer| outer < place));
        if let Some(body) = &function.body {
            prop_assert!(function.bytes.start <= body.start && body.end <= function.bytes.end, "{function:?}");
        }
    }
    for call in parsed.calls() {
        prop_assert!(call.caller.is_none_or(|caller| caller < parsed.functions().len()));
        prop_assert!(call.callee.len() <= 160 && call.line <= lines);
    }
    prop_assert!(changed_functions(parsed, parsed).is_empty());
    prop_assert!(is_trivial(parsed, parsed));
    prop_assert_eq!(api_changes(parsed, parsed), vec![]);
    let _ = undefined_names_of(parsed);
    Ok(())
}

/// What the languages are made of, so that random text reaches deep into the grammars.
fn broken_source() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "def f(",
        "class A:",
        "fn ",
        "impl T ",
        "func (x *T) ",
        "public ",
        "@app.get(\"/x\")\n",
        "#[test]\n",
        "proptest! {",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "=>",
        "::",
        ".",
        ",",
        "\n",
        "    ",
        "\t",
        "\"",
        "'",
        "`",
        "é",
        "日本",
        "\u{0}",
        "x",
        "async ",
        "match x:\n",
        "case ",
        "lambda ",
        "describe('a', () => ",
        "router.get('/x', ",
        "namespace N;",
        "[HttpGet(\"x\")]",
        "/*",
        "//",
    ]);
    prop::collection::vec(words, 0..60).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_text_is_parsed_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), which in 0..8usize) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        check(&parse(Language::ALL[which], text).expect("a short text is within the limits"))?;
    }

    #[test]
    fn broken_source_is_parsed_without_a_panic(text in broken_source(), which in 0..8usize) {
        check(&parse(Language::ALL[which], text).expect("a short text is within the limits"))?;
    }

    #[test]
    fn truncated_and_spliced_files_are_parsed_without_a_panic(which in 0..7usize, end in 0..4_000usize, from in 0..4_000usize) {
        let (language, text) = &fixtures()[which];
        let cut = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        check(&parse(*language, &text[..cut(end)]).expect("a part of a file is within the limits"))?;
        let spliced = format!("{}{}", &text[..cut(end)], &text[cut(from)..]);
        check(&parse(*language, spliced).expect("two parts of a file are within the limits"))?;
    }

    #[test]
    fn any_trace_is_read_without_a_panic(text in "(\t?(at |File \"|#0 |[0-9]: |created by |Caused by: )?[a-z.:/()<>\"$é0-9 ]{0,40}\n){0,20}") {
        let frames = parse_stack(&text);
        prop_assert!(frames.len() <= text.lines().count());
        let _ = locate(&frames, whole_index());
    }

    #[test]
    fn the_budget_is_never_exceeded_and_every_line_is_whole(
        budget in 0..6_000usize,
        picks in prop::collection::vec((0..8u32, 0..14u32, prop::num::f64::ANY), 0..12),
    ) {
        let index = whole_index();
        let scores: Vec<_> =
            picks.into_iter().map(|(file, function, score)| (FunctionId { file, function }, score)).collect();
        let chosen = snippets(index, &scores, budget);
        prop_assert!(chosen.bytes <= budget);
        prop_assert_eq!(chosen.text().len(), chosen.bytes);
        for piece in &chosen.pieces {
            let source = index.text(&piece.path).expect("the path is of this index");
            for (line, shown) in (piece.start_line..=piece.end_line).zip(piece.text.lines().skip(1)) {
                let (number, code) = shown.split_once(" | ").expect("every line has its number");
                prop_assert_eq!(number.trim(), line.to_string());
                prop_assert_eq!(Some(code), source.lines().nth(line as usize - 1));
            }
        }
    }
}

fn whole_index() -> &'static Index {
    static INDEX: OnceLock<Index> = OnceLock::new();
    INDEX.get_or_init(|| {
        let own = FIXTURES.iter().zip(fixtures()).map(|(name, (_, text))| ((*name).to_owned(), text.clone()));
        let wide = (
            "wide.py".to_owned(),
            "def größe():\n    '日本語 ☃'\n    return 'ü'\n\ndef f():\n    größe()\n".to_owned(),
        );
        Index::build(IndexLimits::default(), own.chain([wide]))
    })
}

#[test]
fn a_text_over_the_limit_is_refused_with_its_size() {
    let error = parse(Language::Go, "x".repeat((2 << 20) + 1)).expect_err("one byte too many");
    assert_eq!(error, ParseError::TooLarge { bytes: (2 << 20) + 1, limit: 2 << 20 });
}

#[test]
fn deep_nesting_is_refused_and_costs_no_stack() {
    for language in Language::ALL {
        // Not every grammar sees nesting in this; what counts is that each one answers.
        let text = format!("x = {}1{}", "(".repeat(20_000), ")".repeat(20_000));
        if let Err(error) = parse(language, text) {
            assert!(matches!(error, ParseError::TooDeep { .. } | ParseError::TooSlow { .. }), "{language}: {error}");
        }
    }
    let error = parse(Language::Python, format!("x = {}1{}", "(".repeat(5_000), ")".repeat(5_000)));
    assert!(matches!(error, Err(ParseError::TooDeep { line: 1, limit: 2_000 })));
}

#[test]
fn a_parser_that_takes_too_many_steps_is_stopped() {
    let limits = ParseLimits { steps: 10, ..ParseLimits::default() };
    let error = parse_within(limits, Language::Rust, "fn f() { g(1, 2, 3); }\n".repeat(2_000));
    assert!(matches!(error, Err(ParseError::TooSlow { language: Language::Rust, steps: 11, .. })), "{error:?}");
}

#[test]
fn a_suspect_comes_before_its_callers_and_they_before_its_tests() {
    let index = whole_index();
    let backoff = index.named("payments.backoff").one().expect("there is one backoff");
    let chosen = snippets(index, &[(backoff, 1.0)], 10_000);
    let order: Vec<_> = chosen.pieces.iter().map(|piece| piece.function.as_str()).collect();
    assert_eq!(order[..3], ["backoff", "BankAdapter.charge", "test_backoff_stays_under_the_cap"]);
    assert_eq!(
        chosen.pieces[1].text,
        "payments.py:34-34 BankAdapter.charge (calls a suspect)\n34 |     async def charge(self, charge: Charge) -> dict:\n"
    );
    let cut = snippets(index, &[(backoff, 1.0)], 150);
    assert!(cut.pieces[0].cut && cut.pieces.len() == 1 && cut.left_out > 0, "{cut:?}");
}
