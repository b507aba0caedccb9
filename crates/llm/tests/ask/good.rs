//! Answers as good models give them.

use backtrail_llm::{Dialect, LlmError, Prompt};
use backtrail_redact::Kind;
use serde_json::json;

use crate::fixture::{BANK, BANK_PATH, CONFIG_PATH, Case, answer, one_edit, provider, repair};
use crate::stub::{Reply, Stub};

const TEST: &str = "services/payments/tests/test_backoff.py";

#[test]
fn a_repair_with_a_test_becomes_a_candidate_in_both_dialects() {
    let tests = json!([{ "path": TEST, "content": "def test_it():\n    assert True\n" }]);
    let given = answer(&json!([repair()]), &tests);
    for dialect in [Dialect::OpenAiChat, Dialect::AnthropicMessages] {
        let reply = match dialect {
            Dialect::OpenAiChat => Reply::openai(&format!("```json\n{given}\n```")),
            Dialect::AnthropicMessages => Reply::anthropic(&given),
        };
        let stub = Stub::start(vec![reply]);
        let outcome = Case::new().ask(&provider(&stub, dialect)).expect("a good answer");
        assert_eq!(outcome.refusals, []);
        let [candidate] = outcome.candidates.as_slice() else { panic!("{outcome:?}") };
        assert_eq!(candidate.title, "Back off between attempts");
        assert_eq!(candidate.files.len(), 1);
        assert_eq!(candidate.files[0].text, BANK.replace("time.sleep(0)", "time.sleep(0.1 * 2**attempt)"));
        assert_eq!(candidate.tests[0].path, TEST);
        assert_eq!(outcome.transcript.dialect, dialect.name());
        assert_eq!((outcome.transcript.prompt_sha256.len(), outcome.transcript.attempts), (64, 1));
    }
}

#[test]
fn each_dialect_sends_its_path_its_headers_and_the_schema() {
    let stub = Stub::start(vec![Reply::openai("{\"candidates\":[]}")]);
    Case::new().ask(&provider(&stub, Dialect::OpenAiChat)).expect("an empty answer");
    let head = stub.received()[0].to_ascii_lowercase();
    assert!(head.starts_with("post /chat/completions http/1.1\r\n"), "{head}");
    assert!(head.contains("authorization: bearer provider-key-4711-sesame\r\n"));
    assert!(head.contains("accept-encoding: identity\r\n"));
    assert_eq!(stub.body()["response_format"]["json_schema"]["strict"], true);

    let stub = Stub::start(vec![Reply::anthropic(&json!({ "candidates": [] }))]);
    Case::new().ask(&provider(&stub, Dialect::AnthropicMessages)).expect("an empty answer");
    let head = stub.received()[0].to_ascii_lowercase();
    assert!(head.starts_with("post /v1/messages http/1.1\r\n"), "{head}");
    assert!(
        head.contains("x-api-key: provider-key-4711-sesame\r\n") && head.contains("anthropic-version: 2023-06-01\r\n")
    );
    let body = stub.body();
    assert_eq!(body["tool_choice"]["name"], body["tools"][0]["name"]);
    let item = &body["tools"][0]["input_schema"]["properties"]["candidates"]["items"];
    assert_eq!(item["required"].as_array().map(Vec::len), Some(6), "{item}");
}

#[test]
fn edits_of_one_file_build_on_each_other() {
    let edits = json!([
        repair(),
        { "path": BANK_PATH, "search": "time.sleep(0.1 * 2**attempt)", "replace": "time.sleep(0.2 * 2**attempt)" },
        { "path": CONFIG_PATH, "search": "retries: 3", "replace": "retries: 1" },
    ]);
    let outcome = Case::new().answered(&answer(&edits, &json!([]))).expect("a good answer");
    assert_eq!(outcome.refusals, []);
    let files = &outcome.candidates[0].files;
    assert_eq!((files.len(), files[1].text.as_str()), (2, "retries: 1\ntimeout_ms: 1000\n"));
    assert!(files[0].text.contains("0.2 * 2**attempt") && !files[0].text.contains("0.1"));
}

#[test]
fn a_file_with_carriage_returns_keeps_them() {
    let mut case = Case::new();
    case.files[0].text = BANK.replace('\n', "\r\n");
    let outcome = case.answered(&answer(&json!([repair()]), &json!([]))).expect("a good answer");
    assert_eq!(outcome.refusals, []);
    let text = &outcome.candidates[0].files[0].text;
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
}

#[test]
fn personal_data_of_the_code_comes_back_with_an_edit_around_it() {
    let mut case = Case::new();
    case.files[0].text = format!("OWNER = \"bob@corp.com\"\n{BANK}");
    let edit = one_edit(BANK_PATH, "OWNER = \"[email:1]\"\n", "OWNER = \"[email:1]\"\nBASE = 0.1\n");
    let stub = Stub::start(vec![Reply::openai(&edit.to_string())]);
    let outcome = case.ask(&provider(&stub, Dialect::OpenAiChat)).expect("a good answer");
    assert!(!stub.received()[0].contains("bob@corp.com"));
    assert!(outcome.candidates[0].files[0].text.starts_with("OWNER = \"bob@corp.com\"\nBASE = 0.1\nimport time\n"));
    assert_eq!(outcome.transcript.replaced.get(&Kind::Email), Some(&1));
}

#[test]
fn the_prompt_keeps_to_its_budget_and_says_what_is_left_out() {
    let mut case = Case::new();
    case.files[1].text = "key: value\n".repeat(20_000);
    case.limits.prompt_tokens = 4_000;
    let stub = Stub::start(vec![Reply::openai("{\"candidates\":[]}")]);
    let outcome = case.ask(&provider(&stub, Dialect::OpenAiChat)).expect("an empty answer");
    let body = stub.body();
    let sent: usize = (0..2).map(|i| body["messages"][i]["content"].as_str().map_or(0, str::len)).sum();
    assert!(sent / 3 <= 4_000 && sent / 3 > 3_000, "{sent} bytes");
    assert!(outcome.transcript.prompt_tokens <= 4_000, "{}", outcome.transcript.prompt_tokens);
    let user = body["messages"][1]["content"].as_str().expect("a text");
    assert!(user.contains("def call_bank") && user.contains("Left out for want of room: \"services/payments/config"));
    assert_eq!(outcome.transcript.cut.len(), 1);

    case.limits.prompt_tokens = 500;
    let error = Prompt::build(&case.request, &[], &case.redactor, &case.limits).expect_err("the facts do not fit");
    assert!(matches!(error, LlmError::PromptTooLarge { limit: 500, .. }), "{error}");
}

#[test]
fn the_same_question_has_the_same_bytes() {
    let ask = || {
        let stub = Stub::start(vec![Reply::openai("{\"candidates\":[]}")]);
        let outcome = Case::new().ask(&provider(&stub, Dialect::OpenAiChat)).expect("an empty answer");
        (stub.body(), outcome.transcript)
    };
    assert_eq!(ask(), ask());
}
