//! No field can be left out: derived from the whole input, not from the list that the rules keep.

use backtrail_policy::Policy;
use serde_json::{Value, json};

use crate::base;

/// A base in which every list holds something, so that all members are seen.
fn full() -> Value {
    let mut input = base();
    let place = json!({"path": "services/payments/bank.py", "line": 7});
    let with = |key: &str| {
        let mut found = place.clone();
        found[key] = json!("x");
        json!([found])
    };
    input["code"]["undefined_names"] = with("name");
    input["code"]["syntax_errors"] = json!([place]);
    input["code"]["egress"] = with("what");
    input["code"]["secrets"] = with("kind");
    input["code"]["pii"] = with("kind");
    input
}

/// JSON pointers of all values, maps and lists included.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let members: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
        // An element of a list is no field: a list may be shorter.
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate().filter(|(_, item)| item.is_object()) {
                pointers(item, &format!("{at}/{i}"), found);
            }
            return;
        }
        _ => return,
    };
    for (key, member) in members {
        let at = format!("{at}/{key}");
        pointers(member, &at, found);
        found.push(at);
    }
}

fn complete(policy: &Policy, input: &Value) -> Vec<String> {
    let decision = policy.decide(input);
    assert!(!decision.allow);
    decision.denials.into_iter().filter(|denial| denial.rule == "complete").map(|denial| denial.path).collect()
}

fn dotted(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        if part.parse::<usize>().is_ok() {
            path.push_str(&format!("[{part}]"));
        } else {
            let dot = if path.is_empty() { "" } else { "." };
            path.push_str(&format!("{dot}{part}"));
        }
    }
    path
}

#[test]
fn each_field_that_is_left_out_is_a_denial_that_names_it() {
    let policy = Policy::shipped();
    let full = full();
    let mut all = Vec::new();
    pointers(&full, "", &mut all);
    assert!(all.len() > 100, "{}", all.len());
    for pointer in all {
        let mut input = full.clone();
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        input.pointer_mut(parent).and_then(Value::as_object_mut).expect("a map").remove(key);
        let path = dotted(&pointer);
        let named = complete(&policy, &input);
        assert!(named.iter().any(|name| *name == path || name.starts_with(&format!("{path}."))), "{path}: {named:?}");
    }
}

#[test]
fn each_field_of_another_form_is_a_denial_that_names_it() {
    let policy = Policy::shipped();
    let full = full();
    let mut all = Vec::new();
    pointers(&full, "", &mut all);
    for pointer in all {
        let old = full.pointer(&pointer).expect("there").clone();
        for wrong in [json!(null), json!(true), json!("x"), json!(-1), json!(1.5), json!([{}]), json!({}), json!([1])] {
            // Some fields may be null, and any text is a name.
            let nullable = ["old_path", "mode_before", "mode_after", "name"].iter().any(|key| pointer.ends_with(key));
            let same = std::mem::discriminant(&old) == std::mem::discriminant(&wrong);
            let text = wrong.is_string() && (old.is_string() || nullable);
            let fits = (same && !old.is_number() && !old.is_array() && !old.is_object()) || text;
            if fits || (wrong.is_null() && nullable && !pointer.contains("undefined_names")) {
                continue;
            }
            let mut input = full.clone();
            *input.pointer_mut(&pointer).expect("there") = wrong.clone();
            let path = dotted(&pointer);
            let named = complete(&policy, &input);
            let below = |name: &String| {
                *name == path || name.starts_with(&format!("{path}.")) || name.starts_with(&format!("{path}["))
            };
            assert!(named.iter().any(below), "{path} = {wrong}: {named:?}");
        }
    }
}

#[test]
fn an_input_of_nothing_is_denied_whatever_it_is() {
    let policy = Policy::shipped();
    for input in [json!(null), json!(true), json!("text"), json!([]), json!({}), json!(7)] {
        assert!(complete(&policy, &input).len() > 50, "{input}");
    }
}

#[test]
fn an_input_that_is_too_deep_or_too_large_is_denied_by_the_engine() {
    let mut deep = json!(1);
    for _ in 0..40 {
        deep = json!([deep]);
    }
    for extra in [deep, json!("x".repeat(5 << 20))] {
        let mut input = base();
        input["extra"] = extra;
        let decision = Policy::shipped().decide(&input);
        assert!(!decision.allow);
        assert_eq!(decision.denials.iter().map(|denial| denial.rule.as_str()).collect::<Vec<_>>(), ["engine"]);
    }
}
