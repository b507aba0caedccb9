//! Queries of Prometheus, as far as the linter needs them.

/// Characters of a query that are looked at.
const MAX_QUERY: usize = 4_000;

/// One selector of series, as `requests{code=~"5.."}`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Selector {
    pub(super) metric: String,
    pub(super) matchers: Vec<Matcher>,
}

/// One condition of a selector.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Matcher {
    pub(super) label: String,
    pub(super) sign: String,
    pub(super) value: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
    /// What stands between `[` and `]`.
    Range(String),
}

/// A query, split into its parts.
pub(super) struct Query {
    tokens: Vec<Token>,
}

/// What is no metric although it is a word without a parenthesis after it.
const WORDS: &[&str] = &[
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "and",
    "or",
    "unless",
    "bool",
    "offset",
    "inf",
    "nan",
    "sum",
    "avg",
    "min",
    "max",
    "count",
    "stddev",
    "stdvar",
    "topk",
    "bottomk",
    "quantile",
    "group",
    "count_values",
    "start",
    "end",
    "atan2",
];

impl Query {
    pub(super) fn read(text: &str) -> Self {
        // Argo's arguments stand for text or numbers: `{{args.x}}` is no selector.
        let text: String = text.chars().take(MAX_QUERY).collect();
        let text = text.replace("{{", " ").replace("}}", " ");
        let mut tokens = Vec::new();
        let mut chars = text.char_indices().peekable();
        while let Some((start, c)) = chars.next() {
            match c {
                c if c.is_whitespace() => {}
                '#' => while chars.next_if(|(_, c)| *c != '\n').is_some() {},
                '"' | '\'' | '`' => {
                    let mut value = String::new();
                    while let Some((_, next)) = chars.next_if(|(_, next)| *next != c) {
                        value.push(next);
                        if next == '\\' && c != '`' {
                            value.extend(chars.next().map(|(_, escaped)| escaped));
                        }
                    }
                    chars.next();
                    tokens.push(Token::Text(value));
                }
                '[' => {
                    let mut range = String::new();
                    while let Some((_, next)) = chars.next_if(|(_, next)| *next != ']') {
                        range.push(next);
                    }
                    chars.next();
                    tokens.push(Token::Range(range));
                }
                c if c.is_alphanumeric() || c == '_' || c == ':' || c == '.' => {
                    let mut end = start + c.len_utf8();
                    while let Some((i, next)) =
                        chars.next_if(|(_, next)| next.is_alphanumeric() || matches!(next, '_' | ':' | '.'))
                    {
                        end = i + next.len_utf8();
                    }
                    tokens.push(Token::Word(text[start..end].to_owned()));
                }
                other => tokens.push(Token::Sign(other)),
            }
        }
        Self { tokens }
    }

    fn sign(&self, i: usize) -> Option<char> {
        match self.tokens.get(i) {
            Some(Token::Sign(sign)) => Some(*sign),
            _ => None,
        }
    }

    /// Every selector, also of a metric without conditions.
    pub(super) fn selectors(&self) -> Vec<Selector> {
        let mut found = Vec::new();
        let mut i = 0;
        while i < self.tokens.len() {
            match &self.tokens[i] {
                Token::Word(word) if self.sign(i + 1) == Some('(') && grouping(word) => {
                    // The words in it are labels.
                    while i < self.tokens.len() && self.sign(i) != Some(')') {
                        i += 1;
                    }
                }
                Token::Word(word) if self.sign(i + 1) == Some('{') => {
                    let matchers = self.matchers(i + 2);
                    found.push(Selector { metric: word.clone(), matchers });
                    i = self.closing(i + 2);
                }
                Token::Sign('{') => {
                    found.push(Selector { metric: String::new(), matchers: self.matchers(i + 1) });
                    i = self.closing(i + 1);
                }
                Token::Word(word) if self.names_metric(i, word) => {
                    found.push(Selector { metric: word.clone(), matchers: Vec::new() });
                }
                _ => {}
            }
            i += 1;
        }
        found
    }

