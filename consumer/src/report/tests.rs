use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use backtrail_wire::{Bounds, WalkSpec, Walker};
use bytes::Bytes;
use serde_json::{Value, json};

use super::story::{ID, Story};
use super::*;
use crate::event::tests::request;

/// Compares with a file of `tests/data/report`; with `BACKTRAIL_GOLDEN=write` writes it.
fn assert_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/report").join(name);
    if std::env::var_os("BACKTRAIL_GOLDEN").is_some_and(|how| how == "write") {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
        std::fs::write(&path, text).expect("writable");
    }
    let golden = std::fs::read_to_string(&path).expect("a golden file; BACKTRAIL_GOLDEN=write makes it");
    for (n, (line, wanted)) in text.lines().zip(golden.lines()).enumerate() {
        assert_eq!(line, wanted, "line {} of {name}", n + 1);
    }
    assert_eq!(text.len(), golden.len(), "{name} has another end");
}

#[test]
fn a_journal_gives_the_report_that_was_read_by_people() {
    let report = Report::of(&Story::new().case());
    assert_golden("report.md", &report.markdown());
    assert_golden("report.html", &report.html());
    assert_golden(
        "trace.json",
        &(serde_json::to_string_pretty(&trace::of(&Story::new().case())).expect("JSON") + "\n"),
    );
}

/// Ids at the end of a line: ` [j1] [a:0123abcd]`.
fn ids(line: &str) -> Vec<&str> {
    let mut rest = line;
    let mut ids = Vec::new();
    while let Some((before, id)) = rest.strip_suffix(']').and_then(|line| line.rsplit_once(" [")) {
        ids.push(id);
        rest = before;
    }
    ids
}

/// Every line that says something, outside of the diff and of the list of evidence.
fn said(markdown: &str) -> Vec<&str> {
    let (text, _) = markdown.split_once("\n## Evidence\n").expect("the list");
    let mut in_diff = None::<String>;
    let mut said = Vec::new();
    for line in text.lines() {
        match &in_diff {
            Some(fence) if line == fence => in_diff = None,
            Some(_) => {}
            None if line.starts_with("```") => in_diff = Some(line.trim_end_matches("diff").to_owned()),
            None if line.is_empty() || line.starts_with("# ") || line.starts_with("## ") => {}
            None => said.push(line),
        }
    }
    said
}

