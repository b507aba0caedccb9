//! A folder that nothing written through it can leave.
//!
//! Every path is walked one name at a time, each opened relative to the folder before it and never through a symbolic
//! link. So a link that a test put in place of a folder ends in an error and not outside, with no moment between check
//! and use. (`openat2` would do it in one call; walking also works where it is filtered or unknown.)

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, symlinkat, unlinkat};

use crate::error::Error;
use crate::tree_path::TreePath;

const FOLDER: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC).union(OFlag::O_RDONLY);

/// A folder, held open, below which files are written, read and removed.
#[derive(Debug)]
pub struct Root {
    folder: OwnedFd,
    path: PathBuf,
}

impl Root {
    /// Opens a folder that exists.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let what = || format!("could not open folder {}", path.display());
        let path = std::fs::canonicalize(path).map_err(Error::io(what()))?;
        let folder = File::open(&path).map_err(Error::io(what()))?;
        if !folder.metadata().map_err(Error::io(what()))?.is_dir() {
            return Err(Error::Config(format!("{} is no folder", path.display())));
        }
        Ok(Self { folder: folder.into(), path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of `path`, opened, and the last name.
    fn parent<'p>(&self, path: &'p TreePath, create: bool) -> Result<(OwnedFd, &'p [u8]), Error> {
        if let Some(why) = path.refusal() {
            return Err(Error::refused(path, why));
        }
        let what = || format!("could not open the folder of '{path}'");
        let mut folder = self.folder.try_clone().map_err(Error::io(what()))?;
        let mut names: Vec<&[u8]> = path.components().collect();
        let last = names.pop().expect("a checked path has a name");
        for name in names {
            folder = match openat(&folder, name, FOLDER, Mode::empty()) {
                Err(Errno::ENOENT) if create => {
                    match mkdirat(&folder, name, Mode::from_bits_truncate(0o755)) {
                        Ok(()) | Err(Errno::EEXIST) => {}
                        Err(errno) => return Err(Error::os(what())(errno)),
                    }
                    openat(&folder, name, FOLDER, Mode::empty())
                }
                opened => opened,
            }
            .map_err(|errno| match errno {
                // A link, or a file where a folder should be.
                Errno::ENOTDIR | Errno::ELOOP => {
                    Error::refused(path, "it leads through something that is not a folder")
                }
                Errno::ENOENT => Error::Missing(format!("'{path}'")),
                errno => Error::os(what())(errno),
            })?;
        }
        Ok((folder, last))
    }

    fn stat(folder: &OwnedFd, name: &[u8]) -> Option<FileStat> {
        fstatat(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW).ok()
    }

    /// Writes a file, in place of a file or link that is there. With `fresh`, something that is there is a refusal.
    pub fn write(&self, path: &TreePath, content: &[u8], executable: bool, fresh: bool) -> Result<(), Error> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let what = || format!("could not write '{path}'");
        let (folder, name) = self.parent(path, true)?;
        let is_folder = |there: &FileStat| there.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFDIR.bits();
        if Self::stat(&folder, name).is_some_and(|there| fresh || is_folder(&there)) {
            return Err(Error::refused(path, "something else is at this path"));
        }
        let mode = Mode::from_bits_truncate(if executable { 0o755 } else { 0o644 });
        // Written beside and moved over: whoever has the old file open, or a hard link to it, keeps the old content.
        let beside = format!(".backtrail-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mut file = File::from(openat(&folder, beside.as_str(), flags, mode).map_err(Error::os(what()))?);
        let written = file
            .write_all(content)
            .map_err(Error::io(what()))
            .and_then(|()| nix::sys::stat::fchmod(&file, mode).map_err(Error::os(what())))
            .and_then(|()| renameat(&folder, beside.as_str(), &folder, name).map_err(Error::os(what())));
        if written.is_err() {
            let _ = unlinkat(&folder, beside.as_str(), UnlinkatFlags::NoRemoveDir);
        }
        written
    }

    /// Reads a plain file of at most `max` bytes.
    pub fn read(&self, path: &TreePath, max: u64) -> Result<Vec<u8>, Error> {
        let what = || format!("could not read '{path}'");
        let (folder, name) = self.parent(path, false)?;
        // Not blocking, so that a pipe in place of a file does not hold us up.
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let file = match openat(&folder, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::ENOENT) => return Err(Error::Missing(format!("'{path}'"))),
            Err(Errno::ELOOP) => return Err(Error::refused(path, "a symbolic link")),
            Err(errno) => return Err(Error::os(what())(errno)),
        };
        if !file.metadata().map_err(Error::io(what()))?.is_file() {
            return Err(Error::refused(path, "not a plain file"));
        }
        let mut content = Vec::new();
        file.take(max.saturating_add(1)).read_to_end(&mut content).map_err(Error::io(what()))?;
        if content.len() as u64 > max {
            return Err(Error::TooLarge { what: format!("'{path}'"), limit: max });
        }
        Ok(content)
    }

