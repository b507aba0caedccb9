//! Appending to a spool.

use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::error::{Context, Damage, Error};
use crate::files::{self, DAMAGED, SEGMENT, SegmentFile};
use crate::format::{self, RECORD_HEADER, SEGMENT_HEADER, Step};

/// Settings of a [`Writer`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// A segment past this size is closed and the next one begun.
    pub segment_bytes: u64,
    /// Most bytes of all segments; past it `append` says [`Error::Full`].
    pub max_total_bytes: u64,
    /// Whether `sync`, rotation and opening wait for the disk. Off only where a loss of power may lose data.
    pub fsync: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 16 << 20, max_total_bytes: 1 << 30, fsync: true }
    }
}

/// What `open` found at the end of the last segment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recovered {
    /// Bytes of an incomplete record that were truncated, with their place.
    pub torn: Option<(PathBuf, u64, u64)>,
    /// Damage in the last segment: the writer left it alone and goes on in a new one.
    pub damage: Option<Damage>,
}

/// The one writer of a spool directory (a lock file sees to that). `append` hands the record to the operating system;
/// `sync` makes everything appended so far survive a loss of power.
#[derive(Debug)]
pub struct Writer {
    dir: PathBuf,
    options: Options,
    file: File,
    path: PathBuf,
    /// Length of the open segment.
    offset: u64,
    /// Bytes of the other segments.
    closed: u64,
    next: u64,
    buffer: Vec<u8>,
    recovered: Recovered,
    broken: bool,
    _lock: File,
}

impl Writer {
    /// Opens or creates a spool; truncates a torn tail, and reports it by [`Self::recovered`].
    pub fn open(dir: impl Into<PathBuf>, options: Options) -> Result<Self, Error> {
        let dir = dir.into();
        fs::create_dir_all(&dir).during("create", &dir)?;
        let lock = lock(&dir)?;
        files::remove_leftovers(&dir)?;
        let mut segments = files::list(&dir, SEGMENT)?;
        let mut next = after_quarantined(&dir, segments.last().map_or(0, |last| last.first))?;
        let mut recovered = Recovered::default();
        let mut reuse = None;
        if let Some(last) = segments.last() {
            let (end, due) = recover(last, options.fsync, &mut recovered)?;
            next = next.max(due);
            reuse = end.filter(|_| next == due);
        }
        let (path, offset) = if let (Some(end), Some(last)) = (reuse, segments.pop_if(|_| reuse.is_some())) {
            (last.path, end)
        } else {
            (create_segment(&dir, next, options.fsync)?, SEGMENT_HEADER)
        };
        let mut file = OpenOptions::new().write(true).open(&path).during("open", &path)?;
        file.seek(SeekFrom::Start(offset)).during("seek", &path)?;
        let closed = segments.iter().map(|segment| segment.len).sum();
        Ok(Self {
            dir,
            options,
            file,
            path,
            offset,
            closed,
            next,
            buffer: Vec::new(),
            recovered,
            broken: false,
            _lock: lock,
        })
    }

    /// What was repaired or found damaged on open.
    pub const fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// The sequence of the next record.
    pub const fn next_sequence(&self) -> u64 {
        self.next
    }

    /// Bytes of all segments.
    pub const fn total_bytes(&self) -> u64 {
        self.closed + self.offset
    }

    /// Appends a record and returns its sequence. On an error nothing was appended.
    pub fn append(&mut self, payload: &[u8]) -> Result<u64, Error> {
        if self.broken {
            return Err(Error::Broken(self.dir.clone()));
        }
        let len = u32::try_from(payload.len()).map_err(|_| Error::TooLarge(payload.len()))?;
        let size = RECORD_HEADER + u64::from(len);
        let rotates = self.offset > SEGMENT_HEADER && self.offset + size > self.options.segment_bytes;
        self.make_room(size + if rotates { SEGMENT_HEADER } else { 0 })?;
        if rotates {
            self.rotate()?;
        }
        self.buffer.clear();
        format::push_record(&mut self.buffer, self.next, len, payload);
        if let Err(source) = self.file.write_all(&self.buffer) {
            self.take_back();
            return Err(Error::Io { action: "write", path: self.path.clone(), source });
        }
        self.offset += size;
        self.next += 1;
        Ok(self.next - 1)
    }

    /// Waits until everything appended so far is on the disk.
    pub fn sync(&mut self) -> Result<(), Error> {
        if self.options.fsync
            && let Err(source) = self.file.sync_data()
        {
            // After a failed fsync the kernel may have thrown the pages away: nobody knows what is on the disk.
            self.broken = true;
            return Err(Error::Io { action: "sync", path: self.path.clone(), source });
        }
        Ok(())
    }

