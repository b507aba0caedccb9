//! Recipes that change code, on real repositories and with real tests: made, applied, judged, proved, judged again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use backtrail_consumer::candidate::{Candidate, Draft, LeftOut};
use backtrail_consumer::context::Context;
use backtrail_consumer::impact::Impact;
use backtrail_consumer::journal::digest;
use backtrail_consumer::triage::Mapping;
use backtrail_consumer::workshop::{Coverage, SANDBOX, Workshop};
use backtrail_consumer::{history, plan};
use backtrail_model::patch_request::PatchRequest;
use backtrail_policy::Policy;
use backtrail_sandbox::{Init, Limits, Sandbox};
use serde_json::{Value, json};

/// A repository made of a history, and a workshop beside it.
pub(crate) struct Bench {
    dir: tempfile::TempDir,
    commit: String,
    workshop: Workshop,
}

/// What became of a candidate.
pub(crate) struct Outcome {
    pub(crate) draft: Draft,
    pub(crate) patch: String,
    pub(crate) denials: Vec<String>,
    pub(crate) added: Vec<String>,
    pub(crate) coverage: Option<Coverage>,
}

impl Bench {
    pub(crate) fn new(history_of: &Path) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let commits = history::make(history_of, &dir.path().join("repository")).expect("a repository");
        let commit = commits.last().expect("one commit at least").1.clone();
        let init = Init::new(PathBuf::from(env!("CARGO_BIN_EXE_backtrail-consumer")), [SANDBOX]);
        let limits = Limits { wall: Duration::from_mins(5), cpu: Duration::from_mins(5), ..Limits::default() };
        let workshop =
            Workshop::open(&dir.path().join("data"), Sandbox::new(init), Policy::shipped(), limits).expect("opens");
        Self { dir, commit, workshop }
    }

    pub(crate) fn plan(&self, request: &PatchRequest, prefix: &str) -> (Vec<Draft>, Vec<LeftOut>) {
        plan::plan(&self.context(request, prefix))
    }

    pub(crate) fn context(&self, request: &PatchRequest, prefix: &str) -> std::rc::Rc<Context> {
        let mapping = self.mapping(request, prefix);
        self.workshop.context(request, &mapping).expect("readable").expect("nothing is missing")
    }

    fn mapping(&self, request: &PatchRequest, prefix: &str) -> Mapping {
        Mapping {
            repository: self.dir.path().join("repository").display().to_string(),
            commit: self.commit.clone(),
            team: "@team".into(),
            path_prefix: prefix.into(),
            default_branch: String::new(),
            files: request.code_context.files.iter().map(|file| file.path.clone()).collect(),
            functions: request.code_context.functions.clone(),
        }
    }

    pub(crate) fn run(&self, request: &PatchRequest, prefix: &str, recipe: &str) -> Outcome {
        let context = self.context(request, prefix);
        let (drafts, left_out) = plan::plan(&context);
        let draft = drafts.into_iter().find(|draft| draft.proposal.recipe == recipe);
        let draft = draft.unwrap_or_else(|| panic!("{left_out:?}"));
        self.try_out(&context, draft)
    }

    pub(crate) fn try_out(&self, context: &Context, draft: Draft) -> Outcome {
        let made = self.workshop.make(context, &draft).expect("made");
        let candidate = Candidate {
            id: format!("{}-0", draft.proposal.recipe),
            proposal: draft.proposal.clone(),
            files: made.files,
            lines: made.lines,
            diff: digest(&made.patch),
            impact: Impact::default(),
        };
        let applied = self.workshop.apply(context, &made.patch).expect("works").expect("applies");
        let owners = ["@team".to_owned()];
        let mut denials = self.workshop.screen(context, &candidate, &applied, &owners).denials();
        let patch = String::from_utf8(made.patch).expect("text");
        let (mut added, mut coverage) = (Vec::new(), None);
        if denials.is_empty() {
            let evidence = self.workshop.prove(context, &applied).expect("runs");
            denials.extend(evidence.gaps());
            denials.extend(self.workshop.decide(context, &candidate, &applied, &owners, &evidence).denials());
            added = evidence.added().to_vec();
            coverage = Some(evidence.coverage().clone());
        }
        Outcome { draft, patch, denials, added, coverage }
    }
}

pub(crate) fn request(service: &str, file: &str, function: &str, load: &[Value]) -> PatchRequest {
    let mut request: Value =
        serde_json::from_str(include_str!("../../exporters/tests/data/patch_request.json")).expect("a request");
    request["suspect_ref"]["entity"] =
        json!({ "kind": "function", "service": service, "name": function, "function": function, "file": file });
    request["code_context"]["functions"] = json!([function]);
    request["code_context"]["files"] = json!([{ "path": file, "snippet_start": 0, "snippet_end": 0, "content": "" }]);
    request["telemetry_summary"]["load"] = json!(load);
    request["constraints"]["patch_must_be_guarded_by_flag"] = json!(format!("backtrail_fix_{service}"));
    request["budget"] = json!({ "max_lines": 200, "max_files": 5, "max_seconds": 1800 });
    serde_json::from_value(request).expect("a request")
}

