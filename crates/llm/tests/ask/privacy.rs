//! Planted values never reach the bytes that the endpoint receives, nor any output for people who debug.

use backtrail_llm::{Dialect, LlmError, Prompt, Question};
use backtrail_redact::{Kind, Redactor};
use serde_json::json;

use crate::fixture::{BANK, BANK_PATH, CONFIG_PATH, Case, answer, one_edit, provider, python_syntax, repair};
use crate::stub::{Reply, Stub};

/// What the detectors know by shape, and what only its owner can name.
const SHAPED: [&str; 5] =
    ["hunter2x9!", "bob.honey@corp.com", "4111111111111111", "DE89370400440532013000", "Tr0ub4dor99"];
const DENIED: [&str; 2] = ["Nightingale-7", "Große Kundin \"AG\""];

fn case() -> Case {
    let key = format!("ghp_{}", "9fZx8kQ2pLmN4vR7tYaB3dE5gH6jWcS1uX0a");
    let mut case = Case::new();
    let planted =
        format!("charge of {} card {} to {} for {} {}", SHAPED[1], SHAPED[2], SHAPED[3], DENIED[0], DENIED[1]);
    case.request.problem.slo.push_str(&planted);
    case.request.telemetry_summary.log_motifs[0].message = format!("{planted} token={key}");
    let span = case.request.telemetry_summary.divergent_span.as_mut().expect("a span");
    span.error = format!("postgres://app:{}@db failed, authorization: Bearer {key}", SHAPED[4]);
    span.operation = format!("GET /q?mail=bob.honey%40corp.com&n={}", DENIED[0].replace('-', "%2D"));
    case.request.ask.push(planted.clone());
    case.request.code_context.functions.push(DENIED[0].into());
    case.files[0].text = format!("# {planted}\nTOKEN = \"{key}\"\n{BANK}");
    case.files[1].text = format!("db_password: {}\nurl: amqp://u:{}@mq\nretries: 3\n", SHAPED[0], SHAPED[4]);
    case.redactor = Redactor::new().with_denied(DENIED).expect("fair values");
    case
}

fn assert_clean(text: &str, what: &str) {
    // The unescaped form, its form within one and within two layers of JSON, and the heads of encoded forms.
    let quoted = DENIED[1].replace('"', "\\\"");
    let twice = quoted.replace('\\', "\\\\").replace('"', "\\\"");
    let planted =
        SHAPED.iter().chain(&DENIED).copied().chain([quoted.as_str(), &twice, "Kundin", "ghp_", "honey", "9fZx8k"]);
    for value in planted {
        assert!(!text.contains(value), "{value} is in {what}: {text}");
    }
}

#[test]
fn planted_values_reach_neither_the_wire_nor_debug_output() {
    for dialect in [Dialect::OpenAiChat, Dialect::AnthropicMessages] {
        let case = case();
        let given = answer(
            &json!([repair(), { "path": CONFIG_PATH, "search": "retries: 3", "replace": "retries: 1" }]),
            &json!([]),
        );
        let reply = match dialect {
            Dialect::OpenAiChat => Reply::openai(&given.to_string()),
            Dialect::AnthropicMessages => Reply::anthropic(&given),
        };
        let stub = Stub::start(vec![reply]);
        let provider = provider(&stub, dialect);
        let outcome = case.ask(&provider).expect("a good answer");
        assert_clean(&stub.received()[0], "the request");
        // The files are whole again, with everything that was hidden in its place.
        assert_eq!(outcome.refusals, []);
        assert!(
            outcome.candidates[0].files[0].text.contains(SHAPED[1])
                && outcome.candidates[0].files[0].text.contains(DENIED[0])
        );
        assert!(outcome.candidates[0].files[1].text.contains(SHAPED[0]));
        assert!(
            outcome.transcript.replaced.get(&Kind::Denied).is_some_and(|count| *count >= 5),
            "{:?}",
            outcome.transcript
        );

        let snippets = case.snippets();
        let prompt = Prompt::build(&case.request, &snippets, &case.redactor, &case.limits).expect("it fits");
        let question = Question {
            request: &case.request,
            snippets: &snippets,
            files: &case.files,
            redactor: &case.redactor,
            syntax: &python_syntax,
            exists: &|_| false,
            limits: case.limits,
        };
        let debug = format!("{outcome:?}{prompt:?}{question:?}{provider:?}{:?}{:?}", case.redactor, case.files);
        assert_clean(&debug, "debug output");
        assert!(!debug.contains("sesame"), "the key is in {debug}");
        let evidence = serde_json::to_string(&outcome.transcript).expect("a transcript is json");
        assert_clean(&evidence, "the transcript");
        assert!(!evidence.contains("sesame"));
        let body = stub.received()[0].split_once("\r\n\r\n").expect("a body").1.to_owned();
        assert!(!body.contains("sesame"), "the key stands in a header only");
    }
}

#[test]
fn refusals_and_errors_show_no_planted_value_either() {
    let case = case();
    // A model cannot know these values; a hostile endpoint may guess them.
    let stub = Stub::start(vec![Reply::openai(
        &one_edit(BANK_PATH, "x", DENIED[0]).to_string().replace("Back off", DENIED[0]),
    )]);
    let outcome = case.ask(&provider(&stub, Dialect::OpenAiChat)).expect("the answer can be read");
    let shown = outcome.refusals[0].to_string();
    assert!(shown.contains("[secret:denied]"), "{shown}");
    assert_clean(&format!("{shown}{outcome:?}"), "a refusal");
}

#[test]
fn a_customers_data_in_telemetry_is_not_given_back_to_an_answer() {
    let mut case = Case::new();
    case.request.telemetry_summary.log_motifs[0].message = "payment of carol@customer.net failed".into();
    let edit = one_edit(BANK_PATH, "import time\n", "import time\nVIP = \"[email:1]\"\n");
    let causes = case.refused(&edit);
    assert_eq!(causes, [backtrail_llm::Cause::Placeholder]);
}

#[test]
fn a_question_that_holds_a_secret_after_all_is_not_sent() {
    let mut case = Case::new();
    // The value is a part of our own words, which no redactor looks at before the end.
    case.redactor = Redactor::new().with_denied(["You repair software"]).expect("a fair value");
    let stub = Stub::start(vec![Reply::openai("{}")]);
    let error = case.ask(&provider(&stub, Dialect::OpenAiChat)).expect_err("it is not sent");
    assert!(matches!(error, LlmError::WouldLeak(Kind::Denied)), "{error:?}");
    assert_eq!(stub.received().len(), 0);
}

#[test]
fn authors_of_changes_stay_out_of_the_question() {
    let stub = Stub::start(vec![Reply::openai("{\"candidates\":[]}")]);
    Case::new().ask(&provider(&stub, Dialect::OpenAiChat)).expect("an empty answer");
    assert!(!stub.received()[0].contains("Ann Author") && stub.received()[0].contains("5f2d"));
}