    /// Whether a plain file is there that may be executed; `None` if no plain file is there.
    pub fn executable(&self, path: &TreePath) -> Option<bool> {
        let (folder, name) = self.parent(path, false).ok()?;
        let stat = Self::stat(&folder, name)?;
        (stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFREG.bits()).then_some(stat.st_mode & 0o100 != 0)
    }

    /// Removes a file or link; that nothing is there is no failure. Folders that are empty afterwards go too, because
    /// git knows none.
    pub fn remove(&self, path: &TreePath) -> Result<(), Error> {
        let (folder, name) = match self.parent(path, false) {
            Ok(found) => found,
            Err(Error::Missing(_)) => return Ok(()),
            Err(error) => return Err(error),
        };
        match unlinkat(&folder, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(Error::os(format!("could not remove '{path}'"))(errno)),
        }
        let mut above = path.as_bytes();
        while let Some(slash) = above.iter().rposition(|byte| *byte == b'/') {
            above = &above[..slash];
            let up = TreePath::raw(above);
            let Ok((folder, name)) = self.parent(&up, false) else { break };
            if unlinkat(&folder, name, UnlinkatFlags::RemoveDir).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Makes a symbolic link, if it cannot lead out of this folder.
    pub fn link(&self, path: &TreePath, target: &[u8], fresh: bool) -> Result<(), Error> {
        if let Some(why) = leads_out(path, target) {
            return Err(Error::refused(path, why));
        }
        let (folder, name) = self.parent(path, true)?;
        if !fresh {
            let _ = unlinkat(&folder, name, UnlinkatFlags::NoRemoveDir);
        }
        match symlinkat(std::ffi::OsStr::from_bytes(target), &folder, name) {
            Err(Errno::EEXIST) => Err(Error::refused(path, "something else is at this path")),
            made => made.map_err(Error::os(format!("could not link '{path}'"))),
        }
    }

    /// Where a link at `path` leads, if one is there.
    pub fn target(&self, path: &TreePath) -> Option<Vec<u8>> {
        let (folder, name) = self.parent(path, false).ok()?;
        readlinkat(&folder, name).ok().map(|target| target.as_bytes().to_vec())
    }
}

/// Why a link must not be made, if so.
///
/// `..` is allowed only at the start of the target, where the folders above are real ones that we made. Behind a name
/// it could step up from wherever another link led, and then the words alone do not say where it ends.
fn leads_out(path: &TreePath, target: &[u8]) -> Option<&'static str> {
    if target.is_empty() || target.len() > 4096 || target.contains(&0) {
        return Some("a symbolic link with no proper target");
    }
    if target[0] == b'/' {
        return Some("an absolute symbolic link");
    }
    let mut up = 0;
    let mut named = false;
    for name in target.split(|byte| *byte == b'/') {
        match name {
            b"" | b"." => {}
            b".." if named => return Some("a symbolic link that steps up behind a name"),
            b".." => up += 1,
            _ => named = true,
        }
    }
    (up >= path.components().count()).then_some("a symbolic link that leads out of the tree")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_stay_inside_are_made_and_others_are_not() {
        let out = |path: &str, target: &str| leads_out(&TreePath::from(path), target.as_bytes()).is_some();
        assert!(!out("a/b/link", "../c"));
        assert!(!out("a/b/link", "../../c"));
        assert!(!out("link", "a/b"));
        assert!(out("a/b/link", "../../../c"));
        assert!(out("link", ".."));
        assert!(out("link", "/etc"));
        assert!(out("a/b/link", "../c/up/.."), "'up' may itself be a link to the root");
        assert!(out("link", ""));
    }

    #[test]
    fn nothing_is_written_or_read_through_a_linked_folder() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let (inside, outside) = (place.path().join("in"), place.path().join("out"));
        for folder in [&inside, &outside] {
            std::fs::create_dir(folder).expect("a folder");
        }
        std::fs::write(outside.join("secret"), "s").expect("a file");
        std::os::unix::fs::symlink(&outside, inside.join("link")).expect("a link");
        std::os::unix::fs::symlink(outside.join("secret"), inside.join("file")).expect("a link");
        let root = Root::open(&inside).expect("opens");
        let through = TreePath::from("link/secret");
        assert!(matches!(root.write(&through, b"x", false, false), Err(Error::Refused { .. })));
        assert!(matches!(root.read(&through, 10), Err(Error::Refused { .. })));
        assert!(matches!(root.remove(&through), Err(Error::Refused { .. })));
        assert!(matches!(root.read(&TreePath::from("file"), 10), Err(Error::Refused { .. })));
        root.write(&TreePath::from("file"), b"mine", false, false).expect("the link itself is replaced");
        assert_eq!(std::fs::read(outside.join("secret")).expect("still there"), b"s");
        assert_eq!(root.read(&TreePath::from("file"), 10).expect("reads"), b"mine");
    }
}
