//! Each rule of the linter finds its defective example, and nothing in the mended one.

use backtrail_policy::lint::RULES;
use backtrail_policy::{Policy, lint, lint_files};

#[test]
fn every_rule_finds_its_defective_example_and_nothing_else_in_it() {
    for rule in RULES {
        let found = lint(rule.defective.0, rule.defective.1);
        assert!(!found.is_empty(), "{} finds nothing", rule.id);
        for finding in &found {
            assert_eq!(finding.rule, rule.id, "{finding:?}");
            let lines = rule.defective.1.lines().count();
            assert!((1..=lines).contains(&finding.line) && finding.column >= 1, "{finding:?}");
            assert_eq!((finding.why.as_str(), finding.mend.as_str()), (rule.why, rule.mend));
        }
    }
}

#[test]
fn every_mended_example_is_clean() {
    for rule in RULES {
        assert_eq!(lint(rule.mended.0, rule.mended.1), [], "{}", rule.id);
    }
}

#[test]
fn the_mended_policies_are_loaded_and_the_defective_ones_are_not() {
    for rule in RULES.iter().filter(|rule| rule.id.starts_with("rego-")) {
        for ((_, text), good) in [(rule.defective, false), (rule.mended, true)] {
            let dir = tempfile::tempdir().expect("a folder");
            std::fs::write(dir.path().join("mine.rego"), text).expect("a file");
            assert_eq!(Policy::load(dir.path()).is_ok(), good, "{}", rule.id);
        }
    }
}

#[test]
fn the_shipped_policy_is_clean() {
    for (name, text) in backtrail_policy::SHIPPED {
        assert_eq!(lint(name, text), [], "{name}");
    }
}

#[track_caller]
fn places(path: &str, text: &str) -> Vec<(&'static str, usize)> {
    lint(path, text).iter().map(|finding| (finding.rule, finding.line)).collect()
}

/// All mistakes of a whole example at once, each at its line.
#[test]
fn a_file_with_many_mistakes_gets_all_of_them_named() {
    let text = r#"apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata:
  name: errors
spec:
  metrics:
    - name: error-rate
      interval: 1m
      count: 3
      failureLimit: 1
      successCondition: result < 0.01
      provider:
        prometheus:
          query: sum(rate(requests{service="payments",code=~"5.."}[5m])) / sum(rate(requests{service="payments"}[5m]))
---
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata:
  name: payments
spec:
  strategy:
    canary:
      steps:
        - setWeight: 1
        - pause: {duration: 2m}
        - analysis:
            templates:
              - templateName: errors
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: payments
spec:
  http:
    - route:
        - destination: {host: payments, subset: canary}
"#;
    assert_eq!(
        places("all.yaml", text),
        [
            ("analysis-failure-limit", 10),
            ("analysis-vector", 11),
            ("analysis-missing-series", 14),
            ("analysis-mixed-versions", 14),
            ("analysis-window", 14),
            ("analysis-zero-division", 14),
            ("rollout-incomplete", 17),
            ("rollout-incomplete", 24),
            ("rollout-too-few-requests", 24),
            ("route-without-destination-rule", 37),
        ]
    );
}

/// A weight of 1 for 2 minutes, without the measurements that would make the step longer.
#[test]
fn stated_traffic_decides_whether_a_step_is_long_enough() {
    let rollout = |annotation: &str, pause: &str| {
        format!(
            "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata:\n  name: a\n  annotations:\n    {annotation}\nspec:\n  \
             selector: {{}}\n  strategy:\n    canary:\n      canaryService: c\n      stableService: s\n      steps:\n        \
             - setWeight: 1\n        - pause: {pause}\n"
        )
    };
    let few = [("rollout-too-few-requests", 14)];
    assert_eq!(places("a.yaml", &rollout("a: b", "{duration: 2m}")), few);
    assert_eq!(places("a.yaml", &rollout("backtrail.dev/requests-per-second: \"251\"", "{duration: 2m}")), []);
    assert_eq!(places("a.yaml", &rollout("backtrail.dev/requests-per-second: \"20\"", "{duration: 20m}")), few);
    assert_eq!(places("a.yaml", &rollout("a: b", "{}")), [], "a person decides how long it lasts");
}

#[test]
fn files_that_belong_together_are_seen_together() {
    let rule = RULES.iter().find(|rule| rule.id == "route-without-destination-rule").expect("a rule");
    let (service, destination) = rule.mended.1.split_once("---\n").expect("two documents");
    assert_eq!(lint_files(&[("route.yaml", service), ("rule.yaml", destination)]), []);
    let alone = lint_files(&[("other.yaml", "a: 1\n"), ("route.yaml", service)]);
    assert_eq!(alone.iter().map(|finding| finding.path.as_str()).collect::<Vec<_>>(), ["route.yaml", "route.yaml"]);
}

#[test]
fn conditions_that_handle_a_vector_are_left_alone() {
    let (name, text) = RULES.iter().find(|rule| rule.id == "analysis-vector").expect("a rule").mended;
    let with = |condition: &str| {
        let text = text.replace("len(result) > 0 && result[0] < 0.01", condition);
        assert!(text.contains(condition));
        places(name, &text)
    };
    assert_eq!(with("all(result, # < 0.01)"), []);
    assert_eq!(with("isNaN(result[0]) || result[0] < 0.01"), [], "vector(0) always answers");
    assert_eq!(with("result <= 0.01").len(), 1);
}

#[test]
fn other_yaml_is_not_looked_at() {
    assert_eq!(lint("a.yaml", "a: [1\nresult < 3"), []);
    assert_eq!(lint("a.bin", "\u{0}\u{1}"), []);
}

/// Work grows with a file, not with its square: this would take minutes otherwise.
#[test]
fn long_lines_and_queries_end_soon() {
    for (name, text) in [
        ("a.rego", "[ ".repeat(400_000)),
        ("a.diff", "'".repeat(900_000)),
        ("tests/test_a.py", format!("def test_delay():\n    assert {}\n", "<".repeat(900_000))),
        ("a.yaml", {
            let (name, text) = RULES.iter().find(|rule| rule.id == "analysis-vector").expect("a rule").mended;
            assert_eq!(lint(name, text), []);
            text.replace("or on()", &"/ {".repeat(200_000))
        }),
    ] {
        assert!(lint(name, &text).len() < 10, "{name}");
    }
}

proptest::proptest! {
    /// Whatever a file holds, the linter comes back, with places inside of it.
    #[test]
    fn any_text_is_survived(text in "(?s).{0,400}", extension in "(rego|yaml|diff|test_a.py|a.test.ts)") {
        for finding in lint(&format!("tests/x.{extension}"), &text) {
            proptest::prop_assert!(finding.line <= text.lines().count().max(1) + 1);
        }
    }

    /// Mutated examples: pieces of real files in another order.
    #[test]
    fn pieces_of_examples_are_survived(order in proptest::collection::vec((0..RULES.len(), 0usize..40), 1..30), extension in "(rego|yaml|diff|test.py)") {
        let mut text = String::from("apiVersion: argoproj.io/v1alpha1\n");
        for (rule, line) in order {
            text.push_str(RULES[rule].defective.1.lines().nth(line).unwrap_or_default());
            text.push('\n');
        }
        lint(&format!("tests/test_x.{extension}"), &text);
    }
}
