//! Words of texts and of code: what two of them have in common.
//!
//! `dashboard_favorites`, `listFavorites` and `favorites` share a word: identifiers are split at `_` and at capitals, an
//! identifier of several words is a word of its own too, endings of number and tense are cut off, and what every text or
//! program has (articles, keywords, `request`) is none.

use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Fewer letters are no word.
const LEAST: usize = 3;
/// Fewer letters are not looked for inside other words.
const LEAST_INNER: usize = 5;

/// Function words of English, keywords of languages, and words that every service says.
const STOP: &str = "the and for from with not this that are was were has have had will can its into onto out over under \
    than then when while also but all any per via use used using new old return returns func function def class import \
    export const let var elif else switch case nil null none true false err error errors string int bool byte self package \
    type struct void public private static async await http https request response set get add make log info warn fatal \
    message service server client svc code status call failed fail failure after before upstream downstream above below";

/// The words of a text.
///
/// ```
/// # use backtrail_localize::words::words;
/// let shared: Vec<String> = words("dao.listFavorites(uid)").intersection(&words("no dashboard_favorites")).cloned().collect();
/// assert_eq!(shared, ["favorit"]);
/// ```
pub fn words(text: &str) -> BTreeSet<String> {
    let mut out = BTreeSet::new();
    for run in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        let parts = parts(run);
        if parts.len() > 1 {
            out.insert(stem(&run.trim_matches('_').to_ascii_lowercase()).to_owned());
        }
        for part in parts.into_iter().filter(|part| part.len() >= LEAST) {
            let part = part.to_ascii_lowercase();
            let stem = stem(&part);
            if !is_stop(stem) {
                out.insert(stem.to_owned());
            }
        }
    }
    out
}

/// The words of an identifier, without digits: `errOutOfRange_2` is `err`, `Out`, `Of`, `Range`.
fn parts(run: &str) -> Vec<&str> {
    let mut out = Vec::new();
    for piece in run.split(|c: char| !c.is_ascii_alphabetic()) {
        let bytes = piece.as_bytes();
        let mut from = 0;
        for i in 1..bytes.len() {
            let lower_to_upper = bytes[i].is_ascii_uppercase() && bytes[i - 1].is_ascii_lowercase();
            // In `HTTPServer` the last capital begins the next word.
            let end_of_capitals = i + 1 < bytes.len()
                && bytes[i].is_ascii_uppercase()
                && bytes[i - 1].is_ascii_uppercase()
                && bytes[i + 1].is_ascii_lowercase();
            if lower_to_upper || end_of_capitals {
                out.push(&piece[from..i]);
                from = i;
            }
        }
        if from < piece.len() {
            out.push(&piece[from..]);
        }
    }
    out
}

fn is_stop(stem: &str) -> bool {
    static STEMS: LazyLock<BTreeSet<&str>> = LazyLock::new(|| STOP.split_ascii_whitespace().map(self::stem).collect());
    STEMS.contains(stem)
}

/// A word without the endings of number and tense, if four letters stay.
fn stem(word: &str) -> &str {
    let cut =
        ["ing", "ers", "er", "ed", "es", "s"].iter().find_map(|end| word.strip_suffix(end).filter(|w| w.len() > 3));
    cut.unwrap_or(word)
}

/// Whether one of two long words is part of the other: `catalog` of `productcatalog`.
pub(crate) fn overlap(a: &str, b: &str) -> bool {
    a.len() >= LEAST_INNER && b.len() >= LEAST_INNER && (a.contains(b) || b.contains(a))
}

/// Identifiers and numbers of code, in order.
pub(crate) fn tokens(code: &str) -> impl Iterator<Item = &str> {
    code.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|token| !token.is_empty())
}

/// The words of a service's name, which say nothing where that service is meant anyway.
pub(crate) fn of_name(service: &str) -> BTreeSet<String> {
    let mut own = words(service);
    let lower = service.to_ascii_lowercase();
    for end in ["service", "svc"] {
        if let Some(rest) = lower.strip_suffix(end) {
            own.extend(words(rest));
        }
    }
    own.insert(stem(&lower).to_owned());
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_split_and_what_everybody_says_is_no_word() {
        let found = |text: &str| words(text).into_iter().collect::<Vec<_>>();
        assert_eq!(found("the HTTPServer errOutOfRange"), ["erroutofrange", "httpserv", "range"]);
        assert_eq!(found("p99 of 3 requests, 5xx"), Vec::<String>::new());
        assert_eq!(found("write_errors_total"), ["total", "write", "write_errors_total"]);
    }

    #[test]
    fn a_services_own_name_is_known_in_all_its_forms() {
        assert!(of_name("checkoutservice").contains("checkout"));
        assert!(of_name("ai-agent-svc").contains("agent"));
        assert!(overlap("productcatalogservice", "catalog") && !overlap("cart", "cartservice"));
    }
}
