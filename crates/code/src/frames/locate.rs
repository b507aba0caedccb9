//! From frames as deployed to functions of the repository.

use serde::{Deserialize, Serialize};

use super::{Frame, SourceFrame};
use crate::index::{FunctionId, Index};
use crate::language::Language;

/// A frame inside the repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Located {
    /// Which frame it is, by its place in the trace.
    pub frame: usize,
    /// The path in the repository.
    pub path: String,
    /// The line; of the function's name when the frame had none.
    pub line: u32,
    /// The function there; `None` at the top of a file.
    pub function: Option<FunctionId>,
}

/// Where other people's code is installed. Paths there never mean the repository, whatever they end with.
const FOREIGN: [&str; 12] = [
    "site-packages/",
    "dist-packages/",
    "node_modules/",
    ".cargo/registry/",
    "/rustc/",
    "/usr/lib/",
    "/usr/local/lib/",
    "/usr/local/go/src/",
    "/pkg/mod/",
    "node:internal/",
    "/lib/rustlib/",
    "/vendor/",
];

/// The frames that are inside the repository, in the order of the trace.
///
/// A deployed path means the file of the repository that is its end (`/app/src/x.py` -> `src/x.py`), or whose path
/// ends with it, or that shares at least two last parts with it; and only if it is the only such file. A frame without a
/// file is found by its function's name.
pub fn locate(frames: &[Frame], index: &Index) -> Vec<Located> {
    let found = frames.iter().enumerate().filter_map(|(place, frame)| locate_one(place, frame.source()?, index));
    found.collect()
}

fn locate_one(place: usize, frame: &SourceFrame, index: &Index) -> Option<Located> {
    let Some(file) = &frame.file else {
        let id = index.named(frame.function.as_deref()?).one()?;
        let line = index.function(id)?.name_line;
        return Some(Located { frame: place, path: index.path_of(id).to_owned(), line, function: Some(id) });
    };
    let path = file_of(file, frame.language, index)?;
    let named = frame.function.as_deref().and_then(|name| index.named(name).one());
    let named = named.filter(|id| index.path_of(*id) == path);
    let function = frame.line.and_then(|line| index.at(&path, line)).or(named);
    let line = frame.line.or_else(|| Some(index.function(function?)?.name_line))?;
    Some(Located { frame: place, path, line, function })
}

fn file_of(deployed: &str, language: Language, index: &Index) -> Option<String> {
    let deployed = deployed.replace('\\', "/");
    if FOREIGN.iter().any(|folder| deployed.contains(folder) || format!("/{deployed}").contains(folder)) {
        return None;
    }
    let deployed = deployed.split(['?', '#']).next().unwrap_or_default();
    let deployed = deployed.split_once("://").map_or(deployed, |(_, rest)| rest);
    let wanted: Vec<&str> = deployed.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let mut best: (usize, Vec<&str>) = (0, Vec::new());
    for path in index.paths() {
        if path.rsplit('/').next() != wanted.last().copied() || !same_family(path, language) {
            continue;
        }
        let parts: Vec<&str> = path.split('/').collect();
        let shared = parts.iter().rev().zip(wanted.iter().rev()).take_while(|(a, b)| a == b).count();
        let whole = shared == parts.len() || shared == wanted.len();
        if shared == 0 || !whole && shared < 2 {
            continue;
        }
        if shared > best.0 {
            best = (shared, Vec::new());
        }
        if shared == best.0 {
            best.1.push(path);
        }
    }
    match best.1.as_slice() {
        [one] => Some((*one).to_owned()),
        _ => None,
    }
}

/// JavaScript frames may stand for TypeScript that a source map or a loader has put back.
fn same_family(path: &str, language: Language) -> bool {
    Language::of_path(path).is_some_and(|of_path| of_path == language || of_path.is_script() && language.is_script())
}
