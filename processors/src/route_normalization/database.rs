//! What a database span asks for, where its name is a word that all of them share.
//!
//! Old drivers name every span `Query`, whatever it asks. Then the cheap reads of users and the long report of a nightly
//! job are one operation, whose latency says nothing about either. The attributes say more: a summary, or operation and
//! table, or the statement, of which the verb and the first table are read and nothing else, so that no value gets into a
//! name.

use std::borrow::Cow;

use backtrail_wire::attributes::{Attributes, ValueRef};

use super::sql;

/// Longer names are cut off.
const LONGEST: usize = 120;

/// What bare names are made of. A name with any other word in it says what is done.
const BARE: [&str; 51] = [
    "query",
    "queries",
    "sql",
    "cql",
    "statement",
    "command",
    "cmd",
    "raw",
    "row",
    "rows",
    "prepare",
    "prepared",
    "execute",
    "exec",
    "executequery",
    "executeupdate",
    "executebatch",
    "select",
    "insert",
    "update",
    "delete",
    "replace",
    "upsert",
    "merge",
    "find",
    "aggregate",
    "db",
    "database",
    "jdbc",
    "odbc",
    "client",
    "mysql",
    "mysql2",
    "mariadb",
    "postgres",
    "postgresql",
    "pg",
    "pgx",
    "sqlite",
    "sqlite3",
    "oracle",
    "mssql",
    "tds",
    "redis",
    "valkey",
    "memcached",
    "mongo",
    "mongodb",
    "cassandra",
    "scylla",
    "clickhouse",
];

/// Whether a name is only such words: `Query`, `mysql.query`, `redis:command`.
pub(super) fn is_bare(name: &str) -> bool {
    let bare = |word: &str| BARE.iter().any(|known| known.eq_ignore_ascii_case(word));
    // The longest: "postgresql.preparedstatement".
    !name.is_empty() && name.len() <= 40 && name.split(['.', ':', '-', '_', '/']).all(bare)
}

/// What the attributes of a span say about the database.
#[derive(PartialEq, Eq, Hash, Default)]
pub(super) struct Asked<'a> {
    summary: Option<Cow<'a, str>>,
    operation: Option<Cow<'a, str>>,
    collection: Option<Cow<'a, str>>,
    statement: Option<Cow<'a, str>>,
    system: Option<Cow<'a, str>>,
}

impl<'a> Asked<'a> {
    /// Reads the attributes in one pass. Of current and older names for the same, the current one counts.
    pub(super) fn read(attributes: Attributes<'a>) -> Self {
        let mut asked = Self::default();
        for (key, value) in attributes {
            let Some(key) = key.strip_prefix("db.") else { continue };
            let (field, current) = match key {
                "query.summary" => (&mut asked.summary, true),
                "operation.name" => (&mut asked.operation, true),
                "operation" => (&mut asked.operation, false),
                "collection.name" => (&mut asked.collection, true),
                "sql.table" | "mongodb.collection" | "cassandra.table" => (&mut asked.collection, false),
                "query.text" => (&mut asked.statement, true),
                "statement" => (&mut asked.statement, false),
                "system.name" => (&mut asked.system, true),
                "system" | "type" => (&mut asked.system, false),
                _ => continue,
            };
            let ValueRef::Str(text) = value else { continue };
            if !text.is_empty() && (current || field.is_none()) {
                *field = Some(text);
            }
        }
        asked
    }

    /// Appends what is asked for; answers whether it is known.
    pub(super) fn write(&self, to: &mut String) -> bool {
        let from = to.len();
        if let Some(summary) = &self.summary {
            to.push_str(summary);
        } else if let (Some(operation), Some(collection)) = (&self.operation, &self.collection) {
            to.push_str(sql::verb(operation).unwrap_or(operation));
            to.push(' ');
            sql::push_table(collection, to);
        } else if !self.of_statement(to)
            && let Some(operation) = &self.operation
        {
            to.push_str(sql::verb(operation).unwrap_or(operation));
        }
        to.truncate(to.floor_char_boundary(from + LONGEST));
        to.len() > from
    }

    fn of_statement(&self, to: &mut String) -> bool {
        let Some(statement) = self.statement.as_deref() else { return false };
        if self.system.as_deref().is_some_and(is_key_value_store) {
            return command(statement, to);
        }
        sql::describe(statement, to) || document_command(statement, to)
    }
}

fn is_key_value_store(system: &str) -> bool {
    ["redis", "valkey", "memcached"].iter().any(|store| store.eq_ignore_ascii_case(system))
}

/// `hget key field`: the command, never the key.
fn command(statement: &str, to: &mut String) -> bool {
    let word = statement.split_ascii_whitespace().next().unwrap_or_default();
    let is_command = (1..=20).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_alphabetic() || b == b'.');
    if is_command {
        to.extend(word.chars().map(|letter| letter.to_ascii_uppercase()));
    }
    is_command
}

/// Commands of document stores that name a collection.
const DOCUMENT_COMMANDS: [&str; 8] =
    ["find", "aggregate", "insert", "update", "delete", "count", "distinct", "findAndModify"];

/// `{"find": "orders", "filter": ...}`: command and collection.
fn document_command(statement: &str, to: &mut String) -> bool {
    let read = || {
        let rest = statement.trim_start().strip_prefix('{')?.trim_start();
        let rest = rest.strip_prefix('"').unwrap_or(rest);
        let (key, rest) = rest.split_once([':', '"'])?;
        let command = DOCUMENT_COMMANDS.iter().find(|command| **command == key.trim_end())?;
        let (collection, _) = rest.trim_start_matches([':', ' ']).strip_prefix('"')?.split_once('"')?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
        collection.bytes().all(plain).then_some((*command, collection))
    };
    let Some((command, collection)) = read() else { return false };
    to.push_str(command);
    to.push(' ');
    sql::push_table(collection, to);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_nothing_but_shared_words_are_bare() {
        for name in ["Query", "SELECT", "mysql.query", "redis.command", "jdbc:query", "db.client-query", "find"] {
            assert!(is_bare(name), "{name}");
        }
        for name in ["", "orders", "SELECT orders", "OrderRepository.find", "query_orders", "GET", "."] {
            assert!(!is_bare(name), "{name}");
        }
    }

    #[test]
    fn commands_are_named_without_their_keys() {
        let said = |system: &'static str, statement: &'static str| {
            let mut to = String::new();
            let asked = Asked { system: Some(system.into()), statement: Some(statement.into()), ..Asked::default() };
            asked.write(&mut to);
            to
        };
        assert_eq!(said("redis", "hgetall cart:17"), "HGETALL");
        assert_eq!(said("redis", "cart:17"), "");
        assert_eq!(said("mongodb", r#"{"find": "orders", "filter": {"_id": 17}}"#), "find orders");
        assert_eq!(said("mongodb", r#"{ aggregate : "orders" }"#), "aggregate orders");
        assert_eq!(said("mongodb", r#"{"ssn": "123"}"#), "");
    }
}
