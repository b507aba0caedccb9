//! Verb and first table of a SQL statement.
//!
//! Not a parser: a walk over the words of the outermost level. It only ever answers a verb of the list below and an
//! identifier that stands where a table's name stands, so no literal can become part of a name, however broken the
//! statement is.

/// What begins a statement.
const VERBS: [&str; 36] = [
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "REPLACE",
    "MERGE",
    "UPSERT",
    "WITH",
    "CREATE",
    "ALTER",
    "DROP",
    "TRUNCATE",
    "CALL",
    "EXEC",
    "EXECUTE",
    "BEGIN",
    "START",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT",
    "RELEASE",
    "SET",
    "SHOW",
    "USE",
    "EXPLAIN",
    "DESCRIBE",
    "ANALYZE",
    "VACUUM",
    "COPY",
    "LOCK",
    "DECLARE",
    "FETCH",
    "CLOSE",
    "PRAGMA",
    "REINDEX",
    "NOTIFY",
];
/// What may stand between a keyword and the table.
const MODIFIERS: [&str; 8] = ["ONLY", "LATERAL", "IF", "NOT", "EXISTS", "IGNORE", "LOW_PRIORITY", "TABLE"];
/// No statement is read further: its verb alone names it.
const MOST_BYTES: usize = 8192;

/// The verb as it is written in names, if the word is one.
pub(super) fn verb(word: &str) -> Option<&'static str> {
    VERBS.iter().find(|verb| verb.eq_ignore_ascii_case(word)).copied()
}

/// Appends `SELECT orders`; answers whether the statement begins like one.
pub(super) fn describe(statement: &str, to: &mut String) -> bool {
    let statement = &statement[..statement.floor_char_boundary(MOST_BYTES)];
    let mut words = Words { rest: statement, depth: 0 };
    let Some(mut verb) = words.next_word().and_then(|(word, _)| verb(word)) else { return false };
    let base = words.depth;
    if verb == "WITH" {
        // The verb of the query behind the expressions.
        while let Some((word, depth)) = words.next_word() {
            let main = ["SELECT", "INSERT", "UPDATE", "DELETE", "MERGE"].iter().find(|v| v.eq_ignore_ascii_case(word));
            if let Some(main) = main.filter(|_| depth == base) {
                verb = main;
                break;
            }
        }
    }
    to.push_str(verb);
    if let Some(table) = table(verb, &mut words, base) {
        to.push(' ');
        push_table(table, to);
    }
    true
}

/// The first table behind `verb`.
fn table<'a>(verb: &str, words: &mut Words<'a>, base: usize) -> Option<&'a str> {
    let keyword = match verb {
        "SELECT" | "DELETE" | "SHOW" | "FETCH" => "FROM",
        "INSERT" | "REPLACE" | "MERGE" | "UPSERT" => "INTO",
        "CREATE" | "ALTER" | "DROP" => "TABLE",
        "UPDATE" | "CALL" | "EXEC" | "EXECUTE" | "TRUNCATE" | "COPY" | "LOCK" => "",
        _ => return None,
    };
    if !keyword.is_empty() {
        loop {
            let (word, depth) = words.next_word()?;
            // `extract(year from placed)` names a column.
            if depth <= base && word.eq_ignore_ascii_case(keyword) {
                break;
            }
        }
    }
    loop {
        let from = words.depth;
        let (word, depth) = words.next_word()?;
        if MODIFIERS.iter().any(|modifier| modifier.eq_ignore_ascii_case(word)) {
            continue;
        }
        if depth > from && word.eq_ignore_ascii_case("SELECT") {
            // A query in parentheses: its own first table.
            return table("SELECT", words, depth);
        }
        return (!word.starts_with(|first: char| first.is_ascii_digit())).then_some(word);
    }
}

/// Appends a table's name without its quotes. Long numbers in it are those of a partition, a shard or a moment.
pub(super) fn push_table(table: &str, to: &mut String) {
    let mut rest = table;
    while let Some(first) = rest.chars().next() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits >= 4 {
            to.push_str("{n}");
        } else if digits > 0 {
            to.push_str(&rest[..digits]);
        } else if !matches!(first, '"' | '`' | '[' | ']') {
            to.push(first);
        }
        rest = &rest[digits.max(first.len_utf8())..];
    }
}

/// The words of a statement: no literals, no comments, no marks. A name with points and quotes in it is one word.
struct Words<'a> {
    rest: &'a str,
    /// Open parentheses.
    depth: usize,
}

