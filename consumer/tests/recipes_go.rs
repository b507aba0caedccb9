//! Recipes that change Go, on real modules and with `go test`: one service with the standard library alone and packages of
//! its own for flags and spans, one with `OpenFeature` and `OpenTelemetry`.

use std::path::Path;
use std::process::Command;

use backtrail_model::patch_request::PatchRequest;
use backtrail_testkit::python::Real;
use serde_json::json;

use crate::recipes::{Bench, request};

const MOD: &str = "module shop.example/notify\n\ngo 1.22\n";
const FLAGS: &str = "// Package flags reads the flags file.
package flags

import (
\t\"encoding/json\"
\t\"os\"
)

// Set is what the file says.
type Set struct {
\tFlags map[string]struct {
\t\tVariants       map[string]bool `json:\"variants\"`
\t\tDefaultVariant string          `json:\"defaultVariant\"`
\t} `json:\"flags\"`
}

// Load reads a file.
func Load(path string) (*Set, error) {
\ttext, err := os.ReadFile(path)
\tif err != nil {
\t\treturn nil, err
\t}
\tset := &Set{}
\treturn set, json.Unmarshal(text, set)
}

// Bool is a flag's value, or otherwise where it is not known.
func (s *Set) Bool(name string, otherwise bool) bool {
\tflag, known := s.Flags[name]
\tif !known {
\t\treturn otherwise
\t}
\treturn flag.Variants[flag.DefaultVariant]
}
";
const SPANS: &str = "// Package spans is a small tracer.
package spans

import \"context\"

type key struct{}

// Span is one unit of work.
type Span struct{ Attributes map[string]any }

// FromContext is the span that a context carries, or one that nobody sees.
func FromContext(ctx context.Context) *Span {
\tif span, found := ctx.Value(key{}).(*Span); found {
\t\treturn span
\t}
\treturn &Span{Attributes: map[string]any{}}
}

// SetAttribute notes something about it.
func (s *Span) SetAttribute(name string, value any) { s.Attributes[name] = value }
";
const PUSH: &str = "// Package push hands messages to the push gateway.
package push

import (
\t\"context\"
\t\"expvar\"
\t\"fmt\"
\t\"log/slog\"
\t\"net/http\"
\t\"time\"

\t\"shop.example/notify/internal/flags\"
\t\"shop.example/notify/internal/spans\"
)

var failed = expvar.NewInt(\"push_failed\")

// Client sends with second chances.
type Client struct {
\tbase  string
\thttp  *http.Client
\tflags *flags.Set
}

// New makes a client.
func New(base string, set *flags.Set) *Client {
\treturn &Client{base: base, http: &http.Client{}, flags: set}
}

// Send delivers a message to a device.
func (c *Client) Send(ctx context.Context, device string) error {
\tif c.flags.Bool(\"silent\", false) {
\t\treturn nil
\t}
\tspans.FromContext(ctx).SetAttribute(\"device\", device)
\tvar err error
\tfor attempt := 1; attempt <= 4; attempt++ {
\t\tif err = c.deliver(ctx, device); err == nil {
\t\t\treturn nil
\t\t}
\t\tslog.WarnContext(ctx, \"push failed\", \"attempt\", attempt, \"error\", err)
\t\tif attempt < 4 {
\t\t\ttime.Sleep(20 * time.Millisecond)
\t\t}
\t}
\tfailed.Add(1)
\treturn err
}

func (c *Client) deliver(ctx context.Context, device string) error {
\trequest, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+\"/deliver/\"+device, nil)
\tif err != nil {
\t\treturn err
\t}
\tanswer, err := c.http.Do(request)
\tif err != nil {
\t\treturn err
\t}
\tdefer answer.Body.Close()
\tif answer.StatusCode != http.StatusOK {
\t\treturn fmt.Errorf(\"answered %d\", answer.StatusCode)
\t}
\treturn nil
}
";
const TEST: &str = "package push

import (
\t\"context\"
\t\"net/http\"
\t\"net/http/httptest\"
\t\"testing\"

\t\"shop.example/notify/internal/flags\"
)

func TestASecondAttempt(t *testing.T) {
\tcalls := 0
\tgateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
\t\tif calls++; calls == 1 {
\t\t\tw.WriteHeader(http.StatusServiceUnavailable)
\t\t}
\t}))
\tdefer gateway.Close()
\tset, err := flags.Load(\"../../flags.json\")
\tif err != nil {
\t\tt.Fatal(err)
\t}
\tif err := New(gateway.URL, set).Send(context.Background(), \"d1\"); err != nil || calls != 2 {
\t\tt.Fatal(err, calls)
\t}
}
";
const FLAGS_FILE: &str = r#"{
  "flags": {
    "silent": {
      "state": "ENABLED",
      "variants": { "on": true, "off": false },
      "defaultVariant": "off"
    }
  }
}
"#;

fn skip(why: &str) {
    let _ = Real::<()>::Missing(why.to_owned()).or_skip();
}

fn go() -> bool {
    Command::new("go").arg("version").output().is_ok_and(|ran| ran.status.success())
}

fn write(files: &Path, all: &[(&str, &str)]) {
    for (path, text) in all {
        let path = files.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }
}

fn commit(history: &Path) {
    let text = "Author: Ana <ana@example.org>\nDate: 2026-05-04T10:00:00+00:00\n\nFirst version\n";
    std::fs::write(history.join("01-first/COMMIT"), text).expect("written");
}

/// A service without any dependency.
fn notify() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let all = [
        ("go.mod", MOD),
        ("flags.json", FLAGS_FILE),
        ("internal/flags/flags.go", FLAGS),
        ("internal/spans/spans.go", SPANS),
        ("internal/push/push.go", PUSH),
        ("internal/push/push_test.go", TEST),
    ];
    write(&dir.path().join("01-first/files"), &all);
    commit(dir.path());
    dir
}