fn shop() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo/shop/history")
}

/// The storm: what the shop's bank serves at its limit, with 898 charges sent up to four times.
fn storm() -> Value {
    json!({ "from": "payments", "to": "bank", "seconds": 75.0, "requests": 898, "calls": 3592, "errors": 3592,
        "served": 1247, "p95_ms": 400.0, "served_p95_ms": 130.0, "quiet_p95_ms": 130.0 })
}

#[test]
fn the_shops_storm_gets_a_backoff_with_jitter_that_is_verified() {
    let Some(()) = backtrail_testkit::python::pytest().or_skip() else { return };
    let bench = Bench::new(&shop());
    let request = request("payments", "services/payments/bank_adapter.py", "BankAdapter.charge", &[storm()]);
    let outcome = bench.run(&request, "services/payments", "backoff_jitter");
    assert!(outcome.denials.is_empty(), "{:#?}\n{}", outcome.denials, outcome.patch);
    assert_eq!(outcome.added.len(), 2, "{:?}", outcome.added);
    let proposal = &outcome.draft.proposal;
    assert!(proposal.tests.iter().all(|test| test.starts_with("services/payments/tests/")), "{:?}", proposal.tests);
    assert!(proposal.computation.iter().any(|step| step.contains("floor(1/0.72 - 1) = 0")), "{proposal:#?}");
    let off = "time.sleep(_backoff.pause_s(attempt) if spread_out else self.delay_s)";
    assert!(outcome.patch.contains(off), "{}", outcome.patch);
}

const FLAGS: &str = "\
import json
import pathlib


class Client:
    def get_boolean_value(self, key, default):
        path = pathlib.Path(__file__).parent.parent / 'flags.json'
        flag = json.loads(path.read_text())['flags'].get(key)
        return flag['variants'][flag['defaultVariant']] if flag else default


client = Client()
";
const WATCH: &str = "\
class Nothing:
    def set_attribute(self, key, value):
        pass

    def add(self, count, attributes=None):
        pass


def current_span():
    return Nothing()


def counter(name):
    return Nothing()
";
const RATES: &str = "\
import time
import urllib.request

from fx import flags, watch


class Rates:
  def __init__(self, url):
    self.url = url

  def rate(self, pair):
    if flags.client.get_boolean_value('fx_fixed', False):
      return 1.0
    while True:
      try:
        return self.ask(pair)
      except OSError:
        watch.counter('fx.again').add(1)
        time.sleep(0.05)

  def ask(self, pair):
    request = urllib.request.Request(self.url + '/' + pair)
    with urllib.request.urlopen(request) as answer:
      return float(answer.read())
";
const TEST: &str = "\
import io

import fx.rates
from fx.rates import Rates


def test_a_rate_is_asked_again(monkeypatch):
    answers = [OSError('no'), 2.0]

    def ask(pair):
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    rates = Rates('http://localhost:9')
    monkeypatch.setattr(rates, 'ask', ask)
    assert rates.rate('eur') == 2.0


def test_a_rate_is_a_number(monkeypatch):
    monkeypatch.setattr(fx.rates.urllib.request, 'urlopen', lambda request, **_: io.BytesIO(b'2.5'))
    rates = Rates('http://localhost:9')
    assert rates.ask('eur') == 2.5
";
const FLAGS_FILE: &str = r#"{
  "flags": {
    "fx_fixed": {
      "state": "ENABLED",
      "variants": { "on": true, "off": false },
      "defaultVariant": "off"
    }
  }
}
"#;

/// A service of two spaces and single quotes that asks for ever, in both senses.
fn rates() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let first = dir.path().join("01-first");
    for (path, text) in [
        ("fx/__init__.py", ""),
        ("fx/flags.py", FLAGS),
        ("fx/watch.py", WATCH),
        ("fx/rates.py", RATES),
        ("tests/test_rates.py", TEST),
        ("flags.json", FLAGS_FILE),
        ("pyproject.toml", "[tool.pytest.ini_options]\npythonpath = [\".\"]\n"),
    ] {
        let path = first.join("files").join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
    }
    let commit = "Author: Ana <ana@example.org>\nDate: 2026-05-04T10:00:00+00:00\n\nFirst version\n";
    std::fs::write(first.join("COMMIT"), commit).expect("written");
    dir
}

#[test]
fn an_endless_retry_gets_an_end_and_its_flag_a_place_in_the_flags_file() {
    let Some(()) = backtrail_testkit::python::pytest().or_skip() else { return };
    let history = rates();
    let bench = Bench::new(history.path());
    let load = json!({ "from": "fx", "to": "provider", "seconds": 60.0, "requests": 300, "calls": 2400, "errors": 2300,
        "served": 900, "p95_ms": 400.0, "served_p95_ms": 380.0, "quiet_p95_ms": 40.0 });
    let request = request("fx", "fx/rates.py", "Rates.rate", &[load]);
    let outcome = bench.run(&request, "", "backoff_jitter");
    assert!(outcome.denials.is_empty(), "{:#?}\n{}", outcome.denials, outcome.patch);
    assert_eq!(outcome.added.len(), 2, "{:?}", outcome.added);
    for line in ["+    \"backtrail_fix_fx\": {", "+      \"defaultVariant\": \"off\"", "+    sent_again = 0"] {
        assert!(outcome.patch.lines().any(|one| one == line), "{line}\n{}", outcome.patch);
    }
    let removed: Vec<&str> =
        outcome.patch.lines().filter(|line| line.starts_with('-') && !line.starts_with("---")).collect();
    assert_eq!(removed, ["-        time.sleep(0.05)"]);
}

