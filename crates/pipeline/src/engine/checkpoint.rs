//! Closed slices on disk, so that a restart knows the quiet past: what detectors and judges learned of it is learned again
//! from the same slices, in the same order.
//!
//! ```text
//! <data_dir>/checkpoint/<slice>.slice: "BTSLICE" version:u8 | grid origin:u64 | slice length:u64 (ns, little endian)
//!                                      | crc32c of all else:u32 | zstd of postcard
//! ```
//!
//! One file a slice, written beside its place and moved there, by a thread of its own: nothing waits for the disk, and a
//! file is there whole or not at all. What is older than `keep`, or past `max_bytes`, is removed. A file that cannot be
//! read is counted and left out, and its slice is a gap. There is no fsync: what a power failure tears the checksum finds.

use std::collections::VecDeque;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use backtrail_model::data::Data;
use backtrail_model::edges::EdgeSlice;
use backtrail_model::log_motifs::LogMotifSlice;
use backtrail_model::metrics::MetricSlice;
use backtrail_model::spectra::SpectraSlice;
use backtrail_model::time::{Slice, SliceGrid, UnixNano};
use serde::{Deserialize, Serialize};

use crate::context::Shared;
use crate::service::Checkpoint;
use crate::stats::NodeStats;

const MAGIC: &[u8; 7] = b"BTSLICE";
const VERSION: u8 = 2;
const HEADER: usize = MAGIC.len() + 1 + 8 + 8 + 4;
const EXTENSION: &str = "slice";
/// Slices that wait for the disk before others are left out.
const WAITING: usize = 64;
/// Most bytes that a file unpacks to.
const MOST_UNPACKED: u64 = 1 << 30;
/// How far ahead of the clock a slice may end: another machine wrote it, or the clock was set back.
const MOST_AHEAD: Duration = Duration::from_mins(1);

/// A closed slice, as it stands in a file.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
enum Closed {
    Edges(Arc<EdgeSlice>),
    Spectra(Arc<SpectraSlice>),
    LogMotifs(Arc<LogMotifSlice>),
    Metrics(Arc<MetricSlice>),
}

/// A closed slice and where it stood in the graph.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Part {
    /// The node that it came to, or that made it.
    pub(crate) node: String,
    /// Whether the node made it.
    pub(crate) made: bool,
    closed: Closed,
}

impl Part {
    /// `None` if the data is no slice.
    pub(crate) fn new(node: &str, made: bool, data: &Data) -> Option<Self> {
        let closed = match data {
            Data::Edges(part) => Closed::Edges(Arc::clone(part)),
            Data::Spectra(part) => Closed::Spectra(Arc::clone(part)),
            Data::LogMotifs(part) => Closed::LogMotifs(Arc::clone(part)),
            Data::MetricWindows(part) => Closed::Metrics(Arc::clone(part)),
            _ => return None,
        };
        Some(Self { node: node.to_owned(), made, closed })
    }

    /// The data as it flows.
    pub(crate) fn into_data(self) -> Data {
        match self.closed {
            Closed::Edges(part) => Data::Edges(part),
            Closed::Spectra(part) => Data::Spectra(part),
            Closed::LogMotifs(part) => Data::LogMotifs(part),
            Closed::Metrics(part) => Data::MetricWindows(part),
        }
    }
}

/// Everything that is kept of a slice.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) slice: Slice,
    pub(crate) parts: Vec<Part>,
}

/// Keeps slices while a graph runs.
pub(crate) struct Keeper {
    outbox: SyncSender<Kept>,
    stats: Arc<NodeStats>,
}

impl Keeper {
    /// Says what the nodes were told of the past.
    pub(crate) fn recalled(&self, slices: u64, unknown: u64) {
        self.stats.note("recalled_slices", slices);
        self.stats.note("parts_of_other_nodes", unknown);
        if slices > 0 {
            tracing::info!(slices, unknown, "the past is known from the checkpoint");
        }
    }

    /// Hands a slice to the thread that writes. If the disk is that far behind, it is left out; a slice in which nothing
    /// happened is a gap anyway.
    pub(crate) fn keep(&self, slice: Slice, parts: Vec<Part>) {
        if parts.is_empty() {
            return;
        }
        self.stats.accept(1);
        if self.outbox.try_send(Kept { slice, parts }).is_err() {
            self.stats.drop_items("disk_behind", 1);
        }
    }
}