    fn names_metric(&self, i: usize, word: &str) -> bool {
        self.sign(i + 1) != Some('(')
            && word.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == ':')
            && !word.starts_with("args.")
            && !WORDS.contains(&word.to_ascii_lowercase().as_str())
    }

    fn closing(&self, from: usize) -> usize {
        (from..self.tokens.len()).find(|i| self.sign(*i) == Some('}')).unwrap_or(self.tokens.len())
    }

    fn matchers(&self, from: usize) -> Vec<Matcher> {
        let mut found = Vec::new();
        let inside = &self.tokens[from.min(self.tokens.len())..self.closing(from)];
        for (i, token) in inside.iter().enumerate() {
            let Token::Text(value) = token else { continue };
            let signs: String = inside[..i]
                .iter()
                .rev()
                .map_while(|token| if let Token::Sign(sign @ ('=' | '~' | '!')) = token { Some(*sign) } else { None })
                .collect();
            let sign: String = signs.chars().rev().collect();
            if let Some(Token::Word(label)) = i.checked_sub(sign.len() + 1).map(|before| &inside[before]) {
                found.push(Matcher { label: label.clone(), sign, value: value.clone() });
            }
        }
        found
    }

    /// What stands in brackets, without the step of a subquery.
    pub(super) fn ranges(&self) -> Vec<&str> {
        let mut found = Vec::new();
        for token in &self.tokens {
            if let Token::Range(text) = token {
                found.push(text.split(':').next().unwrap_or(text).trim());
            }
        }
        found
    }

    /// Whether something is divided by a series that may be zero. `clamp_min` and a comparison that drops zero guard.
    pub(super) fn divides_unguarded(&self) -> bool {
        let slash = |i: &usize| self.sign(*i) == Some('/');
        (0..self.tokens.len()).filter(slash).any(|i| {
            let divisor = &self.tokens[i + 1..];
            let number = matches!(divisor.first(), Some(Token::Word(word)) if word.parse::<f64>().is_ok());
            let guarded = divisor.iter().enumerate().any(|(n, token)| match token {
                Token::Word(word) => word == "clamp_min",
                Token::Sign('>') => positive(divisor.get(n + 1)),
                Token::Sign('!') => {
                    divisor.get(n + 1) == Some(&Token::Sign('=')) && matches!(divisor.get(n + 2), Some(Token::Word(_)))
                }
                _ => false,
            });
            !number && !guarded
        })
    }

    /// Whether the query gives a value even if no series exists.
    pub(super) fn always_answers(&self) -> bool {
        self.tokens.windows(4).any(|tokens| {
            let word = |i: usize, text: &str| tokens[i] == Token::Word(text.to_owned());
            word(0, "vector") && tokens[1] == Token::Sign('(') && tokens[3] == Token::Sign(')')
        })
    }

    /// Whether the result is a number instead of a vector.
    pub(super) fn scalar(&self) -> bool {
        self.tokens.first() == Some(&Token::Word("scalar".to_owned()))
    }
}

fn grouping(word: &str) -> bool {
    matches!(word.to_ascii_lowercase().as_str(), "by" | "without" | "on" | "ignoring" | "group_left" | "group_right")
}

fn positive(token: Option<&Token>) -> bool {
    matches!(token, Some(Token::Word(word)) if word.parse::<f64>().is_ok_and(|number| number >= 0.0))
}

impl Selector {
    /// Whether it chooses failed requests only, so that no series exists while all succeed.
    pub(super) fn errors(&self) -> bool {
        self.matchers.iter().any(|matcher| {
            let value = matcher.value.to_ascii_lowercase();
            !matcher.sign.starts_with('!')
                && (value.starts_with('5') || value.contains("|5") || value.contains("error") || value.contains("fail"))
        })
    }

    /// Whether it chooses one version of a service.
    pub(super) fn one_version(&self) -> bool {
        const LABELS: &[&str] = &[
            "version",
            "hash",
            "revision",
            "track",
            "subset",
            "canary",
            "replicaset",
            "pod",
            "release",
            "workload",
            "variant",
        ];
        self.matchers.iter().any(|matcher| {
            let (label, value) = (matcher.label.to_ascii_lowercase(), matcher.value.to_ascii_lowercase());
            LABELS.iter().any(|word| label.contains(word))
                || ["canary", "stable", "hash"].iter().any(|word| value.contains(word))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_found_with_and_without_conditions() {
        let query = Query::read(
            "sum by (code) (rate(req{app=\"a\", code=~\"5..\"}[5m])) / on(app) sum(rate(req[1m:10s])) or vector(0)",
        );
        let found = query.selectors();
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].matchers[1], Matcher { label: "code".into(), sign: "=~".into(), value: "5..".into() });
        assert!(found[0].errors() && !found[1].errors());
        assert_eq!(query.ranges(), ["5m", "1m"]);
        assert!(query.always_answers());
    }

    #[test]
    fn arguments_of_argo_are_no_selectors() {
        let query = Query::read("rate(req{hash=\"{{args.canary-hash}}\"}[{{args.window}}]) > {{args.limit}}");
        assert_eq!(query.selectors().len(), 1);
        assert!(query.selectors()[0].one_version());
    }

    #[test]
    fn guards_of_a_divisor_are_known() {
        for (text, unguarded) in [
            ("sum(a) / sum(b)", true),
            ("sum(a) / (sum(b) > 0)", false),
            ("sum(a) / clamp_min(sum(b), 1)", false),
            ("sum(a) / 100", false),
            ("sum(a{path=\"/x\"})", false),
            ("sum(a) / (sum(b) != 0)", false),
        ] {
            assert_eq!(Query::read(text).divides_unguarded(), unguarded, "{text}");
        }
    }
}
