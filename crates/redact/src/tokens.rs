//! Personal data as numbered tokens within one prompt: the same value is the same `[email:1]` everywhere, and an answer
//! gets its values back.
//!
//! Secrets are replaced for good, and so is personal data that is only labelled: what a customer's telemetry holds must
//! not find its way into a patch, however nicely an answer asks for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::kind::{Counts, Kind};
use crate::placeholder;
use crate::redactor::Redactor;

/// The values behind the tokens of one prompt. They are in memory only, and nothing prints them.
#[derive(Default)]
pub struct Tokens {
    numbers: BTreeMap<(Kind, String), u32>,
    next: BTreeMap<Kind, u32>,
    /// Tokens that come back, with their values.
    values: BTreeMap<String, String>,
    /// Texts like tokens that were there before us.
    taken: BTreeSet<String>,
}

impl Tokens {
    /// No tokens yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces secrets for good and personal data by tokens that [`Self::restore`] undoes.
    ///
    /// ```
    /// let mut tokens = backtrail_redact::Tokens::new();
    /// let (prompt, _) = tokens.replace(&backtrail_redact::Redactor::new(), "owner: bob@corp.com");
    /// assert_eq!(prompt, "owner: [email:1]");
    /// assert_eq!(tokens.restore("mail [email:1], not [email:2]"), "mail bob@corp.com, not [email:2]");
    /// ```
    pub fn replace(&mut self, redactor: &Redactor, text: &str) -> (String, Counts) {
        self.exchange(redactor, text, true)
    }

    /// Replaces secrets and personal data for good; personal data is numbered all the same, so that a reader sees what
    /// belongs together.
    pub fn label(&mut self, redactor: &Redactor, text: &str) -> (String, Counts) {
        self.exchange(redactor, text, false)
    }

    /// Puts values back into an answer, each token once: what a value looks like does not matter.
    pub fn restore(&self, answer: &str) -> String {
        let mut restored = String::with_capacity(answer.len());
        let mut end = 0;
        for token in placeholder::all(answer) {
            if let Some(value) = self.values.get(&answer[token.clone()]) {
                restored.push_str(&answer[end..token.start]);
                restored.push_str(value);
                end = token.end;
            }
        }
        restored.push_str(&answer[end..]);
        restored
    }

    /// Placeholders in a text that have no value to give back, such as those of secrets.
    pub fn foreign<'a>(&self, text: &'a str) -> Vec<&'a str> {
        let all = placeholder::all(text).map(|range| &text[range]);
        all.filter(|token| !self.values.contains_key(*token) && !self.taken.contains(*token)).collect()
    }

    fn exchange(&mut self, redactor: &Redactor, text: &str, comes_back: bool) -> (String, Counts) {
        let ours: BTreeSet<String> =
            self.numbers.iter().map(|((kind, _), n)| placeholder::numbered(*kind, *n)).collect();
        let there = placeholder::all(text).map(|range| &text[range]).filter(|token| !ours.contains(*token));
        self.taken.extend(there.map(str::to_owned));
        redactor.replace_by(text, &mut |kind, value| {
            if kind.is_secret() {
                return placeholder::one_way(kind);
            }
            let token = placeholder::numbered(kind, self.number(kind, value));
            if comes_back {
                self.values.insert(token.clone(), value.to_owned());
            }
            token
        })
    }

    fn number(&mut self, kind: Kind, value: &str) -> u32 {
        if let Some(known) = self.numbers.get(&(kind, value.to_owned())) {
            return *known;
        }
        let next = self.next.entry(kind).or_insert(1);
        while self.taken.contains(&placeholder::numbered(kind, *next)) {
            *next += 1;
        }
        let number = *next;
        *next += 1;
        self.numbers.insert((kind, value.to_owned()), number);
        number
    }
}

/// How many there are.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (known, restorable) = (self.numbers.len(), self.values.len());
        f.debug_struct("Tokens").field("known", &known).field("restorable", &restorable).finish_non_exhaustive()
    }
}
