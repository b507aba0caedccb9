//! What is wrong with a set of policies, all of it.

use std::collections::BTreeSet;

use backtrail_pipeline::Finding;
use regex::bytes::Regex;

use super::config::{Config, Policy, PolicyType};
use super::re2;

/// Deeper nesting is a mistake.
const MAX_DEPTH: usize = 16;

pub(super) fn findings(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if config.policies.is_empty() {
        let hint = "add a policy, such as {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}";
        findings.push(Finding::new("policies", "no policy: every trace would be dropped", hint));
    }
    if config.decision_wait.is_some_and(|wait| wait.0.is_zero()) {
        let hint = "write how long spans of a trace may come one after the other, such as 10s";
        findings.push(Finding::new("decision_wait", "no span would wait for another", hint));
    }
    let mut names = BTreeSet::new();
    for (index, policy) in config.policies.iter().enumerate() {
        let path = format!("policies[{index}]");
        if policy.name.is_empty() {
            let hint = "the name stands as the reason on the traces that the policy keeps";
            findings.push(Finding::new(format!("{path}.name"), "the policy has no name", hint));
        } else if !names.insert(&policy.name) {
            let message = format!("there are two policies named '{}'", policy.name);
            findings.push(Finding::new(format!("{path}.name"), message, "give each policy a name of its own"));
        }
        policy_findings(policy, &path, 0, &mut findings);
    }
    findings
}

fn policy_findings(policy: &Policy, path: &str, depth: usize, findings: &mut Vec<Finding>) {
    let mut say = |field: &str, message: String, hint: &str| {
        findings.push(Finding::new(format!("{path}.{field}"), message, hint));
    };
    if depth > MAX_DEPTH {
        return say("type", format!("policies are nested more than {MAX_DEPTH} deep"), "flatten them");
    }
    match policy.kind {
        PolicyType::TraceState
        | PolicyType::RateLimiting
        | PolicyType::BytesLimiting
        | PolicyType::Composite
        | PolicyType::OttlCondition => {
            let name = serde_json::to_value(policy.kind).unwrap_or_default();
            let message = format!("policy type {name} is not supported yet");
            say("type", message, "remove the policy, or use string_attribute, probabilistic, and, not or drop");
        }
        PolicyType::Latency => {
            let latency = policy.latency.clone().unwrap_or_default();
            if latency.upper_threshold_ms != 0 && latency.upper_threshold_ms <= latency.threshold_ms {
                let message = "no trace is longer than threshold_ms and not longer than upper_threshold_ms".to_owned();
                say("latency.upper_threshold_ms", message, "make it larger than threshold_ms, or 0 for no limit");
            }
        }
        PolicyType::NumericAttribute => {
            let numeric = policy.numeric_attribute.clone().unwrap_or_default();
            need_key(&numeric.key, "numeric_attribute.key", &mut say);
            if numeric.min_value == 0 && numeric.max_value == 0 {
                let message = "min_value and max_value are both 0, and 0 means no limit".to_owned();
                say("numeric_attribute", message, "set one of them to something else than 0");
            }
        }
        PolicyType::StringAttribute => string_findings(policy, &mut say),
        PolicyType::BooleanAttribute => {
            let key = policy.boolean_attribute.as_ref().map_or("", |boolean| &boolean.key);
            need_key(key, "boolean_attribute.key", &mut say);
        }
        PolicyType::StatusCode => {
            let codes = policy.status_code.as_ref().map_or(&[][..], |status| &status.status_codes);
            if codes.is_empty() {
                say("status_code.status_codes", "no status is named".into(), "name some of OK, ERROR and UNSET");
            }
            for code in codes.iter().filter(|code| !matches!(code.as_str(), "OK" | "ERROR" | "UNSET")) {
                let message = format!("'{code}' is no status");
                say("status_code.status_codes", message, "the statuses are OK, ERROR and UNSET");
            }
        }
        PolicyType::And | PolicyType::Drop | PolicyType::Not => nested_findings(policy, path, depth, findings),
        PolicyType::AlwaysSample
        | PolicyType::Probabilistic
        | PolicyType::SpanCount
        | PolicyType::TraceFlags
        | PolicyType::Suspect => {}
    }
}

fn string_findings(policy: &Policy, say: &mut impl FnMut(&str, String, &str)) {
    let string = policy.string_attribute.clone().unwrap_or_default();
    need_key(&string.key, "string_attribute.key", say);
    if !string.enabled_regex_matching {
        return;
    }
    for (index, pattern) in string.values.iter().enumerate() {
        if let Err(error) = Regex::new(&re2::translated(pattern)) {
            let message = format!("'{pattern}' is no regular expression: {}", last_line(&error.to_string()));
            say(
                &format!("string_attribute.values[{index}]"),
                message,
                "look-around and back-references do not exist in RE2",
            );
        }
    }
}

fn nested_findings(policy: &Policy, path: &str, depth: usize, findings: &mut Vec<Finding>) {
    let (field, nested) = policy.nested();
    if nested.is_empty() {
        findings.push(Finding::new(format!("{path}.{field}"), "there is no sub-policy", "name at least one"));
    }
    for (index, sub) in nested.iter().enumerate() {
        let path = match policy.kind {
            PolicyType::Not => format!("{path}.{field}"),
            _ => format!("{path}.{field}[{index}]"),
        };
        if sub.kind == PolicyType::Drop {
            let hint = "a drop policy stands among the policies themselves";
            findings.push(Finding::new(format!("{path}.type"), "a drop policy cannot be part of another", hint));
        }
        policy_findings(sub, &path, depth + 1, findings);
    }
}

fn need_key(key: &str, field: &str, say: &mut impl FnMut(&str, String, &str)) {
    if key.is_empty() {
        say(field, "no attribute is named".into(), "name the attribute, such as http.request.method");
    }
}

fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or(text).trim_start_matches("error: ")
}
