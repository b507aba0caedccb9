//! The one durable log: append-only, checksummed segments in a directory.
//!
//! A directory holds `<first sequence>.seg` files. A segment begins with a checksummed header (magic and version, its
//! first sequence); records follow, each with a checksummed header (sequence, length, checksum of the payload) and the
//! payload. Every bit is under a checksum, so damage is found and named; what a kill left half written at the end of
//! the last segment is truncated on open and reported.
//!
//! ```text
//! segment: "BTSPOOL" version:u8 | first sequence:u64 | crc32c:u32        (little endian)
//! record:  sequence:u64 | length:u32 | payload crc32c:u32 | crc32c of these 16 bytes:u32 | payload
//! ```

mod cursor;
mod error;
mod files;
mod format;
mod reader;
mod salvage;
mod verify;
mod writer;

pub use cursor::{delete_consumed, load_cursor, store_cursor};
pub use error::{Damage, DamageKind, Error};
pub use files::write_atomically;
pub use reader::{Position, Reader, Record};
pub use salvage::salvage;
pub use verify::{Report, quarantine, verify};
pub use writer::{Options, Recovered, Writer};