/// The folder of a graph.
pub(crate) struct Store {
    dir: PathBuf,
    grid: SliceGrid,
    config: Checkpoint,
    /// Written files with their bytes, the oldest first.
    files: VecDeque<(Slice, PathBuf, u64)>,
    stats: Arc<NodeStats>,
    /// Held as long as the store is: two collectors would write each other's past.
    _lock: fs::File,
}

impl Store {
    /// Opens the folder of a graph. Without it the graph runs as well, only without a past: what is wrong is logged and
    /// counted.
    pub(crate) fn open(config: &Checkpoint, shared: &Shared, stats: Arc<NodeStats>) -> Option<Self> {
        let dir = shared.data_dir.join("checkpoint");
        let locked = fs::create_dir_all(&dir).and_then(|()| {
            let lock = fs::File::create(dir.join("lock"))?;
            lock.try_lock().map_err(std::io::Error::from).map(|()| lock)
        });
        match locked {
            Ok(lock) => Some(Self {
                dir,
                grid: shared.grid,
                config: config.clone(),
                files: VecDeque::new(),
                stats,
                _lock: lock,
            }),
            Err(error) => {
                stats.note("unavailable", 1);
                let dir = dir.display();
                tracing::error!(%dir, %error, "no checkpoint is kept; another collector may use this data_dir");
                None
            }
        }
    }

    /// Reads what a run before this one kept, the oldest first, and removes what is too old.
    pub(crate) fn read(&mut self, now: UnixNano) -> Vec<Kept> {
        let mut kept = Vec::new();
        for (slice, path) in self.list() {
            if self.grid.end(slice) < now.minus(self.config.keep.0) {
                remove(&path);
                continue;
            }
            let read = fs::read(&path).map_err(|error| error.to_string()).and_then(|bytes| {
                let read = unpack(&bytes, self.grid)?;
                if read.slice != slice {
                    return Err("it is another slice than its name says".to_owned());
                }
                if self.grid.end(slice) > now.plus(MOST_AHEAD) {
                    return Err("it is of a time to come".to_owned());
                }
                Ok((read, bytes.len() as u64))
            });
            match read {
                Ok((read, bytes)) => {
                    self.files.push_back((slice, path, bytes));
                    kept.push(read);
                }
                Err(why) => {
                    self.stats.note("refused", 1);
                    tracing::warn!(file = %path.display(), why, "a slice of the checkpoint is left out");
                }
            }
        }
        kept
    }

    /// Starts the thread that writes; it ends when the keeper is dropped.
    pub(crate) fn start(self) -> (Keeper, impl FnOnce() + Send + 'static) {
        let (outbox, inbox) = sync_channel(WAITING);
        let keeper = Keeper { outbox, stats: Arc::clone(&self.stats) };
        let mut store = self;
        let run = move || {
            while let Ok(kept) = inbox.recv() {
                match store.write(&kept) {
                    Ok(()) => store.stats.send(1),
                    Err(error) => {
                        store.stats.drop_items("not_written", 1);
                        tracing::warn!(dir = %store.dir.display(), %error, "a slice is not in the checkpoint");
                    }
                }
            }
        };
        (keeper, run)
    }

    fn write(&mut self, kept: &Kept) -> std::io::Result<()> {
        let bytes = pack(kept, self.grid).map_err(std::io::Error::other)?;
        let path = self.free(kept.slice);
        let unfinished = path.with_extension("tmp");
        fs::write(&unfinished, &bytes)?;
        fs::rename(&unfinished, &path)?;
        self.files.push_back((kept.slice, path, bytes.len() as u64));
        self.trim(kept.slice);
        Ok(())
    }

    /// Slices come in order. Only after a restart within a slice there may be a first part of it already.
    fn free(&self, slice: Slice) -> PathBuf {
        let named = |n: u32| self.dir.join(format!("{:020}-{n}.{EXTENSION}", slice.0));
        (0..100).map(named).find(|path| !path.exists()).unwrap_or_else(|| named(100))
    }