impl<'a> Words<'a> {
    /// The next word, and how many parentheses it stands in.
    fn next_word(&mut self) -> Option<(&'a str, usize)> {
        loop {
            let first = *self.rest.as_bytes().first()?;
            match first {
                b'\'' => self.skip_literal(),
                b'-' if self.rest.starts_with("--") => self.skip_past("\n"),
                b'/' if self.rest.starts_with("/*") => self.skip_past("*/"),
                b'"' | b'`' | b'[' | b'_' | b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | 0x80.. => {
                    let len = word_len(self.rest.as_bytes());
                    let (word, rest) = self.rest.split_at(len);
                    self.rest = rest;
                    return Some((word, self.depth));
                }
                _ => {
                    match first {
                        b'(' => self.depth += 1,
                        b')' => self.depth = self.depth.saturating_sub(1),
                        _ => {}
                    }
                    self.rest = &self.rest[1..];
                }
            }
        }
    }

    /// Skips `'it''s'`; a literal that never ends takes all.
    fn skip_literal(&mut self) {
        let bytes = self.rest.as_bytes();
        let mut at = 1;
        while at < bytes.len() && bytes[at] != b'\'' {
            at += if bytes[at] == b'\\' { 2 } else { 1 };
        }
        self.rest = self.rest.get(at + 1..).unwrap_or_default();
    }

    fn skip_past(&mut self, end: &str) {
        self.rest = self.rest.find(end).map_or("", |at| &self.rest[at + end.len()..]);
    }
}

/// Length of the word that begins here: letters, digits, points, and whatever stands in quotes.
fn word_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let closing = match byte {
            b'"' | b'`' => byte,
            b'[' => b']',
            b'_' | b'.' | b'$' | b'#' | b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | 0x80.. => {
                at += 1;
                continue;
            }
            _ => break,
        };
        let inside = bytes[at + 1..].iter().position(|&byte| byte == closing);
        at = inside.map_or(bytes.len(), |len| at + len + 2);
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(statement: &str) -> String {
        let mut to = String::new();
        assert_eq!(describe(statement, &mut to), !to.is_empty());
        to
    }

    #[test]
    fn a_statement_is_its_verb_and_first_table() {
        for (statement, expected) in [
            ("select a0_.id as id1_0_, a0_.name as n from orders a0_ where a0_.id='17'", "SELECT orders"),
            ("SELECT\n*\nFROM shop.orders JOIN lines", "SELECT shop.orders"),
            (r#"SELECT 'from x', "from" FROM "shop"."orders""#, "SELECT shop.orders"),
            ("/* from secret */ SELECT 1 -- from secret\n FROM `orders`", "SELECT orders"),
            ("SELECT extract(year FROM placed) FROM orders", "SELECT orders"),
            ("SELECT * FROM (SELECT id FROM [dbo].[orders] WHERE x) t", "SELECT dbo.orders"),
            ("(SELECT a FROM b) UNION (SELECT c FROM d)", "SELECT b"),
            ("WITH x AS (SELECT 1 FROM y) SELECT * FROM x", "SELECT x"),
            ("insert into orders (id, price) values ('a', 17)", "INSERT orders"),
            ("INSERT IGNORE INTO orders SELECT 1", "INSERT orders"),
            ("update only orders set a = 'x'", "UPDATE orders"),
            ("DELETE FROM orders WHERE id = 17", "DELETE orders"),
            ("CREATE TABLE IF NOT EXISTS orders (id int)", "CREATE orders"),
            ("TRUNCATE TABLE orders", "TRUNCATE orders"),
            ("CALL close_day(17)", "CALL close_day"),
            ("COMMIT", "COMMIT"),
            ("SELECT 1", "SELECT"),
            ("SELECT nextval('orders_seq')", "SELECT"),
            ("SET x = 17", "SET"),
            ("select * from orders_20240501 where 1", "SELECT orders_{n}"),
            ("select * from orders_07", "SELECT orders_07"),
            ("SELECT 'it''s' , 'a\\'b' FROM t", "SELECT t"),
            ("SELECT * FROM größe", "SELECT größe"),
        ] {
            assert_eq!(said(statement), expected, "{statement}");
        }
    }

    #[test]
    fn no_value_becomes_a_name() {
        for statement in ["", "17", "'x' FROM y", "hello FROM y", "{\"a\": 1}", "-- nothing"] {
            assert_eq!(said(statement), "", "{statement}");
        }
        for statement in ["SELECT 'a from secret", "SELECT x FROM 'secret'", "UPDATE 17", "DELETE FROM (17"] {
            assert!(!said(statement).contains(' '), "{statement}");
        }
        said(&format!("SELECT {}é", "a".repeat(MOST_BYTES - 8)));
    }
}
