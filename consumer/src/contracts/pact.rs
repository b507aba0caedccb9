//! Pact: what a consumer asks of a provider. Whose patch it is decides what hurts: a provider may not drop what is asked of
//! it, a consumer may not ask for more than the provider agreed to.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Findings;

pub(super) fn compare(before: &Value, after: &Value, service: &str, findings: &mut Findings) {
    for side in ["consumer", "provider"] {
        if before[side]["name"] != after[side]["name"] {
            findings.breaks(format!("its {side} is another"));
        }
    }
    let is = |side: &str| after[side]["name"].as_str().is_some_and(|name| name.eq_ignore_ascii_case(service));
    let (old, new) = (interactions(before), interactions(after));
    for (name, interaction) in &old {
        match new.get(name) {
            None if is("consumer") => findings.adds(format!("it asks no longer for {name}")),
            None => findings.breaks(format!("{name} is dropped, which {} asks for", who(before, "consumer"))),
            Some(other) if other != interaction => findings.breaks(format!("{name} is asked or answered otherwise")),
            Some(_) => {}
        }
    }
    for name in new.keys().filter(|name| !old.contains_key(*name)) {
        if is("provider") {
            findings.adds(format!("{name} is promised as well"));
        } else {
            findings.breaks(format!("it asks more of {}: {name}", who(after, "provider")));
        }
    }
}

fn who(document: &Value, side: &str) -> String {
    document[side]["name"].as_str().unwrap_or("somebody").to_owned()
}

/// Interactions, or messages, by what describes them. What is written twice counts once, as the last says.
fn interactions(document: &Value) -> BTreeMap<String, Value> {
    let lists = ["interactions", "messages"].into_iter().filter_map(|list| document[list].as_array());
    let mut found = BTreeMap::new();
    for interaction in lists.flatten() {
        let state = match (&interaction["providerState"], &interaction["providerStates"]) {
            (Value::String(state), _) => format!(" given {state}"),
            (_, Value::Array(states)) if !states.is_empty() => {
                let names: Vec<&str> = states.iter().filter_map(|state| state["name"].as_str()).collect();
                format!(" given {}", names.join(" and "))
            }
            _ => String::new(),
        };
        let described = interaction["description"].as_str().unwrap_or("an interaction without a description");
        found.insert(format!("'{described}'{state}"), interaction.clone());
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pact(interactions: &[(&str, u16)]) -> Value {
        let interactions: Vec<Value> = interactions
            .iter()
            .map(
                |(what, status)| json!({ "description": what, "providerState": "s", "response": { "status": status } }),
            )
            .collect();
        json!({ "consumer": { "name": "web" }, "provider": { "name": "pay" }, "interactions": interactions })
    }

    fn found(before: &[(&str, u16)], after: &[(&str, u16)], service: &str) -> Findings {
        let mut findings = Findings::default();
        compare(&pact(before), &pact(after), service, &mut findings);
        findings
    }

    #[test]
    fn a_provider_may_promise_more_and_drop_nothing() {
        let more = found(&[("a", 200)], &[("a", 200), ("b", 200)], "pay");
        assert_eq!((more.breaking.len(), more.additions.len()), (0, 1));
        let less = found(&[("a", 200)], &[], "pay");
        assert_eq!(less.breaking, ["'a' given s is dropped, which web asks for"]);
        assert!(found(&[("a", 200)], &[("a", 404)], "pay").breaking[0].contains("otherwise"));
    }

    #[test]
    fn a_consumer_may_ask_less_and_not_more_and_a_stranger_nothing() {
        assert!(found(&[("a", 200)], &[], "web").breaking.is_empty());
        assert!(found(&[], &[("a", 200)], "web").breaking[0].contains("asks more of pay"));
        assert_eq!(found(&[("a", 200)], &[("b", 200)], "mail").breaking.len(), 2);
    }
}
