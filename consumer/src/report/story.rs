//! A journal built by hand, with everything that a report can tell: a merged request, a candidate that the policy
//! refuses, one that fails its tests, one that is proved and approved. Times are round so that sums can be done by hand.

use std::collections::BTreeMap;

use backtrail_model::time::UnixNano;
use serde_json::{Value, json};

use super::Case;
use crate::approval::{Approval, Consent};
use crate::candidate::Candidate;
use crate::event::tests::{event, request};
use crate::evidence::Signer;
use crate::journal::{Chain, Entry, digest};
use crate::step::Step;

pub(super) const ID: &str = "4f9ac2d1-7b52-5b1e-9d3c-0a1b2c3d4e5f";
/// 2022-08-22T03:55:00Z, and the unit of the story's times.
const BEGIN: u64 = 1_661_140_500_000_000_000;
const SECOND: u64 = 1_000_000_000;
const COMMIT: &str = "8f3b1c0d9e2a47560718293a4b5c6d7e8f901234";

pub(super) const DIFF: &str = "diff --git a/payments/settings.yaml b/payments/settings.yaml\n\
    --- a/payments/settings.yaml\n+++ b/payments/settings.yaml\n@@ -1,3 +1,3 @@\n bank:\n-  retries: 3\n+  retries: 0\n   timeout: 2s\n\
    diff --git a/payments/tests/test_bank.py b/payments/tests/test_bank.py\n\
    --- a/payments/tests/test_bank.py\n+++ b/payments/tests/test_bank.py\n@@ -1,0 +2,2 @@\n+def test_no_retry():\n+    assert calls() == 1\n";

/// The parts of a case, to be changed by a test before they are put together.
pub(super) struct Story {
    pub(super) id: String,
    pub(super) request: Value,
    /// Seconds since the beginning, and what happened.
    pub(super) steps: Vec<(u64, Value)>,
    pub(super) artifacts: Vec<Vec<u8>>,
}

fn the_request(revision: u64) -> Value {
    let mut request = request("checkout-slow", revision, "payments");
    request["problem"]["slo"] = json!("99 % of checkouts succeed");
    request["suspect_ref"]["entity"] = json!({ "kind": "edge", "service": "payments", "name": "bank",
        "version": "1.4.2", "commit": "8f3b1c0", "file": "payments/bank.py", "line": 41, "function": "charge" });
    request["telemetry_summary"] = json!({
        "critical_path": [{ "service": "payments", "route": "POST /charge", "p95_ms": 2150.5, "error_rate": 0.42 }],
        "divergent_span": { "service": "payments", "operation": "POST bank/charge", "error": "deadline exceeded", "retries": 3.0 },
        "log_motifs": [{ "level": "ERROR", "message": "bank said <*>", "file": "payments/bank.py", "count": 812 }],
        "load": [{ "from": "payments", "to": "bank", "seconds": 60.0, "requests": 700, "calls": 2800, "errors": 1400,
            "served": 1000, "p95_ms": 2150.0, "served_p95_ms": 400.0, "quiet_p95_ms": 60.0 }] });
    request["recent_changes"] = json!([{ "file": "payments/bank.py", "lines": "38-47", "sha": "51f0a9e",
        "author": "Ana <ana@example.com>", "ts": "2022-08-21T16:02:00Z" }]);
    request
}

fn candidate(id: &str, tier: u8, kind: &str, title: &str, diff: &str) -> Value {
    json!({ "id": id, "files": ["payments/settings.yaml", "payments/tests/test_bank.py"], "lines": 4,
        "diff": digest(diff.as_bytes()),
        "proposal": { "recipe": id.trim_end_matches(|c: char| c.is_ascii_digit() || c == '-'), "tier": tier, "kind": kind,
            "origin": "recipe", "title": title, "why": ["each request becomes 4.00 calls to bank"],
            "computation": ["u = requests / served = 700 / 1000 = 0.70", "allowed retries = floor(1/u - 1) = 0"],
            "mechanism": { "metric": "attempts_per_request", "now": "4.00", "claim": "falls, from the first request on" },
            "risk": "a request that a repeat would have saved fails at once", "undo": "set it to 3 again",
            "authors": [], "flag": "", "tests": [] } })
}

