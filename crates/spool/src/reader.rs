//! Reading a spool in order, past damage, also while a writer appends to it.

use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use crate::error::{Context, Damage, DamageKind, Error};
use crate::files::{self, DAMAGED, SEGMENT, SegmentFile};
use crate::format::{self, Bad, SEGMENT_HEADER, Step};

/// Where a record stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Position {
    /// Its segment.
    pub file: PathBuf,
    /// Offset of its header.
    pub offset: u64,
}

/// A record with its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Its sequence number.
    pub sequence: u64,
    /// What was appended.
    pub payload: Vec<u8>,
    /// Where it stands.
    pub position: Position,
}

struct Open {
    segment: SegmentFile,
    file: BufReader<File>,
    offset: u64,
    /// Whether a later segment exists: then nothing is appended to this one any more.
    closed: bool,
}

/// Reads records from the first to the last that is complete. At the end `read` returns `None`; called again later, it
/// goes on with what was appended since. After an error it goes on behind the damage.
pub struct Reader {
    dir: PathBuf,
    open: Option<Open>,
    /// The sequence that is due, `None` before the first record and behind damage of unknown extent.
    due: Option<u64>,
    /// The next segment is the first that begins here or later.
    from: u64,
    skip_below: u64,
    torn: Option<Position>,
}

impl Reader {
    /// A reader at the first record.
    pub fn open(dir: impl Into<PathBuf>) -> Self {
        Self::open_at(dir, 0)
    }

    /// A reader at record `sequence` (or the first one behind it), for a consumer with a cursor.
    pub fn open_at(dir: impl Into<PathBuf>, sequence: u64) -> Self {
        Self { dir: dir.into(), open: None, due: None, from: 0, skip_below: sequence, torn: None }
    }

    /// Where the last `read` met a record that is not complete: the end of what can be read.
    pub const fn torn(&self) -> Option<&Position> {
        self.torn.as_ref()
    }

    /// The next record, `None` at the end.
    pub fn read(&mut self) -> Result<Option<Record>, Error> {
        loop {
            if self.open.is_none() && !self.next_segment()? {
                return Ok(None);
            }
            match self.step()? {
                Some(record) if record.sequence < self.skip_below => {}
                Some(record) => return Ok(Some(record)),
                None if self.open.is_some() => return Ok(None),
                None => {}
            }
        }
    }

    /// Reads on in the open segment. `None` and still open: the end for now; `None` and closed: the segment is done.
    fn step(&mut self) -> Result<Option<Record>, Error> {
        let Some(open) = &mut self.open else { return Ok(None) };
        let path = open.segment.path.clone();
        let len = open.file.get_ref().metadata().during("inspect", &path)?.len();
        let due = self.due.unwrap_or(open.segment.first);
        let offset = open.offset;
        let step = format::read_record(&mut open.file, offset, len, due).during("read", &path)?;
        self.torn = None;
        let closed = open.closed;
        match step {
            Step::Record { sequence, payload } => {
                open.offset += format::RECORD_HEADER + payload.len() as u64;
                self.due = Some(sequence + 1);
                Ok(Some(Record { sequence, payload, position: Position { file: path, offset } }))
            }
            // The writer may have appended and rotated since: look once more before this segment is left.
            Step::End | Step::Torn { .. } if !closed && self.has_successor()? => {
                if let Some(open) = &mut self.open {
                    open.closed = true;
                }
                self.step()
            }
            Step::End => {
                if closed {
                    self.open = None;
                }
                Ok(None)
            }
            Step::Torn { expected } => {
                if !closed {
                    self.torn = Some(Position { file: path, offset });
                    return Ok(None);
                }
                let bad = Bad { kind: DamageKind::Truncated, expected, actual: len - offset };
                Err(self.behind(path, offset, bad, None))
            }
            Step::Bad { bad, next } => {
                let at = if bad.kind == DamageKind::Payload { offset + format::RECORD_HEADER } else { offset };
                if next.is_some() {
                    self.due = Some(due + 1);
                }
                Err(self.behind(path, at, bad, next))
            }
        }
    }

    /// Puts the reader behind damage: to the next record if that is known, else to the next segment.
    fn behind(&mut self, file: PathBuf, offset: u64, bad: Bad, next: Option<u64>) -> Error {
        if let (Some(next), Some(open)) = (next, &mut self.open) {
            open.offset = next;
        } else {
            self.open = None;
            self.due = None;
        }
        Damage { file, offset, kind: bad.kind, expected: bad.expected, actual: bad.actual }.into()
    }

    fn has_successor(&self) -> Result<bool, Error> {
        Ok(files::list(&self.dir, SEGMENT)?.iter().any(|segment| segment.first >= self.from))
    }

    /// Opens the next segment; `false` if there is none.
    fn next_segment(&mut self) -> Result<bool, Error> {
        let segments = files::list(&self.dir, SEGMENT)?;
        let mut rest = segments.iter().filter(|segment| segment.first >= self.from).peekable();
        // Segments that lie entirely below the wanted sequence need not be read.
        while let Some(segment) = rest.next() {
            if rest.peek().is_some_and(|next| next.first <= self.skip_below) {
                continue;
            }
            let file = match File::open(&segment.path) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(source) => return Err(Error::Io { action: "open", path: segment.path.clone(), source }),
            };
            let last = rest.peek().is_none();
            return self.enter(segment.clone(), BufReader::new(file), last);
        }
        Ok(false)
    }

    fn enter(&mut self, segment: SegmentFile, mut file: BufReader<File>, last: bool) -> Result<bool, Error> {
        let (path, first, len) = (segment.path.clone(), segment.first, segment.len);
        let header = format::check_segment_header(&mut file, first).during("read", &path)?;
        if header.is_none() && last {
            // Not even its header is there: the end of what can be read. `from` stays, so it is looked at again.
            self.torn = Some(Position { file: path, offset: 0 });
            return Ok(false);
        }
        self.from = first + 1;
        let due = self.due.take();
        match header {
            None => {
                let bad = Bad { kind: DamageKind::Truncated, expected: SEGMENT_HEADER, actual: len };
                Err(self.behind(path, 0, bad, None))
            }
            Some(Err(bad)) => Err(self.behind(path, 0, bad, None)),
            Some(Ok(())) => {
                self.open = Some(Open { segment, file, offset: SEGMENT_HEADER, closed: !last });
                match due {
                    Some(due) if due != first && !quarantined(&self.dir, due, first)? => {
                        let (expected, actual) = (due, first);
                        Err(Damage { file: path, offset: 0, kind: DamageKind::Missing, expected, actual }.into())
                    }
                    _ => Ok(true),
                }
            }
        }
    }
}

/// Whether a quarantined segment explains the gap from `due` to `first`.
fn quarantined(dir: &Path, due: u64, first: u64) -> Result<bool, Error> {
    Ok(files::list(dir, DAMAGED)?.iter().any(|segment| (due..first).contains(&segment.first)))
}

impl Iterator for Reader {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