    fn trim(&mut self, newest: Slice) {
        let oldest = self.grid.end(newest).minus(self.config.keep.0);
        let mut sum: u64 = self.files.iter().map(|file| file.2).sum();
        while let Some((slice, path, bytes)) = self.files.front().cloned() {
            let too_old = self.grid.end(slice) < oldest;
            if !too_old && sum <= self.config.max_bytes.0 {
                break;
            }
            self.stats.note("removed_past_max_bytes", u64::from(!too_old));
            remove(&path);
            self.files.pop_front();
            sum -= bytes;
        }
    }

    /// The files by slice, the oldest first. What else lies there is left alone, but for what was never finished.
    fn list(&self) -> Vec<(Slice, PathBuf)> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "tmp") {
                remove(&path);
            }
            let name = path.file_stem().and_then(|name| name.to_str()).and_then(|name| name.split('-').next());
            if let Some(slice) = name.and_then(|name| name.parse().ok())
                && path.extension().is_some_and(|extension| extension == EXTENSION)
            {
                found.push((Slice(slice), path));
            }
        }
        found.sort();
        found
    }
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::warn!(file = %path.display(), %error, "an old slice of the checkpoint stays");
    }
}

/// The checksum covers everything but itself.
fn checksum(header: &[u8], payload: &[u8]) -> [u8; 4] {
    crc32c::crc32c_append(crc32c::crc32c(header), payload).to_le_bytes()
}

fn pack(kept: &Kept, grid: SliceGrid) -> Result<Vec<u8>, String> {
    let payload = postcard::to_allocvec(kept).map_err(|error| error.to_string())?;
    let payload = zstd::encode_all(&*payload, 1).map_err(|error| error.to_string())?;
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    bytes.extend_from_slice(MAGIC);
    bytes.push(VERSION);
    bytes.extend_from_slice(&grid.origin.0.to_le_bytes());
    bytes.extend_from_slice(&(grid.length.as_nanos() as u64).to_le_bytes());
    let sum = checksum(&bytes, &payload);
    bytes.extend_from_slice(&sum);
    bytes.extend_from_slice(&payload);
    Ok(bytes)
}