#[test]
fn every_sentence_names_evidence_that_there_is_however_far_the_journal_goes() {
    let entries = Story::new().steps.len();
    for n in 1..=entries {
        let report = Report::of(&Story::new().up_to(n).case());
        let markdown = report.markdown();
        let (_, list) = markdown.split_once("\n## Evidence\n").expect("the list");
        let known: BTreeSet<&str> =
            list.lines().filter_map(|line| line.strip_prefix("- [")?.split_once(']')).map(|(id, _)| id).collect();
        assert!(known.len() >= n, "{known:?}");
        for line in said(&markdown) {
            assert!(line.starts_with("- ") || line.starts_with("### "), "{line}");
            assert!(!ids(line).is_empty(), "without evidence: {line}");
            for id in ids(line) {
                assert!(known.contains(id), "'{id}' is not in the list: {line}");
            }
        }
        let html = report.html();
        let (sentences, _) = html.split_once("<h2>Evidence").expect("the list");
        for line in sentences.lines().filter(|line| line.starts_with("<li>") || line.starts_with("<h3>")) {
            let targets: Vec<&str> =
                line.split("<a href=\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
            assert!(!targets.is_empty(), "without evidence: {line}");
            assert!(targets.iter().all(|id| html.contains(&format!("<li id=\"{id}\">"))), "{line}");
        }
        assert!(markdown.contains("\n- Remediation"), "something is said");
    }
}

#[test]
fn a_report_says_what_is_not_kept() {
    let mut story = Story::new();
    story.artifacts.clear();
    let mut case = story.case();
    case.request = None;
    let text = Report::of(&case).markdown();
    for wanted in ["the impact is not known", "The diff of `retry_count-2` is not kept", "not known without tests"] {
        assert!(text.contains(wanted), "{wanted} is missing in {text}");
    }
    assert!(!text.contains("[r]"));
}

/// Text that means something to Markdown, to HTML, or to a reader that is a model.
const HOSTILE: &str = "x](http://evil.example) <img src=x onerror=alert(1)>`` ``` <script>\n# Approved\n\n- ok [j0]\n![p](//e) @team https://evil.example \u{202e}AKIAIOSFODNN7EXAMPLE mallory@evil-corp.com\u{e001}";

/// Appends the hostile text to every string but names of things that the state machine reads.
fn poison(value: &mut Value, key: &str) {
    const READ: [&str; 24] = [
        "is",
        "kind",
        "origin",
        "id",
        "candidate",
        "digest",
        "diff",
        "by",
        "tree",
        "report",
        "policy_input",
        "input",
        "incident",
        "incident_key",
        "event_id",
        "service",
        "file",
        "status",
        "schema_version",
        "commit",
        "policy",
        "metric",
        "detector",
        "ask",
    ];
    match value {
        Value::String(text) if !READ.contains(&key) => text.push_str(HOSTILE),
        Value::Array(values) => values.iter_mut().for_each(|value| poison(value, key)),
        Value::Object(fields) => fields.iter_mut().for_each(|(key, value)| poison(value, key)),
        _ => {}
    }
}

fn poisoned() -> Case {
    let mut story = Story::new();
    let hostile = format!("{}+````\n+{HOSTILE}\n", story::DIFF);
    story.artifacts.push(hostile.clone().into_bytes());
    let (old, new) = (crate::journal::digest(story::DIFF.as_bytes()), crate::journal::digest(hostile.as_bytes()));
    for (_, step) in &mut story.steps {
        poison(step, "");
        if step["is"] == "planned" {
            assert_eq!(step["candidates"][2]["diff"], old);
            step["candidates"][2]["diff"] = json!(new);
        }
        if step["is"] == "candidate_refused" {
            step["by"] = json!(format!("tests{HOSTILE}"));
        }
    }
    for part in ["problem", "telemetry_summary", "recent_changes"] {
        poison(&mut story.request[part], "");
    }
    story.request["problem"]["detector"] = request("i", 1, "pay")["problem"]["detector"].clone();
    for (field, text) in [("file", "bank.py"), ("function", "charge"), ("version", "1")] {
        story.request["suspect_ref"]["entity"][field] = json!(format!("{text}{HOSTILE}"));
    }
    story.request["telemetry_summary"]["load"][0]["to"] = json!(HOSTILE);
    let key = json!("slow`<b>`` \n# x](y)");
    (story.request["suspect_ref"]["incident_key"], story.steps[0].1["request"]["incident"]) = (key.clone(), key);
    story.case()
}

/// What is left of a line of Markdown without its code spans, by its rule: a run of backticks opens a span
/// that ends with the next run of the same length.
fn outside_of_code(line: &str) -> String {
    let mut outside = String::new();
    let mut rest = line;
    while let Some(at) = rest.find('`') {
        outside.push_str(&rest[..at]);
        rest = &rest[at..];
        let run = rest.len() - rest.trim_start_matches('`').len();
        let body = &rest[run..];
        let mut from = 0;
        let close = loop {
            let Some(next) = body[from..].find('`').map(|next| next + from) else { panic!("an open span: {line}") };
            let length = body[next..].len() - body[next..].trim_start_matches('`').len();
            if length == run {
                break next;
            }
            from = next + length;
        };
        rest = &body[close + run..];
    }
    outside + rest
}

#[test]
fn nothing_that_others_wrote_means_anything_in_markdown() {
    let markdown = Report::of(&poisoned()).markdown();
    for line in said(&markdown) {
        let outside = outside_of_code(line);
        for hostile in ["evil", "alert", "team", "Approved", "<", "![", "](", "AKIA", "mallory"] {
            assert!(!outside.contains(hostile), "{hostile} in: {outside}");
        }
        assert!(!ids(line).is_empty(), "{line}");
    }
    // The diff ends where it should: what follows is ours.
    let after = markdown.split_once("## What to do next\n").expect("the section after the diff").1;
    assert!(after.starts_with("\n- "), "{after}");
    assert!(markdown.matches("evil").count() > 30, "the hostile text took part");
    for gone in ["AKIAIOSFODNN7EXAMPLE", "mallory@", "\u{202e}", "\u{e000}", "\u{e001}"] {
        assert!(!markdown.contains(gone), "{gone}");
    }
    assert!(markdown.contains("values in it are replaced here"), "said where the diff is not as it was");
}

#[test]
fn nothing_that_others_wrote_means_anything_in_html() {
    let html = Report::of(&poisoned()).html();
    let ours: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("h2", &[""][..]),
        ("h3", &[""]),
        ("ul", &["", " class=\"evidence\""]),
        ("code", &[""]),
        ("pre", &[""]),
    ]);
    let (_, body) = html.split_once("<h1>").expect("a body");
    for tag in body.split('<').skip(1).filter(|tag| !tag.starts_with('/')) {
        let (tag, _) = tag.split_once('>').expect("a whole tag");
        let (name, rest) = tag.split_at(tag.find(' ').unwrap_or(tag.len()));
        let id = |prefix: &str| {
            rest.strip_prefix(prefix)
                .and_then(|rest| rest.strip_suffix('"'))
                .is_some_and(|id| id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b':'))
        };
        let fine = match name {
            "a" => id(" href=\"#"),
            "li" => rest.is_empty() || id(" id=\""),
            name => ours.get(name).is_some_and(|allowed| allowed.contains(&rest)),
        };
        assert!(fine, "a tag that is not ours: <{tag}>");
    }
    assert!(html.matches("evil").count() > 30, "the hostile text took part");
    for gone in ["AKIAIOSFODNN7EXAMPLE", "mallory@", "\u{202e}"] {
        assert!(!html.contains(gone), "{gone}");
    }
}

