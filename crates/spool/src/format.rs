//! Bytes of segments and records, and the one function that reads a record at an offset.

use std::io::{self, Read, Seek, SeekFrom};

use crate::error::DamageKind;

const MAGIC: [u8; 8] = *b"BTSPOOL\x01";

/// Length of a segment's header.
pub(crate) const SEGMENT_HEADER: u64 = 20;
/// Length of a record's header.
pub(crate) const RECORD_HEADER: u64 = 20;

/// The header of the segment that begins with sequence `first`.
pub(crate) fn segment_header(first: u64) -> [u8; SEGMENT_HEADER as usize] {
    let mut header = [0; SEGMENT_HEADER as usize];
    header[..8].copy_from_slice(&MAGIC);
    header[8..16].copy_from_slice(&first.to_le_bytes());
    let crc = crc32c::crc32c(&header[..16]);
    header[16..].copy_from_slice(&crc.to_le_bytes());
    header
}

/// Appends a record to `out`.
pub(crate) fn push_record(out: &mut Vec<u8>, sequence: u64, len: u32, payload: &[u8]) {
    let at = out.len();
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c(payload).to_le_bytes());
    let crc = crc32c::crc32c(&out[at..]);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(payload);
}

/// A checksum that does not fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Bad {
    pub(crate) kind: DamageKind,
    pub(crate) expected: u64,
    pub(crate) actual: u64,
}

/// What stands at an offset.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// An intact record.
    Record { sequence: u64, payload: Vec<u8> },
    /// The end of the file.
    End,
    /// A record that was not written to its end: `expected` bytes should be there.
    Torn { expected: u64 },
    /// Damage, and where the next record stands if that is known.
    Bad { bad: Bad, next: Option<u64> },
}

/// Checks the header of a segment; `None` if the file is too short for one.
pub(crate) fn check_segment_header(file: &mut (impl Read + Seek), first: u64) -> io::Result<Option<Result<(), Bad>>> {
    let mut header = [0; SEGMENT_HEADER as usize];
    file.seek(SeekFrom::Start(0))?;
    if read_up_to(file, &mut header)? < header.len() {
        return Ok(None);
    }
    let (expected, actual) = (u32_at(&header, 16), crc32c::crc32c(&header[..16]));
    let good = header == segment_header(first);
    let bad = Bad { kind: DamageKind::SegmentHeader, expected: expected.into(), actual: actual.into() };
    Ok(Some(if good { Ok(()) } else { Err(bad) }))
}

/// Reads what stands at `offset` of a file of `len` bytes, where record `sequence` is due.
pub(crate) fn read_record(file: &mut (impl Read + Seek), offset: u64, len: u64, due: u64) -> io::Result<Step> {
    if offset >= len {
        return Ok(Step::End);
    }
    file.seek(SeekFrom::Start(offset))?;
    let mut header = [0; RECORD_HEADER as usize];
    if read_up_to(file, &mut header)? < header.len() {
        return Ok(Step::Torn { expected: RECORD_HEADER });
    }
    let (expected, actual) = (u32_at(&header, 16), crc32c::crc32c(&header[..16]));
    if expected != actual {
        // After a loss of power a file may have its new length and none of its new bytes.
        if header == [0; RECORD_HEADER as usize] && only_zeros(file)? {
            return Ok(Step::Torn { expected: RECORD_HEADER });
        }
        let bad = Bad { kind: DamageKind::RecordHeader, expected: expected.into(), actual: actual.into() };
        return Ok(Step::Bad { bad, next: None });
    }
    let (sequence, size) = (u64_at(&header, 0), u64::from(u32_at(&header, 8)));
    let next = offset + RECORD_HEADER + size;
    if next > len {
        return Ok(Step::Torn { expected: RECORD_HEADER + size });
    }
    let mut payload = vec![0; size as usize];
    if read_up_to(file, &mut payload)? < payload.len() {
        return Ok(Step::Torn { expected: RECORD_HEADER + size });
    }
    let (expected, actual) = (u32_at(&header, 12), crc32c::crc32c(&payload));
    if expected != actual {
        let bad = Bad { kind: DamageKind::Payload, expected: expected.into(), actual: actual.into() };
        return Ok(Step::Bad { bad, next: Some(next) });
    }
    if sequence != due {
        let bad = Bad { kind: DamageKind::Sequence, expected: due, actual: sequence };
        return Ok(Step::Bad { bad, next: None });
    }
    Ok(Step::Record { sequence, payload })
}

fn only_zeros(file: &mut impl Read) -> io::Result<bool> {
    let mut chunk = [0; 4096];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(true),
            n if chunk[..n].iter().any(|&byte| byte != 0) => return Ok(false),
            _ => {}
        }
    }
}

fn read_up_to(file: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match file.read(&mut into[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}
