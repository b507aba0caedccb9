//! The store: Parquet tables that analysts already know how to read.
//!
//! One table is data ([`schema::Table`]): its columns with type, unit, meaning and storage. The Arrow schema, the
//! properties of the Parquet writer and the reference page all come from it. Files are published atomically and are
//! byte-equal for equal input. The version is in the path (`<base>/v1/<table>/...`) and frozen: a new column is `v2`
//! and a view over both.

mod columns;
mod error;
mod path;
mod reference;
pub mod schema;
pub mod tables;
mod writer;

pub use columns::{
    Assembler, FewTexts, FewTextsMap, ListColumn, MapColumn, bools, doubles, histograms, int32s, int64s, list_of,
    optional_int32s, optional_int64s, optional_texts, struct_of, texts, times,
};
pub use error::StoreError;
pub use path::{Partition, file_name, partition_of, remove_leftovers, staging_dir, table_dir};
pub use reference::reference;
pub use schema::{Column, Table};
pub use tables::TABLES;
pub use writer::{Stamp, TableWriter};

/// Version of all schemas: the directory below the base, and a key in every footer.
pub const SCHEMA_VERSION: &str = "v1";
/// Rows of a row group.
pub const ROW_GROUP_ROWS: usize = 131_072;