    /// Checks the limit; a consumer may have deleted segments since the last look.
    fn make_room(&mut self, needed: u64) -> Result<(), Error> {
        let limit = self.options.max_total_bytes;
        if self.total_bytes() + needed <= limit {
            return Ok(());
        }
        let segments = files::list(&self.dir, SEGMENT)?;
        self.closed = segments.iter().filter(|segment| segment.path != self.path).map(|segment| segment.len).sum();
        let used = self.total_bytes();
        if used + needed <= limit { Ok(()) } else { Err(Error::Full { dir: self.dir.clone(), used, limit, needed }) }
    }

    fn rotate(&mut self) -> Result<(), Error> {
        self.sync()?;
        let path = create_segment(&self.dir, self.next, self.options.fsync)?;
        let mut file = OpenOptions::new().write(true).open(&path).during("open", &path)?;
        file.seek(SeekFrom::Start(SEGMENT_HEADER)).during("seek", &path)?;
        self.closed += self.offset;
        (self.file, self.path, self.offset) = (file, path, SEGMENT_HEADER);
        Ok(())
    }

    /// Removes a record that was written in part (disk full).
    fn take_back(&mut self) {
        let back = self.file.set_len(self.offset).and_then(|()| self.file.seek(SeekFrom::Start(self.offset)));
        self.broken = back.is_err();
    }
}

fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).during("create", &path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(fs::TryLockError::WouldBlock) => Err(Error::Locked(dir.to_owned())),
        Err(fs::TryLockError::Error(source)) => Err(Error::Io { action: "lock", path, source }),
    }
}

fn create_segment(dir: &Path, first: u64, fsync: bool) -> Result<PathBuf, Error> {
    let path = files::segment_path(dir, first);
    files::write_atomically(&path, &format::segment_header(first), fsync)?;
    Ok(path)
}

/// The least sequence that no quarantined segment behind the last segment can hold.
fn after_quarantined(dir: &Path, last: u64) -> Result<u64, Error> {
    let damaged = files::list(dir, DAMAGED)?;
    Ok(damaged
        .iter()
        .filter(|segment| segment.first >= last)
        .map(|segment| segment.first + segment.len / RECORD_HEADER)
        .max()
        .unwrap_or(0))
}

/// Reads the last segment to its end. Returns where to append (none if it is damaged) and the next sequence.
fn recover(last: &SegmentFile, fsync: bool, recovered: &mut Recovered) -> Result<(Option<u64>, u64), Error> {
    let path = &last.path;
    let mut file = BufReader::new(File::open(path).during("open", path)?);
    // Behind damage of unknown extent lie at most this many records.
    let beyond = |offset: u64, due: u64| due + (last.len - offset) / RECORD_HEADER + 1;
    match format::check_segment_header(&mut file, last.first).during("read", path)? {
        Some(Ok(())) => {}
        Some(Err(bad)) => {
            recovered.damage = Some(damage(path, 0, bad));
            return Ok((None, beyond(0, last.first)));
        }
        None => {
            files::write_atomically(path, &format::segment_header(last.first), fsync)?;
            recovered.torn = Some((path.clone(), 0, last.len));
            return Ok((Some(SEGMENT_HEADER), last.first));
        }
    }
    let (mut offset, mut due) = (SEGMENT_HEADER, last.first);
    loop {
        match format::read_record(&mut file, offset, last.len, due).during("read", path)? {
            Step::Record { payload, .. } => {
                offset += RECORD_HEADER + payload.len() as u64;
                due += 1;
            }
            Step::End => return Ok((recovered.damage.is_none().then_some(offset), due)),
            Step::Torn { .. } => {
                truncate(path, offset, fsync)?;
                recovered.torn = Some((path.clone(), offset, last.len - offset));
                return Ok((recovered.damage.is_none().then_some(offset), due));
            }
            Step::Bad { bad, next: Some(next) } => {
                recovered.damage.get_or_insert_with(|| damage(path, offset + RECORD_HEADER, bad));
                (offset, due) = (next, due + 1);
            }
            Step::Bad { bad, next: None } => {
                recovered.damage.get_or_insert_with(|| damage(path, offset, bad));
                return Ok((None, beyond(offset, due)));
            }
        }
    }
}

fn damage(path: &Path, offset: u64, bad: format::Bad) -> Damage {
    Damage { file: path.to_owned(), offset, kind: bad.kind, expected: bad.expected, actual: bad.actual }
}

fn truncate(path: &Path, len: u64, fsync: bool) -> Result<(), Error> {
    let file = OpenOptions::new().write(true).open(path).during("open", path)?;
    file.set_len(len).during("truncate", path)?;
    if fsync { file.sync_all().during("sync", path) } else { Ok(()) }
}