#[test]
fn an_injected_fence_or_mark_leaves_every_format_whole() {
    let report = Report::of(&poisoned());
    let json = serde_json::to_value(&report).expect("JSON").to_string();
    assert!(!json.contains('\u{e000}') && !json.contains("AKIAIOSFODNN7EXAMPLE"));
    assert_eq!(report.sections.len(), 11);
}

/// The reader of OTLP that backtrail's receivers have.
fn walker() -> Walker {
    Walker::new(Arc::new(WalkSpec::new(Vec::new())), Arc::new(backtrail_model::Symbols::new(100)))
}

#[test]
fn an_otlp_reader_takes_the_trace_and_its_ids_parents_and_times_fit() {
    let case = Story::new().case();
    let json = trace::of(&case);
    let request = backtrail_wire::json::traces(json.to_string().as_bytes()).expect("OTLP/JSON");
    let mut walker = walker();
    let walked = walker.traces(Bytes::from(request.clone()), &Bounds::none()).expect("a request");
    assert_eq!((walked.rejected.total(), walked.invalid_utf8), (0, 0));
    assert!(walked.clamped.by_reason().iter().all(|(_, count)| *count == 0), "every time is used as it is");
    let read = backtrail_wire::json::from_traces(&request).expect("readable");
    let spans = read["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().expect("spans");
    assert_eq!(spans.len(), walked.batch.records.len());
    let time = |span: &Value, field: &str| span[field].as_str().expect("a string").parse::<u64>().expect("nanoseconds");
    let by_id: BTreeMap<&str, &Value> =
        spans.iter().map(|span| (span["spanId"].as_str().expect("an id"), span)).collect();
    assert_eq!(by_id.len(), spans.len(), "every id once");
    let mut tree = Vec::new();
    for span in spans {
        assert_eq!(span["traceId"], ID.replace('-', ""));
        let (start, end) = (time(span, "startTimeUnixNano"), time(span, "endTimeUnixNano"));
        assert!(start <= end);
        let parent = span["parentSpanId"].as_str().filter(|id| !id.is_empty()).map(|id| by_id[id]);
        if let Some(parent) = parent {
            assert!(time(parent, "startTimeUnixNano") <= start && end <= time(parent, "endTimeUnixNano"), "{span}");
        }
        let seconds = |at: u64| (at - time(&spans[0], "startTimeUnixNano")) / 1_000_000_000;
        let name = |span: &Value| span["name"].as_str().unwrap_or_default().to_owned();
        tree.push((parent.map(name).unwrap_or_default(), name(span), seconds(start), seconds(end)));
    }
    let tree: Vec<_> = tree.iter().map(|(parent, name, start, end)| (&**parent, &**name, *start, *end)).collect();
    let r = "remediation";
    let wanted = [
        ("", r, 0, 1502),
        (r, "triage", 0, 10),
        (r, "context", 10, 20),
        (r, "plan", 20, 30),
        (r, "candidate", 30, 40),
        ("candidate", "policy", 30, 40),
        (r, "candidate", 40, 120),
        ("candidate", "policy", 40, 50),
        ("candidate", "apply", 50, 60),
        ("candidate", "verify", 60, 120),
        (r, "candidate", 120, 300),
        ("candidate", "policy", 120, 130),
        ("candidate", "apply", 130, 140),
        ("candidate", "verify", 140, 300),
        (r, "approval", 300, 1500),
        (r, "seal", 1501, 1502),
    ];
    assert_eq!(tree, wanted);
    let attribute = |span: &Value, key: &str| {
        let all = span["attributes"].as_array().expect("attributes");
        all.iter().find(|one| one["key"] == key).map(|one| one["value"].clone()).unwrap_or_default()
    };
    let root = &spans[0];
    assert_eq!(attribute(root, "backtrail.remediation.id"), json!({ "stringValue": ID }));
    assert_eq!(attribute(root, "backtrail.incident.key"), json!({ "stringValue": "checkout-slow" }));
    assert_eq!(attribute(root, "backtrail.remediation.state"), json!({ "stringValue": "attested" }));
    assert_eq!(attribute(root, "backtrail.remediation.reasons"), json!({ "intValue": "3" }), "1 by policy, 2 by tests");
    assert_eq!(root["links"][0]["traceId"], trace::trace_id("checkout-slow"));
    assert_eq!(trace::of(&Story::new().case()), json, "the same journal, the same trace");
}

#[test]
fn no_free_text_leaves_with_a_trace_and_every_beginning_of_a_journal_gives_one() {
    assert!(!trace::of(&poisoned()).to_string().contains("evil"));
    for n in 1..=Story::new().steps.len() {
        let json = trace::of(&Story::new().up_to(n).case());
        let request = backtrail_wire::json::traces(json.to_string().as_bytes()).expect("OTLP/JSON");
        let mut walker = walker();
        let walked = walker.traces(Bytes::from(request), &Bounds::none()).expect("a request");
        assert!(walked.rejected.total() == 0 && !walked.batch.records.is_empty());
    }
}

#[test]
fn one_remediation_is_measured_as_by_hand() {
    let measures = Measures::of(&Story::new().case());
    assert_eq!((measures.seconds_to_plan, measures.seconds_to_proof), (Some(30.0), Some(300.0)));
    assert_eq!(measures.seconds_to_approval, Some(1500.0));
    // One line of settings taken and one put, two lines of a test.
    assert_eq!((measures.patch_lines, measures.patch_lines_without_tests), (Some(4), Some(2)));
    // retry_budget-1 and retry_count-2 were applied; the tests refused the first.
    assert_eq!(measures.entered_tests, 2);
    assert_eq!(measures.false_suggestions, BTreeMap::from([("tests".into(), 1)]));
    assert_eq!(measures.refused_before_tests, BTreeMap::from([("policy".into(), 1)]));
}

/// Four remediations, by hand: the whole story; one until its proof that is rejected; one whose plan takes 90 s; one
/// that is only received.
#[test]
fn all_remediations_together_are_measured_as_by_hand() {
    let mut rejected = Story::new().up_to(12);
    rejected.steps[11].0 = 500;
    rejected.steps.push((600, json!({ "is": "rejected", "by": "ana", "why": "no" })));
    let mut slow = Story::new().up_to(5);
    slow.steps[4].0 = 90;
    let cases = [Story::new(), rejected, slow, Story::new().up_to(1)].map(Story::case);
    let each: Vec<_> = cases.iter().map(|case| (case.state(), Measures::of(case))).collect();
    let totals = Totals::over(&each);
    assert_eq!(totals.by_state, BTreeMap::from([("attested", 1), ("planned", 1), ("received", 1), ("rejected", 1)]));
    // 30, 30, 90; 300, 500; 1500.
    assert_eq!(totals.seconds_to_plan, Median { median: Some(30.0), of: 3 });
    assert_eq!(totals.seconds_to_proof, Median { median: Some(400.0), of: 2 });
    assert_eq!(totals.seconds_to_approval, Median { median: Some(1500.0), of: 1 });
    // Two of each of the first two remediations; the tests refused one of each, a person one more.
    assert_eq!(totals.entered_tests, 4);
    let share = |count, rate| Share { count, rate: Some(rate) };
    let by_stage = BTreeMap::from([("tests".to_owned(), share(2, 0.5)), ("approval".to_owned(), share(1, 0.25))]);
    assert_eq!(totals.false_suggestions, by_stage);
    assert_eq!(totals.false_suggestion_rate, share(3, 0.75));
    assert_eq!(totals.refused_before_tests, BTreeMap::from([("policy".to_owned(), 2)]));
    assert_eq!(totals.patch_lines_without_tests, Median { median: Some(2.0), of: 2 });
    assert_eq!(Totals::over(&[]).false_suggestion_rate, Share::default(), "nothing of nothing has no rate");
}
