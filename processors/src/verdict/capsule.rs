//! A verdict's inputs on disk, so that it can be judged again: `backtrail replay --verdict ID`.
//!
//! ```text
//! capsule: "BTCAPSULE" version:u8 | crc32c of the payload:u32 (little endian) | payload: zstd of postcard
//! ```
//!
//! A capsule is named after the verdict. It holds slices, changes, owners and settings, and the document that was made of them,
//! so a replay can say whether it got the same one.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use backtrail_model::change::Change;
use backtrail_model::incident::Incident;
use backtrail_model::ownership::Ownership;
use backtrail_model::time::Slice;
use backtrail_model::verdict::Verdict;
use serde::{Deserialize, Serialize};

use super::config::Capsules;
use super::inputs::{Inputs, Settings};
use super::quiets::Quiets;
use super::ring::Selected;

const MAGIC: &[u8; 9] = b"BTCAPSULE";
const VERSION: u8 = 3;
const HEADER: usize = MAGIC.len() + 1 + 4;
/// Ends the name of a capsule.
const EXTENSION: &str = "capsule";
/// Level of compression: a verdict waits for it.
const LEVEL: i32 = 1;
/// Most bytes that a capsule unpacks to.
const MOST_UNPACKED: u64 = 4 << 30;

/// A capsule could not be read.
#[derive(Debug, thiserror::Error)]
pub enum CapsuleError {
    /// The file cannot be read.
    #[error("cannot read the capsule {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is something else, or of another version.
    #[error("{} is no capsule of this version of backtrail: {why}", path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Some of its bytes are not those that were written.
    #[error("the capsule {} is damaged: {why}", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

/// What is written. Changes and the document are JSON: that is what they are elsewhere, and JSON has their defaults.
#[derive(Serialize, Deserialize)]
struct Payload {
    incident: Incident,
    opened: Slice,
    selected: Selected,
    settings: Settings,
    changes: String,
    ownership: Option<Arc<Ownership>>,
    document: String,
}

/// A capsule that was read.
pub struct Capsule {
    inputs: Inputs,
    document: String,
}

impl Capsule {
    /// Reads and checks a capsule.
    ///
    /// # Errors
    /// When it cannot be read, is none, or is damaged.
    pub fn read(path: &Path) -> Result<Self, CapsuleError> {
        let bytes = fs::read(path).map_err(|source| CapsuleError::Io { path: path.to_owned(), source })?;
        let payload = unpack(&bytes).map_err(|problem| problem.of(path))?;
        let damaged = |why: String| Problem::Damaged(why).of(path);
        let changes: Vec<Arc<Change>> =
            serde_json::from_str(&payload.changes).map_err(|error| damaged(error.to_string()))?;
        let Payload { mut incident, opened, selected, settings, ownership, document, .. } = payload;
        incident.opened = opened;
        Ok(Self { inputs: Inputs { incident, selected, changes, ownership, settings }, document })
    }

    /// Judges again.
    pub fn verdict(&self) -> Verdict {
        self.inputs.verdict(&mut Quiets::default()).1
    }

    /// The document that was made of the inputs, as JSON.
    pub fn document(&self) -> &str {
        &self.document
    }

    /// Name and version of the program that made it.
    pub fn engine(&self) -> &str {
        &self.inputs.settings.engine
    }
}

/// The verdict ids of the capsules in a folder, the newest first.
///
/// # Errors
/// When the folder cannot be read.
pub fn list(dir: &Path) -> std::io::Result<Vec<String>> {
    let files = files(dir)?;
    let id = |file: &File| file.path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    Ok(files.iter().rev().filter_map(id).collect())
}

/// Where the capsule of a verdict lies.
pub fn path_of(dir: &Path, verdict_id: &str) -> PathBuf {
    dir.join(format!("{verdict_id}.{EXTENSION}"))
}

/// Writes the capsules of a node, and removes old ones.
pub(super) struct Keeper {
    config: Capsules,
    dir: PathBuf,
}

impl Keeper {
    pub(super) fn new(config: &Capsules, data_dir: &Path) -> Self {
        let dir = config.path.clone().unwrap_or_else(|| data_dir.join("capsules"));
        Self { config: config.clone(), dir }
    }

    /// Where the capsules lie, if any are written.
    pub(super) fn dir(&self) -> Option<&Path> {
        self.config.enabled.then_some(&*self.dir)
    }

