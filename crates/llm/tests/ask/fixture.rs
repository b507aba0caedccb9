//! A retry storm at a bank adapter: its patch request, its code, and a judge of Python's syntax that is Python.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use backtrail_llm::{
    Cause, Dialect, Limits, LlmError, Outcome, Provider, Question, Secret, Snippet, SourceFile, SyntaxError, ask,
};
use backtrail_model::patch_request::PatchRequest;
use backtrail_redact::Redactor;
use serde_json::{Value, json};

use crate::stub::{Reply, Stub};

pub(crate) const KEY: &str = "provider-key-4711-sesame";

pub(crate) const BANK: &str = "\
import time


def call_bank(client, payment):
    for attempt in range(3):
        answer = client.post(\"/charge\", payment)
        if answer.ok:
            return answer
        time.sleep(0)
    raise RuntimeError(\"bank is down\")


def refund(client, payment):
    for attempt in range(3):
        answer = client.post(\"/refund\", payment)
        if answer.ok:
            return answer
        time.sleep(1)
    raise RuntimeError(\"bank is down\")
";

pub(crate) const BANK_PATH: &str = "services/payments/app/bank.py";
pub(crate) const CONFIG_PATH: &str = "services/payments/config/payments.yaml";
pub(crate) const FOREIGN_PATH: &str = "services/orders/app/main.py";

/// The incident.
pub(crate) fn request() -> PatchRequest {
    let window = json!({ "start_unix_nano": 1, "end_unix_nano": 2, "watermark_unix_nano": 2, "late": 0 });
    let entity =
        json!({ "kind": "function", "service": "payments", "name": "call_bank", "file": BANK_PATH, "line": 4 });
    let request = json!({
        "schema_version": "1", "id": "0d9c5f3e-1111-5222-8333-944444444444",
        "problem": {
            "slo": "99 % of requests succeed", "time_window": window,
            "endpoint": { "service": "gateway", "route": "/pay", "method": "POST" },
            "detector": { "kind": "slo_burn", "slo": "99 %", "threshold": 14.4, "observed": 61.0, "unit": "burn_rate" },
        },
        "telemetry_summary": {
            "critical_path": [{ "service": "payments", "route": "/charge", "p95_ms": 2310.5, "error_rate": 0.41 }],
            "divergent_span": { "service": "payments", "operation": "bank.charge", "error": "timeout", "retries": 3.0 },
            "log_motifs": [{ "level": "ERROR", "message": "bank call failed: <*>", "file": BANK_PATH, "count": 118 }],
        },
        "recent_changes": [{ "file": BANK_PATH, "lines": "4-10", "sha": "5f2d", "author": "Ann Author <ann@corp.example>",
                             "ts": "2026-05-04T10:00:00Z" }],
        "code_context": { "files": [], "functions": ["call_bank"], "tests": [], "public_api": ["call_bank(client, payment)"] },
        "constraints": {
            "do_not_change_public_api": true, "prefer_config_change": false,
            "patch_must_be_guarded_by_flag": "bank_backoff", "must_add_telemetry": ["retry.attempt"],
        },
        "target": { "repository": "shop", "path_prefix": "services/payments", "default_branch": "main", "team": "pay",
                    "owners": [], "left_out": [] },
        "ask": ["make retries back off"],
        "suspect_ref": { "id": "v1", "incident_key": "k1", "revision": 1, "entity": entity, "score": 0.98,
                         "confidence": "high" },
        "budget": { "max_lines": 60, "max_files": 3, "max_seconds": 120 },
        "redaction": { "attributes_included": false, "replaced": 0 },
    });
    serde_json::from_value(request).expect("a patch request")
}

/// Everything of a question that a test may want to change.
pub(crate) struct Case {
    pub(crate) request: PatchRequest,
    pub(crate) files: Vec<SourceFile>,
    pub(crate) redactor: Redactor,
    pub(crate) limits: Limits,
}

impl Case {
    pub(crate) fn new() -> Self {
        let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
        let files = vec![file(BANK_PATH, BANK), file(CONFIG_PATH, "retries: 3\ntimeout_ms: 1000\n")];
        Self { request: request(), files, redactor: Redactor::new(), limits: Limits::default() }
    }

    pub(crate) fn snippets(&self) -> Vec<Snippet> {
        let whole = |file: &SourceFile| Snippet {
            path: file.path.clone(),
            start: 1,
            end: file.text.lines().count() as u32,
            text: file.text.clone(),
        };
        self.files.iter().map(whole).collect()
    }

    pub(crate) fn ask(&self, provider: &Provider) -> Result<Outcome, LlmError> {
        let question = Question {
            request: &self.request,
            snippets: &self.snippets(),
            files: &self.files,
            redactor: &self.redactor,
            syntax: &python_syntax,
            exists: &|path| path == "services/payments/tests/test_old.py",
            limits: self.limits,
        };
        ask(provider, &question)
    }

    /// The outcome of one answer in the chat dialect.
    pub(crate) fn answered(&self, answer: &Value) -> Result<Outcome, LlmError> {
        let stub = Stub::start(vec![Reply::openai(&answer.to_string())]);
        self.ask(&provider(&stub, Dialect::OpenAiChat))
    }

    /// The causes of the refusals of one answer from which nothing may be taken.
    pub(crate) fn refused(&self, answer: &Value) -> Vec<Cause> {
        let outcome = self.answered(answer).expect("the answer can be read");
        assert_eq!(outcome.candidates, [], "nothing of it may be taken");
        outcome.refusals.into_iter().map(|refusal| refusal.cause).collect()
    }
}

pub(crate) fn provider(stub: &Stub, dialect: Dialect) -> Provider {
    let mut provider = Provider::new(stub.url(), "stub", dialect, Secret::new(KEY));
    provider.timeout = Duration::from_secs(30);
    provider.max_retry_after = Duration::from_millis(50);
    provider
}

/// An answer with one candidate.
pub(crate) fn answer(edits: &Value, tests: &Value) -> Value {
    json!({ "candidates": [{
        "title": "Back off between attempts", "why": "call_bank sleeps 0 s", "mechanism": "attempts per request fall",
        "risk": "slower failures", "edits": edits, "tests": tests,
    }] })
}

/// The edit that repairs the bank adapter.
pub(crate) fn repair() -> Value {
    json!({ "path": BANK_PATH, "search": "        time.sleep(0)\n", "replace": "        time.sleep(0.1 * 2**attempt)\n" })
}

/// An answer whose only edit is the given one.
pub(crate) fn one_edit(path: &str, search: &str, replace: &str) -> Value {
    answer(&json!([{ "path": path, "search": search, "replace": replace }]), &json!([]))
}

/// Python's own opinion of a Python file.
pub(crate) fn python_syntax(path: &str, text: &str) -> Vec<SyntaxError> {
    if path.rsplit_once('.').is_none_or(|(_, ending)| ending != "py") {
        return Vec::new();
    }
    let program = "import ast,sys\ntry: ast.parse(sys.stdin.buffer.read())\nexcept SyntaxError as e: print(e.lineno)";
    let mut python = Command::new("python3")
        .args(["-I", "-c", program])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is needed for this test");
    python.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("python reads");
    let output = python.wait_with_output().expect("python ends");
    let lines = String::from_utf8(output.stdout).expect("a number");
    let error = |line: &str| SyntaxError { line: line.parse().unwrap_or(0), what: "invalid syntax".into() };
    lines.lines().map(error).collect()
}
