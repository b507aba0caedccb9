//! Folders that are given to a run: how large they are, and whose.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::{Path, PathBuf};

use nix::sys::statvfs::statvfs;

/// Bytes and files.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Size {
    pub(crate) bytes: u64,
    pub(crate) files: u64,
    /// Whether there were folders that we may not read.
    pub(crate) closed: bool,
}

/// More entries than this are not looked at; the limit on files is far below.
const MOST: u64 = 5_000_000;

/// Size on disk of folders. What cannot be read, or goes away meanwhile, counts nothing.
pub(crate) fn size(folders: &[PathBuf]) -> Size {
    let mut size = Size::default();
    let mut open = folders.to_vec();
    while let Some(folder) = open.pop() {
        let entries = fs::read_dir(&folder);
        size.closed |= entries.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
        for entry in entries.into_iter().flatten().flatten() {
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

/// Bytes in use on the file system of a folder, by everyone.
pub(crate) fn in_use(folder: &Path) -> u64 {
    statvfs(folder).map_or(0, |all| (all.blocks() - all.blocks_free()) * all.fragment_size())
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
