//! The schemas of version 1 are frozen: readers that meet two shapes in one directory drop columns or fail.
#![allow(missing_docs, reason = "a test")]

use std::fmt::Write as _;

use backtrail_store::{TABLES, reference};
use parquet::arrow::ArrowSchemaConverter;
use parquet::schema::printer::print_schema;

fn frozen() -> String {
    let mut out = String::new();
    for table in TABLES {
        let schema = ArrowSchemaConverter::new().schema_root(table.name).convert(&table.schema()).expect("converts");
        let mut text = Vec::new();
        print_schema(&mut text, schema.root_schema());
        out.push_str(&String::from_utf8(text).expect("text"));
        let leaves = table.leaves();
        assert_eq!(leaves.len(), schema.num_columns(), "{}", table.name);
        for ((path, storage), column) in leaves.iter().zip(schema.columns()) {
            assert_eq!(path.join("."), column.path().string(), "{}", table.name);
            let _ = writeln!(out, "  {} {storage:?}", path.join("."));
        }
        let _ = writeln!(out, "  sorted by {}\n", table.sorted_by.join(", "));
    }
    out
}

#[test]
fn the_schema_of_version_1_does_not_change() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schema.v1.txt");
    if std::env::var_os("BACKTRAIL_BLESS").is_some() {
        std::fs::write(file, frozen()).expect("writable");
    }
    let golden = std::fs::read_to_string(file).expect("the golden file");
    assert!(golden == frozen(), "the schema changed: a new column is v2 and a view over both, never a change in v1");
}

#[test]
fn every_column_is_documented_and_named_with_its_unit() {
    let reference = reference();
    for table in TABLES {
        assert!(reference.contains(&format!("## `{}`", table.name)));
        for column in table.columns {
            assert!(!column.about.is_empty(), "{}.{}", table.name, column.name);
            assert!(column.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
            assert!(reference.contains(&format!("| `{}` |", column.name)));
            if column.unit == "ns" || column.unit == "ms" {
                assert!(column.name.ends_with(&format!("_{}", column.unit)), "{}.{}", table.name, column.name);
            }
        }
    }
}
