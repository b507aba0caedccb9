//! The bytes of what is damaged, for somebody to look at.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use crate::error::{Context, Damage, DamageKind, Error};
use crate::format::{RECORD_HEADER, u32_at};

/// The bytes that damage makes unreadable, at most `most` of them: the payload of a record if its header is intact, else
/// everything from the damage to the end of the file. Of records that are missing there are none.
pub fn salvage(damage: &Damage, most: u64) -> Result<Vec<u8>, Error> {
    if damage.kind == DamageKind::Missing {
        return Ok(Vec::new());
    }
    let path = &damage.file;
    let mut file = File::open(path).during("open", path)?;
    let mut most = most;
    if damage.kind == DamageKind::Payload && damage.offset >= RECORD_HEADER {
        let mut header = [0; RECORD_HEADER as usize];
        file.seek(SeekFrom::Start(damage.offset - RECORD_HEADER)).during("seek", path)?;
        file.read_exact(&mut header).during("read", path)?;
        most = most.min(u32_at(&header, 8).into());
    }
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(damage.offset)).during("seek", path)?;
    file.take(most).read_to_end(&mut bytes).during("read", path)?;
    Ok(bytes)
}
