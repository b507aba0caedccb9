//! The files of a recording: found, opened, inflated, cut into lines of bounded length.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backtrail_pipeline::NodeError;
use backtrail_pipeline::stats::NodeStats;

use crate::inflate::Encoding;

/// Bytes that are read from a file at a time.
const READ: usize = 256 << 10;

/// An open file.
pub(super) struct Input {
    pub(super) path: PathBuf,
    encoding: Encoding,
    file: File,
    stats: Arc<NodeStats>,
}

/// One line.
pub(super) enum Line {
    /// Its bytes are in the buffer.
    Read,
    /// It was longer than it may be and was skipped.
    TooLong,
    /// There are no more.
    End,
}

/// The lines of an input.
pub(super) struct Lines {
    reader: BufReader<Box<dyn Read + Send>>,
    longest: usize,
    /// Number of the last line, from 1.
    pub(super) number: u64,
}

impl Input {
    /// Opens the file `path`, or the recordings in the folder `path`, in the order of their names.
    pub(super) fn open_all(path: &Path, stats: &Arc<NodeStats>) -> Result<Vec<Self>, NodeError> {
        let failed = |path: &Path, error: io::Error| {
            NodeError::config(
                format!("{} cannot be replayed: {error}", path.display()),
                "write the path of a .jsonl, .jsonl.gz or .jsonl.zst file, or of a folder of them",
            )
        };
        let files = if path.is_dir() {
            recordings(path).map_err(|error| failed(path, error))?
        } else {
            vec![(path.to_owned(), encoding(path).unwrap_or(Encoding::Identity))]
        };
        if files.is_empty() {
            let missing = io::Error::new(io::ErrorKind::NotFound, "no recording in this folder");
            return Err(failed(path, missing));
        }
        let mut inputs = Vec::with_capacity(files.len());
        for (path, encoding) in files {
            let file = File::open(&path).map_err(|error| failed(&path, error))?;
            let length = file.metadata().map_err(|error| failed(&path, error))?.len();
            stats.note("replay_bytes_total", length);
            inputs.push(Self { path, encoding, file, stats: Arc::clone(stats) });
        }
        Ok(inputs)
    }

    /// Its lines, none longer than `longest`.
    pub(super) fn lines(self, longest: usize) -> io::Result<Lines> {
        let counting = Counting { file: self.file, stats: self.stats };
        let inflated = self.encoding.reader(BufReader::with_capacity(READ, counting))?;
        Ok(Lines { reader: BufReader::with_capacity(READ, inflated), longest, number: 0 })
    }
}

/// Recordings in a folder. Other `.jsonl` files (labels, notes) lie beside the ones that say what they are.
fn recordings(folder: &Path) -> io::Result<Vec<(PathBuf, Encoding)>> {
    let mut all = Vec::new();
    for entry in folder.read_dir()? {
        let path = entry?.path();
        if let Some(encoding) = encoding(&path).filter(|_| path.is_file()) {
            all.push((path, encoding));
        }
    }
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    let named = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().contains(".otlp.jsonl"));
    if all.iter().any(|(path, _)| named(path)) {
        all.retain(|(path, _)| named(path));
    }
    Ok(all)
}

/// The encoding that a recording's name tells, `None` for other files.
fn encoding(path: &Path) -> Option<Encoding> {
    let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
    let known = [(".jsonl", Encoding::Identity), (".jsonl.gz", Encoding::Gzip), (".jsonl.zst", Encoding::Zstd)];
    known.into_iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, encoding)| encoding)
}

/// Counts what was read, for whoever shows the progress.
struct Counting {
    file: File,
    stats: Arc<NodeStats>,
}

impl Read for Counting {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(into)?;
        self.stats.note("replay_bytes_read", read as u64);
        Ok(read)
    }
}

impl Lines {
    /// Reads the next line into `line`, without its end.
    pub(super) fn next(&mut self, line: &mut Vec<u8>) -> io::Result<Line> {
        line.clear();
        let read = self.reader.by_ref().take(self.longest as u64 + 1).read_until(b'\n', line)?;
        if read == 0 {
            return Ok(Line::End);
        }
        self.number += 1;
        if line.last() == Some(&b'\n') {
            line.pop();
            return Ok(Line::Read);
        }
        if line.len() <= self.longest {
            return Ok(Line::Read);
        }
        self.skip_line()?;
        Ok(Line::TooLong)
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.reader.fill_buf()?;
            let end = buffer.iter().position(|&byte| byte == b'\n');
            let (used, done) = end.map_or((buffer.len(), buffer.is_empty()), |end| (end + 1, true));
            self.reader.consume(used);
            if done {
                return Ok(());
            }
        }
    }
}
