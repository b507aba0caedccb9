use backtrail_model::change::read;

use super::*;
use crate::symptoms::Source;

const MINUTE: u64 = 60_000_000_000;

fn symptom(service: &str, text: &str, minute: u64) -> Symptom {
    let since = UnixNano(minute * MINUTE);
    Symptom {
        source: Source::Log,
        service: service.into(),
        text: text.into(),
        since,
        weight: 5.0,
        examples: Vec::new(),
    }
}

fn changes(list: &[serde_json::Value]) -> Vec<Change> {
    let taken = read(&serde_json::Value::from(list.to_vec()).to_string()).expect("changes");
    assert_eq!(taken.rejected, []);
    taken.changes
}

fn commit(sha: &str, minute: u64, subject: &str, path: &str, diff: &str) -> serde_json::Value {
    let files = [serde_json::json!({ "path": path })];
    serde_json::json!({ "time": minute * MINUTE, "commit": sha, "subject": subject, "files": files, "diff": diff })
}

fn deploy(sha: &str, minute: u64, service: &str) -> serde_json::Value {
    serde_json::json!({ "time": minute * MINUTE, "kind": "deploy", "commit": sha, "service": service, "version": "v1" })
}

/// Ranks for the service `cart`, which is sick from minute 60 on.
fn ranked(list: &[serde_json::Value], text: &str, external: Vec<External>) -> Ranking {
    let symptoms = Symptoms { list: vec![symptom("cart", text, 60)], ..Symptoms::default() };
    rank(&changes(list), &symptoms, external, "cart", UnixNano(60 * MINUTE))
}

fn order(ranking: &Ranking) -> Vec<&str> {
    ranking.candidates.iter().map(|candidate| candidate.change.commit.as_str()).collect()
}

fn background() -> Vec<serde_json::Value> {
    (0..8)
        .map(|n| commit(&format!("b{n}"), 5 * n + 1, "tidy imports", &format!("pkg/p{n}.go"), "-\ta()\n+\tb()"))
        .collect()
}

#[test]
fn an_older_change_that_the_evidence_names_comes_before_a_newer_one_that_it_does_not() {
    let mut list = background();
    list.push(commit("guilty", 40, "order by score", "cart/query.go", "-\tLIMIT 50\n+\tpartition_rank()"));
    list.push(commit("newer", 55, "shorter labels", "cart/label.go", "-\tlong()\n+\tbrief()"));
    list.extend([deploy("guilty", 41, "cart"), deploy("newer", 56, "cart")]);
    let ranking = ranked(&list, "slow partition_rank without LIMIT", Vec::new());
    assert_eq!(order(&ranking)[..2], ["guilty", "newer"]);
    assert!(ranking.candidates[0].score > 0.5 && ranking.none < 0.1, "{ranking:?}");
}

#[test]
fn of_two_alike_changes_the_one_shortly_before_the_onset_comes_first_and_one_after_it_never() {
    let diff = "-\told_way()\n+\tnew_way()";
    let list = [
        commit("early", 10, "x", "cart/a.go", diff),
        commit("late", 55, "x", "cart/a.go", diff),
        commit("after", 61, "x", "cart/a.go", diff),
    ];
    assert_eq!(order(&ranked(&list, "boom", Vec::new())), ["late", "early"]);
}

#[test]
fn a_symptom_that_began_before_a_change_is_no_evidence_for_it() {
    let list = [commit("later", 50, "x", "cart/ledger.go", "+\tledger()")];
    let early = Symptoms {
        list: vec![symptom("cart", "ledger broken", 40), symptom("cart", "other", 60)],
        ..Symptoms::default()
    };
    let ranking = rank(&changes(&list), &early, Vec::new(), "cart", UnixNano(40 * MINUTE));
    assert_eq!(ranking.candidates[0].words, BTreeMap::new());
}

#[test]
fn documents_tests_and_other_services_deploys_are_hardly_causes() {
    let mut list = background();
    let diff = "+\tledger()";
    list.extend([
        commit("code", 50, "ledger", "cart/ledger.go", diff),
        commit("docs", 50, "ledger", "docs/ledger.md", diff),
        commit("elsewhere", 50, "ledger", "cart/ledger.go", diff),
        deploy("code", 51, "cart"),
        deploy("docs", 51, "cart"),
        deploy("elsewhere", 51, "pay"),
    ]);
    let ranking = ranked(&list, "ledger broken", Vec::new());
    assert_eq!(order(&ranking)[0], "code");
    assert!(ranking.candidates[0].score > 0.7, "{:?}", ranking.candidates[0]);
}

#[test]
fn without_agreement_or_with_an_external_cause_no_commit_is_first() {
    let mut list = background();
    let unrelated = ranked(&list, "boom", Vec::new());
    assert!(unrelated.candidates.iter().all(|candidate| candidate.score < unrelated.none));
    list.extend([commit("code", 30, "ledger", "cart/ledger.go", "+\tledger()"), deploy("code", 31, "cart")]);
    let since = UnixNano(59 * MINUTE);
    let surge = External { kind: "surge", since, tolerance: 0.0, says: "demand rose".into() };
    let explained = ranked(&list, "ledger broken", vec![surge]);
    assert!(explained.candidates.iter().all(|candidate| candidate.score < explained.none), "{explained:?}");
    let (suspects, evidence) = suspects(&explained, 3, |_| "high", 7);
    assert_eq!((&*suspects[0].entity.name, suspects[0].rank, &*suspects[0].entity.commit), (NO_COMMIT, 1, ""));
    assert_eq!((&*evidence[0].id, &*evidence[0].says), ("e8", "demand rose"));
}

#[test]
fn no_changes_are_no_commit() {
    let ranking = ranked(&[], "boom", Vec::new());
    assert_eq!((ranking.none, ranking.candidates.len()), (1.0, 0));
}

#[test]
fn the_order_of_changes_changes_nothing() {
    let mut list = background();
    list.extend([commit("code", 30, "ledger", "cart/ledger.go", "+\tledger()"), deploy("code", 31, "cart")]);
    let straight = ranked(&list, "ledger broken", Vec::new());
    list.reverse();
    assert_eq!(ranked(&list, "ledger broken", Vec::new()), straight);
}

#[test]
fn renaming_a_service_changes_only_its_name() {
    let list = [commit("code", 30, "ledger", "a/ledger.go", "+\tledger()"), deploy("code", 31, "cart")];
    let renamed: Vec<serde_json::Value> =
        serde_json::from_str(&serde_json::Value::from(list.to_vec()).to_string().replace("cart", "zebra"))
            .expect("json");
    let scores = |list: &[serde_json::Value], service: &str| {
        let symptoms = Symptoms { list: vec![symptom(service, "ledger broken", 60)], ..Symptoms::default() };
        let ranking = rank(&changes(list), &symptoms, Vec::new(), service, UnixNano(60 * MINUTE));
        ranking.candidates.iter().map(|candidate| candidate.score).collect::<Vec<_>>()
    };
    assert_eq!(scores(&list, "cart"), scores(&renamed, "zebra"));
}