#[test]
fn what_only_looks_like_a_backoff_fails_the_generated_test() {
    let Some(()) = backtrail_testkit::python::pytest().or_skip() else { return };
    let history = rates();
    let bench = Bench::new(history.path());
    let load = json!({ "from": "fx", "to": "provider", "seconds": 60.0, "requests": 300, "calls": 2400, "errors": 2300,
        "served": 900, "p95_ms": 400.0, "served_p95_ms": 380.0, "quiet_p95_ms": 40.0 });
    let context = bench.context(&request("fx", "fx/rates.py", "Rates.rate", &[load]), "");
    let (drafts, _) = plan::plan(&context);
    let draft = drafts.into_iter().find(|draft| draft.proposal.recipe == "backoff_jitter").expect("planned");
    let chance = "random.uniform(0, min(_BACKOFF_CAP_S, _BACKOFF_BASE_S * 2**attempt))";
    for (part, instead) in [
        (chance, "0"),
        (chance, "min(_BACKOFF_CAP_S, _BACKOFF_BASE_S * 2**attempt)"),
        (chance, "random.uniform(0, _BACKOFF_BASE_S)"),
        (" and self.left >= 1", ""),
    ] {
        let mut worse = draft.clone();
        let code = worse.edits[0].content.as_mut().expect("code");
        let text = String::from_utf8(code.clone()).expect("text");
        assert!(text.contains(part), "{text}");
        *code = text.replace(part, instead).into_bytes();
        let outcome = bench.try_out(&context, worse);
        assert!(
            outcome.denials.iter().any(|why| why.starts_with("tests.passing_after")),
            "{instead}: {:?}",
            outcome.denials
        );
    }
}

#[test]
fn a_call_that_waits_for_ever_gets_a_deadline_that_is_verified() {
    let Some(()) = backtrail_testkit::python::pytest().or_skip() else { return };
    let history = rates();
    let bench = Bench::new(history.path());
    let load = [
        json!({ "from": "shop", "to": "fx", "seconds": 60.0, "requests": 300, "calls": 300, "errors": 200, "served": 90,
            "p95_ms": 1000.0, "served_p95_ms": 60000.0, "quiet_p95_ms": 60.0 }),
        json!({ "from": "fx", "to": "provider", "seconds": 60.0, "requests": 300, "calls": 300, "errors": 0,
            "served": 90, "p95_ms": 60000.0, "served_p95_ms": 59000.0, "quiet_p95_ms": 40.0 }),
    ];
    let request = request("fx", "fx/rates.py", "Rates.ask", &load);
    let outcome = bench.run(&request, "", "deadline");
    assert!(outcome.denials.is_empty(), "{:#?}\n{}", outcome.denials, outcome.patch);
    assert_eq!(outcome.added.len(), 1, "{:?}", outcome.added);
    assert!(outcome.patch.contains("+_DEADLINE_S = 0.06\n"), "{}", outcome.patch);
    assert!(outcome.patch.contains("urlopen(request, **_deadline())"), "{}", outcome.patch);
}

#[test]
fn a_service_without_flags_and_telemetry_is_left_alone_with_the_reason() {
    let Some(()) = backtrail_testkit::python::pytest().or_skip() else { return };
    let history = rates();
    let code = history.path().join("01-first/files");
    let bare = RATES.replace("    if flags.client.get_boolean_value('fx_fixed', False):\n      return 1.0\n", "");
    let bare =
        bare.replace("from fx import flags, watch\n", "").replace("        watch.counter('fx.again').add(1)\n", "");
    std::fs::write(code.join("fx/rates.py"), bare).expect("written");
    let bench = Bench::new(history.path());
    let load = json!({ "from": "fx", "to": "provider", "seconds": 60.0, "requests": 300, "calls": 2400, "errors": 2300,
        "served": 900, "p95_ms": 400.0, "served_p95_ms": 380.0, "quiet_p95_ms": 40.0 });
    let (drafts, left_out) = bench.plan(&request("fx", "fx/rates.py", "Rates.rate", &[load]), "");
    assert!(drafts.is_empty(), "{drafts:?}");
    let why = left_out.iter().find(|one| one.recipe == "backoff_jitter").map(|one| one.why.as_str());
    let lacks = "a client of feature flags (get_boolean_value), a way to the current span, a counter";
    assert!(why.is_some_and(|why| why.ends_with(lacks)), "{why:?}");
}
