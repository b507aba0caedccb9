//! Checks the fixtures: whatever is taken out of the shipped rules, a fixture must notice.

use backtrail_policy::{Case, Policy, SHIPPED, test_dir};

use crate::fixture_dir;

/// Line ranges of the rules of a file: from a line that begins in the first column to a `}` there.
fn rules(text: &str) -> Vec<std::ops::Range<usize>> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    let mut i = 0;
    while i < lines.len() {
        let line = lines[i];
        let starts = line.starts_with(|c: char| c.is_alphabetic()) && !line.starts_with("package ");
        if !starts {
            i += 1;
            continue;
        }
        let mut end = i + 1;
        if line.ends_with(['{', '[', '(']) {
            while end < lines.len() && !lines[end].starts_with(['}', ']', ')']) {
                end += 1;
            }
            end += 1;
        }
        found.push(i..end);
        i = end;
    }
    found
}

fn without(text: &str, gone: &std::ops::Range<usize>) -> String {
    let kept = text.lines().enumerate().filter(|(i, _)| !gone.contains(i)).map(|(_, line)| line);
    kept.collect::<Vec<_>>().join("\n") + "\n"
}

/// Whether a fixture notices that one file reads otherwise. Those about the file are asked first.
fn noticed(cases: &[Case], file: &str, text: &str) -> bool {
    let files: Vec<(&str, &str)> =
        SHIPPED.iter().map(|(name, known)| if *name == file { (*name, text) } else { (*name, *known) }).collect();
    let Ok(policy) = Policy::of(&files) else { return true };
    let subject = file.trim_end_matches(".rego");
    let (near, far): (Vec<&Case>, Vec<&Case>) = cases.iter().partition(|case| case.rule.starts_with(subject));
    near.into_iter().chain(far).any(|case| {
        let decision = policy.decide(&case.input);
        !Case { decision, ..case.clone() }.passed()
    })
}

fn cases() -> Vec<Case> {
    test_dir(&Policy::shipped(), &fixture_dir()).expect("the fixtures are read").cases
}

#[test]
fn each_rule_that_is_taken_out_is_noticed() {
    let cases = cases();
    let mut tried = 0;
    let mut missed = Vec::new();
    for (file, text) in SHIPPED {
        for rule in rules(text) {
            tried += 1;
            if !noticed(&cases, file, &without(text, &rule)) {
                missed.push(format!("{file}:{}: {}", rule.start + 1, text.lines().nth(rule.start).unwrap_or_default()));
            }
        }
    }
    assert!(missed.is_empty(), "no fixture needs these rules:\n{}", missed.join("\n"));
    assert!(tried > 60, "{tried} rules were found");
}

#[test]
fn each_condition_of_a_denial_that_is_taken_out_is_noticed() {
    let cases = cases();
    let mut tried = 0;
    let mut missed = Vec::new();
    for (file, text) in SHIPPED {
        let lines: Vec<&str> = text.lines().collect();
        for rule in rules(text).into_iter().filter(|rule| lines[rule.start].starts_with("deny ")) {
            // Conditions of one line; without an assignment the rule would not be read.
            let one = |i: &usize| lines[*i].starts_with('\t') && !lines[*i].starts_with("\t\t");
            let condition = |i: &usize| !lines[*i].contains(":=") && !lines[*i].ends_with(['(', '{']);
            let declares = |i: &usize| lines[*i].trim().starts_with("some ") || lines[*i].trim() == ")";
            for i in rule.filter(one).filter(condition).filter(|i| !declares(i)) {
                tried += 1;
                if !noticed(&cases, file, &without(text, &(i..i + 1))) {
                    missed.push(format!("{file}:{}: {}", i + 1, lines[i]));
                }
            }
        }
    }
    assert!(missed.is_empty(), "no fixture needs these conditions:\n{}", missed.join("\n"));
    assert!(tried > 50, "{tried} conditions were found");
}