impl Story {
    /// The whole of it: 15 entries in 25 minutes.
    pub(super) fn new() -> Self {
        let report =
            json!({ "suites": ["Pytest in 'payments'"], "flaky": [], "failing_still": ["test_old.py::test_leap"] });
        let artifacts = vec![
            DIFF.into(),
            b"a revert".to_vec(),
            b"another".to_vec(),
            b"policy input".to_vec(),
            b"policy input after the tests".to_vec(),
            report.to_string().into_bytes(),
        ];
        let of = |n: usize| digest(&artifacts[n]);
        let candidates = json!([
            candidate("revert-0", 0, "revert", "Take back 51f0a9e", "a revert"),
            candidate("retry_budget-1", 1, "config", "Set bank.retry_budget to 0.1", "another"),
            candidate("retry_count-2", 1, "config", "Set bank.retries to 0 for calls to bank", DIFF),
        ]);
        let passed = |id: &str| json!({ "is": "policy_passed", "candidate": id, "policy": "70f1", "input": of(3) });
        let applied = |id: &str| json!({ "is": "applied", "candidate": id, "tree": "9c1d" });
        let proof = json!({ "tree": "9c1d", "before": { "passed": 41, "failed": 1 }, "after": { "passed": 42, "failed": 1 },
            "added": ["tests/test_bank.py::test_no_retry"], "repeats": 5, "isolated": ["files", "memory"],
            "not_isolated": ["network: no user namespaces"], "report": of(5), "policy": "70f1", "policy_input": of(4) });
        let request = the_request(4);
        let old = json!({ "event_id": "checkout-slow-3", "digest": "0", "incident": "checkout-slow", "service": "payments", "revision": 3 });
        let mapping = json!({ "repository": "git@example.org:shop.git", "commit": "8f3b1c0", "team": "@shop/payments",
            "path_prefix": "payments", "default_branch": "main", "files": ["payments/bank.py"], "functions": ["charge"] });
        let context = json!({ "commit": COMMIT, "suspects": ["payments/bank.py:38-47 charge"], "callers": ["checkout"],
            "endpoints": ["POST /charge"], "tests": ["tests/test_bank.py::test_charge"], "files": 12,
            "skipped": ["payments/vendor.min.js: larger than 1 MiB"] });
        let left_out = json!([{ "recipe": "pool_size", "why": "telemetry shows no waiting for a pool" }]);
        let seal = json!({ "kind": "seal", "file": format!("{ID}.json"), "digest": digest(b"the bundle") });
        let failed = ["test_bank.py::test_charge: assert 1 == 3", "suite: 1 test fails that passed before"];
        let steps = vec![
            (0, json!({ "is": "received", "request": old })),
            (5, json!({ "is": "merged", "request": null })),
            (10, json!({ "is": "triaged", "mapping": mapping })),
            (20, json!({ "is": "context_ready", "context": context })),
            (30, json!({ "is": "planned", "candidates": candidates, "left_out": left_out })),
            (
                40,
                json!({ "is": "candidate_refused", "candidate": "revert-0", "by": "policy", "why": ["revert.scope: it touches a migration"] }),
            ),
            (50, passed("retry_budget-1")),
            (60, applied("retry_budget-1")),
            (120, json!({ "is": "candidate_refused", "candidate": "retry_budget-1", "by": "tests", "why": failed })),
            (130, passed("retry_count-2")),
            (140, applied("retry_count-2")),
            (300, json!({ "is": "verified", "candidate": "retry_count-2", "proof": proof })),
            (1500, json!({ "is": "approved", "approval": null })),
            (1501, json!({ "is": "intended", "effect": seal })),
            (1502, json!({ "is": "happened", "effect": seal, "observed": false })),
        ];
        Self { id: ID.into(), request, steps, artifacts }
    }

    /// Up to an entry.
    pub(super) fn up_to(mut self, entries: usize) -> Self {
        self.steps.truncate(entries);
        self
    }

    pub(super) fn case(self) -> Case {
        let body = event(&self.request);
        let artifacts: BTreeMap<String, Vec<u8>> =
            self.artifacts.into_iter().map(|artifact| (digest(&artifact), artifact)).collect();
        let in_force = json!({ "event_id": self.request["id"], "digest": digest(&body),
            "incident": self.request["suspect_ref"]["incident_key"], "service": "payments", "revision": 4 });
        let mut candidates: Vec<Candidate> = Vec::new();
        let mut bodies = Vec::new();
        for (seq, (seconds, mut step)) in self.steps.into_iter().enumerate() {
            if step["is"] == "merged" {
                step["request"] = in_force.clone();
            }
            if step["is"] == "approved" {
                let approval = approval(&self.id, &candidates[2], UnixNano(BEGIN + seconds * SECOND));
                step["approval"] = serde_json::to_value(approval).expect("serializes");
            }
            let step: Step = serde_json::from_value(step).expect("a step");
            if let Step::Planned { candidates: planned, .. } = &step {
                candidates.clone_from(planned);
            }
            let (remediation, at_unix_nano) = (self.id.clone(), UnixNano(BEGIN + seconds * SECOND));
            let entry = Entry { remediation, seq: seq as u64, at_unix_nano, step };
            bodies.push(serde_json::to_string(&entry).expect("serializes"));
        }
        let chain = Chain::read(&self.id, bodies, None).expect("a journal");
        Case::new(&self.id, chain, Some(&body), artifacts)
    }
}

fn approval(id: &str, candidate: &Candidate, at: UnixNano) -> Approval {
    let signer = Signer::from_seed([1; 32]);
    Approval {
        candidate: candidate.id.clone(),
        diff: candidate.diff.clone(),
        by: "ana@example.com".into(),
        signed: Consent::new(id, candidate, "ana@example.com", at).sign(&signer),
        key: signer.public().to_pem(),
    }
}
