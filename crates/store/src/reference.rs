//! The reference page `docs/reference/outputs`, generated from the tables.

use std::fmt::Write as _;

use crate::SCHEMA_VERSION;
use crate::schema::{Column, Kind};
use crate::tables::TABLES;

/// Markdown that lists every table and column with type, unit and meaning.
pub fn reference() -> String {
    let mut out = format!(
        "# Tables\n\nParquet files below `<path>/{SCHEMA_VERSION}/<table>/date=YYYY-MM-DD/hour=HH/`, by the hour of the \
         row's own time.\nIdentifiers are lower-case hex. Times are `TIMESTAMP` (microseconds, UTC) for filters, and \
         `*_unix_nano` for exactness.\n"
    );
    for table in TABLES {
        let sorted = table.sorted_by.join("`, `");
        let _ = write!(out, "\n## `{}`\n\n{}\n\nSorted by `{sorted}`.\n\n", table.name, table.about);
        out.push_str("| column | type | unit | meaning |\n|---|---|---|---|\n");
        rows(&mut out, "", table.columns);
    }
    out
}

fn rows(out: &mut String, above: &str, columns: &[Column]) {
    for column in columns {
        let (kind, null) = (column.kind.sql(), if column.nullable { ", or null" } else { "" });
        let _ = writeln!(out, "| `{above}{}` | {kind}{null} | {} | {} |", column.name, column.unit, column.about);
        match column.kind {
            Kind::Struct(fields) => rows(out, &format!("{above}{}.", column.name), fields),
            Kind::Structs(fields) => rows(out, &format!("{above}{}[].", column.name), fields),
            _ => {}
        }
    }
}