fn unpack(bytes: &[u8], grid: SliceGrid) -> Result<Kept, String> {
    let Some((header, payload)) = bytes.split_at_checked(HEADER) else {
        return Err("it ends in its header".to_owned());
    };
    let (header, sum) = header.split_at(HEADER - 4);
    if !header.starts_with(MAGIC) {
        return Err("it does not begin as a slice of a checkpoint".to_owned());
    }
    let version = header[MAGIC.len()];
    if version != VERSION {
        return Err(format!("its version is {version}, and this one reads {VERSION}"));
    }
    if sum != checksum(header, payload) {
        return Err("its checksum is wrong: some of its bytes are not those that were written".to_owned());
    }
    let number = |at: usize| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&header[at..at + 8]);
        u64::from_le_bytes(bytes)
    };
    let (origin, length) = (number(MAGIC.len() + 1), number(MAGIC.len() + 9));
    if (origin, length) != (grid.origin.0, grid.length.as_nanos() as u64) {
        let length = Duration::from_nanos(length);
        return Err(format!("its slices are {length:?} long from {origin}, and now they are {:?}", grid.length));
    }
    let mut unpacked = Vec::new();
    let decoder = zstd::Decoder::new(payload).map_err(|error| error.to_string())?;
    decoder.take(MOST_UNPACKED).read_to_end(&mut unpacked).map_err(|error| error.to_string())?;
    postcard::from_bytes(&unpacked).map_err(|error| format!("another version of backtrail wrote it: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Context;
    use crate::units::ByteSize;

    const SECOND: u64 = 1_000_000_000;

    fn kept(slice: u64) -> Kept {
        let data = Data::Spectra(Arc::new(SpectraSlice::new(Slice(slice))));
        Kept { slice: Slice(slice), parts: vec![Part::new("judge", false, &data).expect("a slice")] }
    }

    fn store(dir: &Path, config: &Checkpoint) -> (Store, Arc<NodeStats>) {
        let cx = Context::for_test_in("x", dir);
        let stats = Arc::<NodeStats>::default();
        (Store::open(config, cx.shared(), Arc::clone(&stats)).expect("it opens"), stats)
    }

    fn write(dir: &Path, config: &Checkpoint, slices: std::ops::Range<u64>) -> Arc<NodeStats> {
        let (mut store, stats) = store(dir, config);
        store.read(UnixNano(0));
        for slice in slices {
            store.write(&kept(slice)).expect("written");
        }
        stats
    }

    fn files(dir: &Path) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> =
            fs::read_dir(dir.join("checkpoint")).expect("a folder").flatten().map(|entry| entry.path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "slice"));
        files.sort();
        files
    }

    #[test]
    fn what_was_kept_comes_back_in_order_as_long_as_it_is_new_enough() {
        let dir = tempfile::tempdir().expect("a folder");
        let config = Checkpoint { keep: crate::Duration::from_secs(150), ..Checkpoint::default() };
        write(dir.path(), &config, 100..130);
        assert_eq!(files(dir.path()).len(), 11, "the last 150 s");
        let (mut store, stats) = store(dir.path(), &config);
        let now = UnixNano(131 * 15 * SECOND);
        let read = store.read(now);
        assert_eq!(read, (121..130).map(kept).collect::<Vec<_>>());
        assert!(stats.notes().is_empty());
        // A second part of a slice takes the place of nothing.
        store.write(&kept(129)).expect("written");
        assert_eq!(files(dir.path()).len(), 10);
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many_bytes() {
        let dir = tempfile::tempdir().expect("a folder");
        let one = pack(&kept(1), Context::for_test("x").grid()).expect("packs").len() as u64;
        let config = Checkpoint { max_bytes: ByteSize(one * 7 / 2), ..Checkpoint::default() };
        let stats = write(dir.path(), &config, 100..110);
        assert_eq!((files(dir.path()).len(), stats.notes()["removed_past_max_bytes"]), (3, 7));
    }

    #[test]
    fn every_flipped_bit_is_found_and_costs_one_slice() {
        let dir = tempfile::tempdir().expect("a folder");
        let config = Checkpoint::default();
        write(dir.path(), &config, 100..103);
        let now = UnixNano(104 * 15 * SECOND);
        let file = files(dir.path())[1].clone();
        let whole = fs::read(&file).expect("readable");
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&file, &bytes).expect("writable");
            let (mut store, stats) = store(dir.path(), &config);
            assert_eq!(store.read(now), [kept(100), kept(102)], "byte {at}");
            assert_eq!(stats.notes()["refused"], 1);
        }
        for len in 0..whole.len() {
            fs::write(&file, &whole[..len]).expect("writable");
            assert_eq!(store(dir.path(), &config).0.read(now).len(), 2, "{len} bytes");
        }
    }

    #[test]
    fn slices_of_another_grid_or_of_a_time_to_come_are_refused_with_the_reason() {
        let grid = Context::for_test("x").grid();
        let bytes = pack(&kept(7), grid).expect("packs");
        assert_eq!(unpack(&bytes, grid).expect("reads"), kept(7));
        let other = SliceGrid { length: Duration::from_secs(5), ..grid };
        assert!(unpack(&bytes, other).expect_err("refused").contains("15s long"));
        let dir = tempfile::tempdir().expect("a folder");
        write(dir.path(), &Checkpoint::default(), 100..101);
        let (mut store, stats) = store(dir.path(), &Checkpoint::default());
        assert!(store.read(UnixNano(50 * 15 * SECOND)).is_empty());
        assert_eq!(stats.notes()["refused"], 1);
    }

    #[test]
    fn a_folder_serves_one_collector_at_a_time() {
        let dir = tempfile::tempdir().expect("a folder");
        let (first, _) = store(dir.path(), &Checkpoint::default());
        let stats = Arc::<NodeStats>::default();
        let cx = Context::for_test_in("x", dir.path());
        assert!(Store::open(&Checkpoint::default(), cx.shared(), Arc::clone(&stats)).is_none());
        assert_eq!(stats.notes()["unavailable"], 1);
        drop(first);
        store(dir.path(), &Checkpoint::default());
    }
}
