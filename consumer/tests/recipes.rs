//! Recipes that change code, on real repositories and with real tests: made, applied, judged, proved, judged again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use backtrail_consumer::candidate::{Candidate, Draft, LeftOut};
use backtrail_consumer::journal::digest;
use backtrail_consumer::triage::Mapping;
use backtrail_consumer::workshop::{SANDBOX, Workshop};
use backtrail_consumer::{history, plan};
use backtrail_model::patch_request::PatchRequest;
use backtrail_policy::Policy;
use backtrail_sandbox::{Init, Limits, Sandbox};
use serde_json::{Value, json};

/// A repository made of a history, and a workshop beside it.
struct Bench {
    dir: tempfile::TempDir,
    commit: String,
    workshop: Workshop,
}

/// What became of a candidate.
struct Outcome {
    draft: Draft,
    patch: String,
    denials: Vec<String>,
    added: Vec<String>,
}

impl Bench {
    fn new(history_of: &Path) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let commits = history::make(history_of, &dir.path().join("repository")).expect("a repository");
        let commit = commits.last().expect("one commit at least").1.clone();
        let init = Init::new(PathBuf::from(env!("CARGO_BIN_EXE_backtrail-consumer")), [SANDBOX]);
        let limits = Limits { wall: Duration::from_mins(5), cpu: Duration::from_mins(5), ..Limits::default() };
        let workshop =
            Workshop::open(&dir.path().join("data"), Sandbox::new(init), Policy::shipped(), limits).expect("opens");
        Self { dir, commit, workshop }
    }

    fn plan(&self, request: &PatchRequest, prefix: &str) -> (Vec<Draft>, Vec<LeftOut>) {
        plan::plan(&self.context(request, prefix))
    }

    fn context(&self, request: &PatchRequest, prefix: &str) -> backtrail_consumer::context::Context {
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

    fn run(&self, request: &PatchRequest, prefix: &str, recipe: &str) -> Outcome {
        let context = self.context(request, prefix);
        let (drafts, left_out) = plan::plan(&context);
        let draft = drafts.into_iter().find(|draft| draft.proposal.recipe == recipe);
        let draft = draft.unwrap_or_else(|| panic!("{left_out:?}"));
        let made = self.workshop.make(&context, &draft).expect("made");
        let candidate = Candidate {
            id: format!("{recipe}-0"),
            proposal: draft.proposal.clone(),
            files: made.files,
            lines: made.lines,
            diff: digest(&made.patch),
        };
        let applied = self.workshop.apply(&context, &made.patch).expect("works").expect("applies");
        let owners = ["@team".to_owned()];
        let mut denials = self.workshop.screen(&context, &candidate, &applied, &owners).denials();
        let patch = String::from_utf8(made.patch).expect("text");
        let mut added = Vec::new();
        if denials.is_empty() {
            let evidence = self.workshop.prove(&context, &applied).expect("runs");
            denials.extend(evidence.gaps());
            denials.extend(self.workshop.decide(&context, &candidate, &applied, &owners, &evidence).denials());
            added = evidence.added().to_vec();
        }
        Outcome { draft, patch, denials, added }
    }
}

fn request(service: &str, file: &str, function: &str, load: &[Value]) -> PatchRequest {
    let mut request: Value =
        serde_json::from_str(include_str!("../../exporters/tests/data/patch_request.json")).expect("a request");
    request["suspect_ref"]["entity"] =
        json!({ "kind": "function", "service": service, "name": function, "function": function, "file": file });
    request["code_context"]["functions"] = json!([function]);
    request["code_context"]["files"] =
        json!([{ "path": file, "snippet_start": 0, "snippet_end": 0, "content": "" }]);
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
