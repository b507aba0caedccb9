//! Folders that are given to a run: how large they are, and whose.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::{Path, PathBuf};

/// Bytes and files.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Size {
    pub(crate) bytes: u64,
    pub(crate) files: u64,
}

/// More entries than this are not looked at; the limit on files is far below.
const MOST: u64 = 5_000_000;

/// Size on disk of folders. What cannot be read, or goes away meanwhile, counts nothing.
pub(crate) fn size(folders: &[PathBuf]) -> Size {
    let mut size = Size::default();
    let mut open = folders.to_vec();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            // Of the entry itself: a link is not followed.
            let Ok(meta) = entry.metadata() else { continue };
            size.files += 1;
            size.bytes += meta.blocks() * 512;
            if meta.is_dir() {
                open.push(entry.path());
            }
            if size.files > MOST {
                return size;
            }
        }
    }
    size
}

/// Gives a folder and all in it to a user. Links are given and not followed; hard links into it cannot exist, because a
/// run sees each folder as a mount of its own.
pub(crate) fn give(folder: &Path, (uid, gid): (u32, u32)) -> io::Result<()> {
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        let meta = fs::symlink_metadata(&path)?;
        if (meta.uid(), meta.gid()) != (uid, gid) {
            lchown(&path, Some(uid), Some(gid))?;
        }
        if meta.is_dir() {
            for entry in fs::read_dir(&path)? {
                open.push(entry?.path());
            }
        }
    }
    Ok(())
}
