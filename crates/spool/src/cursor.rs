//! How far a consumer has come, and the deletion of what it has consumed.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Context, Damage, DamageKind, Error};
use crate::files::{self, SEGMENT};
use crate::format::{u32_at, u64_at};

const MAGIC: [u8; 8] = *b"BTCURSR\x01";
const LEN: usize = 20;

fn path(dir: &Path, consumer: &str) -> PathBuf {
    dir.join(format!("{consumer}.cursor"))
}

/// The sequence that `consumer` reads next; `None` if it never stored one.
pub fn load_cursor(dir: &Path, consumer: &str) -> Result<Option<u64>, Error> {
    let file = path(dir, consumer);
    let bytes = match fs::read(&file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::Io { action: "read", path: file, source }),
    };
    let (expected, actual) = if bytes.len() == LEN && bytes[..8] == MAGIC {
        (u32_at(&bytes, 16), crc32c::crc32c(&bytes[..16]))
    } else {
        (0, crc32c::crc32c(&bytes))
    };
    if bytes.len() == LEN && expected == actual {
        return Ok(Some(u64_at(&bytes, 8)));
    }
    let (expected, actual) = (expected.into(), actual.into());
    Err(Damage { file, offset: 0, kind: DamageKind::Cursor, expected, actual }.into())
}

/// Stores the sequence that `consumer` reads next: atomically and durably.
pub fn store_cursor(dir: &Path, consumer: &str, next: u64) -> Result<(), Error> {
    let mut bytes = [0; LEN];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..16].copy_from_slice(&next.to_le_bytes());
    let crc = crc32c::crc32c(&bytes[..16]);
    bytes[16..].copy_from_slice(&crc.to_le_bytes());
    files::write_atomically(&path(dir, consumer), &bytes, true)
}

/// Deletes the segments whose records all lie below `next` (the least cursor of all consumers), and says how many.
/// The last segment stays, because it knows the sequence.
pub fn delete_consumed(dir: &Path, next: u64) -> Result<u64, Error> {
    let segments = files::list(dir, SEGMENT)?;
    let mut deleted = 0;
    for pair in segments.windows(2).take_while(|pair| pair[1].first <= next) {
        fs::remove_file(&pair[0].path).during("remove", &pair[0].path)?;
        deleted += 1;
    }
    if deleted > 0 {
        files::sync_dir(dir)?;
    }
    Ok(deleted)
}