    /// Writes a capsule, and removes the oldest until the rest is within its bounds. Without its capsule a verdict is as
    /// good as before, so what fails is logged only.
    pub(super) fn keep(&self, inputs: &Inputs, verdict: &Verdict) {
        let Some(dir) = self.dir() else { return };
        if let Err(error) = self.write(dir, inputs, verdict) {
            tracing::warn!(verdict = verdict.id, dir = %dir.display(), error, "the capsule of a verdict was not kept");
        }
    }

    fn write(&self, dir: &Path, inputs: &Inputs, verdict: &Verdict) -> Result<(), String> {
        let bytes = pack(inputs, verdict).map_err(|error| error.to_string())?;
        let (size, most) = (bytes.len() as u64, self.config.max_bytes.0);
        if size > most {
            return Err(format!("it has {size} bytes, and capsules.max_bytes is {most}"));
        }
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(dir)?;
            let path = path_of(dir, &verdict.id);
            let unfinished = path.with_extension("tmp");
            fs::write(&unfinished, &bytes)?;
            fs::rename(&unfinished, &path)?;
            let files = files(dir)?;
            let (mut count, mut sum) = (files.len(), files.iter().map(|file| file.bytes).sum::<u64>());
            for file in files.iter().filter(|file| file.path != path) {
                if count <= self.config.max_count && sum <= most {
                    break;
                }
                match fs::remove_file(&file.path) {
                    // An investigation keeps capsules in the same folder, and was faster.
                    Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
                count -= 1;
                sum -= file.bytes;
            }
            Ok(())
        };
        write().map_err(|error| error.to_string())
    }
}

struct File {
    modified: Option<std::time::SystemTime>,
    path: PathBuf,
    bytes: u64,
}

/// The capsules in a folder, the oldest first.
fn files(dir: &Path) -> std::io::Result<Vec<File>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION) {
            let about = fs::metadata(&path)?;
            files.push(File { modified: about.modified().ok(), bytes: about.len(), path });
        }
    }
    files.sort_by(|a, b| (a.modified, &a.path).cmp(&(b.modified, &b.path)));
    Ok(files)
}

fn pack(inputs: &Inputs, verdict: &Verdict) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let payload = Payload {
        incident: inputs.incident.clone(),
        opened: inputs.incident.opened,
        selected: inputs.selected.clone(),
        settings: inputs.settings.clone(),
        changes: serde_json::to_string(&inputs.changes)?,
        ownership: inputs.ownership.clone(),
        document: serde_json::to_string(verdict)?,
    };
    let payload = zstd::encode_all(&*postcard::to_allocvec(&payload)?, LEVEL)?;
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    bytes.extend_from_slice(MAGIC);
    bytes.push(VERSION);
    bytes.extend_from_slice(&crc32c::crc32c(&payload).to_le_bytes());
    bytes.extend_from_slice(&payload);
    Ok(bytes)
}

enum Problem {
    Foreign(String),
    Damaged(String),
}

impl Problem {
    fn of(self, path: &Path) -> CapsuleError {
        let path = path.to_owned();
        match self {
            Self::Foreign(why) => CapsuleError::Foreign { path, why },
            Self::Damaged(why) => CapsuleError::Damaged { path, why },
        }
    }
}

fn unpack(bytes: &[u8]) -> Result<Payload, Problem> {
    let Some((_, rest)) = bytes.split_first_chunk::<9>().filter(|(magic, _)| *magic == MAGIC) else {
        return Err(Problem::Foreign("it does not begin as one".to_owned()));
    };
    let damaged = |why: &str| Problem::Damaged(why.to_owned());
    let (&version, rest) = rest.split_first().ok_or_else(|| damaged("it ends in its header"))?;
    if version != VERSION {
        return Err(Problem::Foreign(format!("its version is {version}, and this one reads {VERSION}")));
    }
    let (sum, payload) = rest.split_first_chunk::<4>().ok_or_else(|| damaged("it ends in its header"))?;
    let (written, found) = (u32::from_le_bytes(*sum), crc32c::crc32c(payload));
    if written != found {
        return Err(Problem::Damaged(format!("its checksum is {found:08x}, and {written:08x} was written")));
    }
    // The checksum holds, so from here on only another program's writing can be wrong.
    let foreign = |error: &dyn std::fmt::Display| Problem::Foreign(error.to_string());
    let mut unpacked = Vec::new();
    let decoder = zstd::Decoder::new(payload).map_err(|error| foreign(&error))?;
    decoder.take(MOST_UNPACKED).read_to_end(&mut unpacked).map_err(|error| foreign(&error))?;
    postcard::from_bytes(&unpacked).map_err(|error| foreign(&error))
}