fn storm() -> PatchRequest {
    let load = json!({ "from": "notify", "to": "gateway", "seconds": 60.0, "requests": 300, "calls": 1150,
        "errors": 1100, "served": 900, "p95_ms": 400.0, "served_p95_ms": 380.0, "quiet_p95_ms": 40.0 });
    request("notify", "internal/push/push.go", "shop.example/notify/internal/push.(*Client).Send", &[load])
}

fn hang() -> PatchRequest {
    let load = [
        json!({ "from": "shop", "to": "notify", "seconds": 60.0, "requests": 300, "calls": 300, "errors": 200,
            "served": 90, "p95_ms": 1000.0, "served_p95_ms": 60000.0, "quiet_p95_ms": 60.0 }),
        json!({ "from": "notify", "to": "gateway", "seconds": 60.0, "requests": 300, "calls": 300, "errors": 0,
            "served": 90, "p95_ms": 60000.0, "served_p95_ms": 59000.0, "quiet_p95_ms": 200.0 }),
    ];
    request("notify", "internal/push/push.go", "shop.example/notify/internal/push.(*Client).deliver", &load)
}

#[test]
fn a_loop_of_go_gets_jitter_and_bounds_behind_the_services_own_flags() {
    if !go() {
        return skip("go is not installed");
    }
    let history = notify();
    let outcome = Bench::new(history.path()).run(&storm(), "", "backoff_jitter");
    assert!(outcome.denials.is_empty(), "{:#?}\n{}", outcome.denials, outcome.patch);
    assert_eq!(outcome.added.len(), 3, "two tests and the one that is run again within: {:?}", outcome.added);
    for line in [
        "+\tspreadOut, sentAgain := spreading.begins(ctx, c), 0",
        "+\t\t\tif spreadOut && !spreading.allows(sentAgain) {",
        "+\t\t\ttime.Sleep(spreading.pause(spreadOut, sentAgain, 20*time.Millisecond))",
        "+\treturn c.flags.Bool(backoffFlag, false)",
        "+\tspans.FromContext(ctx).SetAttribute(\"feature_flag.key\", backoffFlag)",
    ] {
        assert!(outcome.patch.lines().any(|one| one == line), "{line}\n{}", outcome.patch);
    }
    let coverage = outcome.coverage.expect("measured");
    assert!(coverage.ran > 0 && coverage.not_measured.is_empty(), "{}", coverage.says());
}

#[test]
fn a_client_of_go_without_a_timeout_gets_a_deadline() {
    if !go() {
        return skip("go is not installed");
    }
    let history = notify();
    let outcome = Bench::new(history.path()).run(&hang(), "", "deadline");
    assert!(outcome.denials.is_empty(), "{:#?}\n{}", outcome.denials, outcome.patch);
    for line in [
        "+\tanswer, err := withDeadline(request.Context(), c, c.http).Do(request)",
        "+\tcallDeadline = 300 * time.Millisecond",
    ] {
        assert!(outcome.patch.lines().any(|one| one == line), "{line}\n{}", outcome.patch);
    }
}

#[test]
fn what_only_looks_like_a_deadline_fails_the_generated_test() {
    if !go() {
        return skip("go is not installed");
    }
    let history = notify();
    let bench = Bench::new(history.path());
    let context = bench.context(&hang(), "");
    let (drafts, left_out) = backtrail_consumer::plan::plan(&context);
    let draft = drafts.into_iter().find(|draft| draft.proposal.recipe == "deadline");
    let draft = draft.unwrap_or_else(|| panic!("{left_out:?}"));
    for (part, instead) in [
        ("bounded.Timeout = callDeadline", "bounded.Timeout = 100 * callDeadline"),
        ("return &bounded", "return client"),
        ("if !on || client", "if client"),
    ] {
        let mut worse = draft.clone();
        let code = worse.edits[0].content.as_mut().expect("code");
        let text = String::from_utf8(code.clone()).expect("text");
        assert!(text.contains(part), "{text}");
        *code = text.replace(part, instead).into_bytes();
        let outcome = bench.try_out(&context, worse);
        let refused = outcome.denials.iter().any(|why| why.starts_with("tests.passing_after"));
        assert!(refused, "{instead}: {:?}", outcome.denials);
    }
}

