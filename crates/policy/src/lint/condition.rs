//! Conditions of Argo analyses, as far as the linter needs them: how `result` is used.

/// Characters of a condition that are looked at.
const MAX_CONDITION: usize = 2_000;

/// How a condition uses the result of a measurement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Use {
    /// `result` alone, as in `result < 0.01`.
    Bare,
    /// An element, as in `result[0] < 0.01`.
    Indexed,
    /// Inside of a function, as in `len(result)`.
    Passed,
}

/// Every use of `result`, in order.
pub(super) fn uses(condition: &str) -> Vec<Use> {
    let mut found = Vec::new();
    // The function before each open parenthesis; empty for mere grouping.
    let mut calls: Vec<&str> = Vec::new();
    let mut word = None;
    let mut quote = None;
    let text: String = condition.chars().take(MAX_CONDITION).chain([' ']).collect();
    for (i, c) in text.char_indices() {
        if let Some(end) = quote {
            if c == end {
                quote = None;
            }
            continue;
        }
        if c.is_alphanumeric() || c == '_' || c == '.' {
            word.get_or_insert(i);
            continue;
        }
        let name = word.take().map_or("", |start| &text[start..i]);
        if name == "result" {
            let inside = calls.iter().any(|call| !call.is_empty());
            found.push(match text[i..].trim_start().starts_with('[') {
                true => Use::Indexed,
                false if inside => Use::Passed,
                false => Use::Bare,
            });
        }
        match c {
            '"' | '\'' | '`' => quote = Some(c),
            '(' | '{' => calls.push(name),
            ')' | '}' => drop(calls.pop()),
            _ => {}
        }
    }
    found
}

/// The smallest number in a condition that an error rate is compared with: between 0 and 1, neither included.
pub(super) fn threshold(condition: &str) -> Option<f64> {
    condition
        .split(|c: char| !c.is_ascii_digit() && c != '.')
        .filter_map(|text| text.parse::<f64>().ok())
        .filter(|number| *number > 0.0 && *number < 1.0)
        // A success rate of 0.99 leaves room for the same number of errors as an error rate of 0.01.
        .map(|number| number.min(1.0 - number))
        .min_by(f64::total_cmp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_of_the_result_are_told_apart() {
        assert_eq!(uses("result < 0.01"), [Use::Bare]);
        assert_eq!(uses("(result < 0.01)"), [Use::Bare]);
        assert_eq!(uses("len(result) > 0 && result[0] < 0.01"), [Use::Passed, Use::Indexed]);
        assert_eq!(uses("all(result, {# < 0.01})"), [Use::Passed]);
        assert_eq!(uses("isNaN(result[0])"), [Use::Indexed]);
        assert_eq!(uses("results == 'result'"), []);
    }

    #[test]
    fn a_threshold_is_the_room_for_errors() {
        assert_eq!(threshold("result[0] < 0.01"), Some(0.01));
        assert_eq!(threshold("len(result) > 0"), None);
        assert!(threshold("result[0] >= 0.95").is_some_and(|room| (room - 0.05).abs() < 1e-9));
    }
}