#[test]
fn a_service_of_go_without_flags_and_spans_is_left_alone_with_the_reason() {
    let history = notify();
    let files = history.path().join("01-first/files");
    let bare = PUSH.replace("\tspans.FromContext(ctx).SetAttribute(\"device\", device)\n", "");
    let bare = bare.replace("\t\"shop.example/notify/internal/spans\"\n", "");
    write(&files, &[("internal/push/push.go", &bare), ("flags.json", "{}\n")]);
    std::fs::remove_dir_all(files.join("internal/spans")).expect("removed");
    let (drafts, left_out) = Bench::new(history.path()).plan(&storm(), "");
    assert!(drafts.is_empty(), "{drafts:?}");
    let why = left_out.iter().find(|one| one.recipe == "backoff_jitter").map(|one| one.why.as_str());
    assert!(why.is_some_and(|why| why.ends_with("a client of feature flags, a way to the current span")), "{why:?}");
}

/// The same service on `OpenFeature` and `OpenTelemetry`, with the modules of the machine's cache.
fn with_modules() -> Option<tempfile::TempDir> {
    let dir = notify();
    let files = dir.path().join("01-first/files");
    let push = PUSH
        .replace("\t\"shop.example/notify/internal/flags\"\n\t\"shop.example/notify/internal/spans\"\n", "\t\"github.com/open-feature/go-sdk/openfeature\"\n\t\"go.opentelemetry.io/otel\"\n\t\"go.opentelemetry.io/otel/attribute\"\n\t\"go.opentelemetry.io/otel/trace\"\n")
        .replace("\t\"expvar\"\n", "")
        .replace("var failed = expvar.NewInt(\"push_failed\")", "var failed, _ = otel.Meter(\"notify\").Int64Counter(\"push.failed\")")
        .replace("failed.Add(1)", "failed.Add(ctx, 1)")
        .replace("\thttp  *http.Client\n\tflags *flags.Set\n", "\thttp  *http.Client\n\tflags *openfeature.Client\n")
        .replace("func New(base string, set *flags.Set) *Client {", "func New(base string) *Client {")
        .replace("flags: set}", "flags: openfeature.NewClient(\"notify\")}")
        .replace("if c.flags.Bool(\"silent\", false) {", "if on, _ := c.flags.BooleanValue(ctx, \"silent\", false, openfeature.EvaluationContext{}); on {")
        .replace("spans.FromContext(ctx).SetAttribute(\"device\", device)", "trace.SpanFromContext(ctx).SetAttributes(attribute.String(\"device\", device))");
    let test = TEST
        .replace("\n\t\"shop.example/notify/internal/flags\"\n", "")
        .replace("\tset, err := flags.Load(\"../../flags.json\")\n\tif err != nil {\n\t\tt.Fatal(err)\n\t}\n", "")
        .replace("New(gateway.URL, set)", "New(gateway.URL)");
    write(&files, &[("internal/push/push.go", &push), ("internal/push/push_test.go", &test)]);
    for folder in ["internal/flags", "internal/spans"] {
        std::fs::remove_dir_all(files.join(folder)).expect("removed");
    }
    let get = Command::new("go")
        .args([
            "get",
            "github.com/open-feature/go-sdk@v1.14.1",
            "go.opentelemetry.io/otel@v1.35.0",
            "go.opentelemetry.io/otel/trace@v1.35.0",
            "go.opentelemetry.io/otel/metric@v1.35.0",
        ])
        .current_dir(&files)
        .env("GOFLAGS", "-mod=mod")
        .env("GOTOOLCHAIN", "local")
        .output()
        .ok()?;
    if !get.status.success() {
        skip(&format!("the modules are not to be had: {}", String::from_utf8_lossy(&get.stderr).trim()));
        return None;
    }
    let tidy =
        Command::new("go").args(["mod", "tidy"]).current_dir(&files).env("GOTOOLCHAIN", "local").output().ok()?;
    assert!(tidy.status.success(), "{}", String::from_utf8_lossy(&tidy.stderr));
    Some(dir)
}

#[test]
fn a_service_on_openfeature_and_opentelemetry_gets_both() {
    if !go() {
        return skip("go is not installed");
    }
    let Some(history) = with_modules() else { return };
    let bench = Bench::new(history.path());
    let outcome = bench.run(&storm(), "", "backoff_jitter");
    assert!(outcome.denials.is_empty(), "{:#?}\n{}", outcome.denials, outcome.patch);
    assert!(outcome.patch.contains("+\t\tattribute.String(\"feature_flag.key\", backoffFlag),"), "{}", outcome.patch);
    let outcome = bench.run(&hang(), "", "deadline");
    assert!(outcome.denials.is_empty(), "{:#?}\n{}", outcome.denials, outcome.patch);
    assert!(outcome.patch.contains("BooleanValue(ctx, deadlineFlag, false, openfeature.EvaluationContext{})"));
}
