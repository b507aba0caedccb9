//! What a run sees of the file system: everything read-only, but its own folders; homes, secrets, `/tmp` and devices
//! covered; toolchains let through.
//!
//! What is to stay visible is opened before anything is covered and bound from the open file afterwards, so it does not
//! matter what lies over it by then.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::Mode;
use nix::sys::statvfs::{FsFlags, statvfs};

use crate::sandbox::spec::Spec;
use crate::sandbox::{Aspect, Isolation};

/// `HOME` inside.
pub(super) const HOME: &str = "/tmp/home";
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
/// Private, writable and gone afterwards; with the part of [`room`] that each may hold.
const TEMPORARY: [(&str, u64); 2] = [("/tmp", 1), ("/var/tmp", 4)];
const SHARED_MEMORY: u64 = 4;
const NONE: Option<&str> = None;

enum Step {
    /// An empty file system: its options, and whether it stays writable.
    Cover { options: String, writable: bool },
    /// A file that is to be empty.
    Blank,
    /// The file or folder that was opened.
    Bind { open: OwnedFd, folder: bool, writable: bool },
}

pub(super) fn set_up(spec: &Spec, user: Option<(u32, u32)>, isolation: &mut Isolation) -> Result<(), String> {
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(NONE, "/", NONE, private, NONE).map_err(|errno| format!("could not part with the host's mounts: {errno}"))?;
    let mut steps = steps(spec, user)?;
    let devices = devices();
    let mut shut = read_only();
    // From the root down; what is bound comes over what is covered.
    steps.sort_by_key(|(path, step)| (path.components().count(), matches!(step, Step::Bind { .. }), path.clone()));
    isolation.note(Aspect::Devices, cover_devices(&devices, room(spec) / SHARED_MEMORY));
    let mut finish = Vec::new();
    for (path, step) in &steps {
        let applied = apply(path, step).map_err(|why| format!("{}: {why}", path.display()))?;
        if applied
            && matches!(step, Step::Blank | Step::Cover { writable: false, .. } | Step::Bind { writable: false, .. })
        {
            finish.push(path);
        }
    }
    isolation.note(Aspect::Hidden, Ok::<(), String>(()));
    isolation.note(Aspect::Temporary, home(user));
    for path in finish {
        shut = shut.and_then(|()| close(path).map_err(|errno| format!("{}: {errno}", path.display())));
    }
    let allowed: BTreeSet<PathBuf> =
        spec.writable.iter().map(PathBuf::from).chain(TEMPORARY.map(|(path, _)| PathBuf::from(path))).collect();
    isolation.note(Aspect::ReadOnly, shut.and_then(|()| still_writable(&allowed)));
    Ok(())
}

/// What lies there lies in memory, and nobody's: so it is bounded by both limits.
fn room(spec: &Spec) -> u64 {
    spec.limits.disk.min(spec.limits.memory).max(1 << 20)
}

fn steps(spec: &Spec, user: Option<(u32, u32)>) -> Result<Vec<(PathBuf, Step)>, String> {
    let mut steps = Vec::new();
    for (path, part) in TEMPORARY.map(|(path, part)| (PathBuf::from(path), part)) {
        if !is_folder(&path) {
            continue;
        }
        let options = format!("mode=1777,size={}", room(spec) / part);
        steps.push((path, Step::Cover { options, writable: true }));
    }
    let mut covered: BTreeSet<PathBuf> = BTreeSet::new();
    for path in spec.hidden.iter().map(PathBuf::from).chain([PathBuf::from("/run")]) {
        if is_folder(&path) {
            covered.insert(path);
        } else if path.exists() {
            steps.push((path, Step::Blank));
        }
    }
    for (paths, writable) in [(&spec.readable, false), (&spec.writable, true)] {
        for path in paths.iter().map(PathBuf::from) {
            let flags = OFlag::O_PATH | OFlag::O_CLOEXEC;
            let open = open(&path, flags, Mode::empty()).map_err(|errno| format!("{}: {errno}", path.display()))?;
            covered.extend(closed_to(&path, user));
            let folder = is_folder(&path);
            steps.push((path, Step::Bind { open, folder, writable }));
        }
    }
    covered.retain(|path| !TEMPORARY.iter().any(|(temporary, _)| path == Path::new(temporary)));
    let cover = || Step::Cover { options: "mode=755,size=1m".into(), writable: false };
    steps.extend(covered.into_iter().map(|path| (path, cover())));
    Ok(steps)
}

/// Folders above `path` that the run's user may not even pass. It could see nothing of them anyway, so they are covered
/// and the way to `path` is made anew.
fn closed_to(path: &Path, user: Option<(u32, u32)>) -> Vec<PathBuf> {
    let Some((uid, _)) = user else { return Vec::new() };
    let above = path.ancestors().skip(1).filter(|above| above.parent().is_some());
    above
        .filter(|above| {
            fs::metadata(above)
                .is_ok_and(|meta| meta.mode() & 0o001 == 0 && !(meta.uid() == uid && meta.mode() & 0o100 != 0))
        })
        .map(Path::to_owned)
        .collect()
}

fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir())
}

/// Whether there was something to do: below a cover there is nothing left to hide.
fn apply(path: &Path, step: &Step) -> Result<bool, String> {
    let text = |errno: Errno| errno.to_string();
    if !matches!(step, Step::Bind { .. }) && fs::symlink_metadata(path).is_err() {
        return Ok(false);
    }
    match step {
        Step::Cover { options, .. } => {
            mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::MS_NOSUID | MsFlags::MS_NODEV, Some(options.as_str()))
                .map_err(text)?;
        }
        Step::Blank => mount(Some("/dev/null"), path, NONE, MsFlags::MS_BIND, NONE).map_err(text)?,
        Step::Bind { open, folder, writable } => {
            make_room(path, *folder)?;
            bind(open, path, true).map_err(text)?;
            if *writable {
                reopen(path).map_err(text)?;
            }
        }
    }
    Ok(true)
}

fn make_room(path: &Path, folder: bool) -> Result<(), String> {
    if fs::symlink_metadata(path).is_ok() {
        return Ok(());
    }
    let place = if folder { path } else { path.parent().unwrap_or(path) };
    fs::create_dir_all(place).map_err(|error| format!("no place to mount it: {error}"))?;
    if !folder {
        fs::write(path, "").map_err(|error| format!("no place to mount it: {error}"))?;
    }
    Ok(())
}

fn bind(open: &OwnedFd, path: &Path, recursive: bool) -> nix::Result<()> {
    let from = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()));
    let flags = if recursive { MsFlags::MS_BIND | MsFlags::MS_REC } else { MsFlags::MS_BIND };
    mount(Some(&from), path, NONE, flags, NONE)
}

/// The flags a mount has, which a change must name again: the kernel lets nobody drop some of them.
fn flags(path: &Path) -> nix::Result<MsFlags> {
    let has = statvfs(path)?.flags();
    let pairs = [
        (FsFlags::ST_NOSUID, MsFlags::MS_NOSUID),
        (FsFlags::ST_NODEV, MsFlags::MS_NODEV),
        (FsFlags::ST_NOEXEC, MsFlags::MS_NOEXEC),
        (FsFlags::ST_NOATIME, MsFlags::MS_NOATIME),
        (FsFlags::ST_NODIRATIME, MsFlags::MS_NODIRATIME),
        (FsFlags::ST_RELATIME, MsFlags::MS_RELATIME),
    ];
    let kept = pairs.into_iter().filter(|(flag, _)| has.contains(*flag)).map(|(_, flag)| flag);
    Ok(kept.fold(MsFlags::MS_BIND | MsFlags::MS_REMOUNT, |all, flag| all | flag))
}

fn close(path: &Path) -> nix::Result<()> {
    mount(NONE, path, NONE, flags(path)? | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID, NONE)
}

fn reopen(path: &Path) -> nix::Result<()> {
    mount(NONE, path, NONE, flags(path)? | MsFlags::MS_NOSUID | MsFlags::MS_NODEV, NONE)
}

/// Mount points as the kernel lists them, with blanks and the like unescaped.
fn mount_points() -> Result<Vec<PathBuf>, String> {
    let table = fs::read("/proc/self/mountinfo").map_err(|error| format!("could not read the mounts: {error}"))?;
    let lines = table.split(|byte| *byte == b'\n').filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    Ok(lines.map(unescaped).collect())
}

fn unescaped(field: &[u8]) -> PathBuf {
    let mut path = Vec::new();
    let mut rest = field;
    while let Some((byte, mut after)) = rest.split_first() {
        let code = (*byte == b'\\').then(|| after.get(..3)).flatten().and_then(|code| std::str::from_utf8(code).ok());
        let code = code.and_then(|code| u8::from_str_radix(code, 8).ok());
        if code.is_some() {
            after = &after[3..];
        }
        path.push(code.unwrap_or(*byte));
        rest = after;
    }
    Path::new(OsStr::from_bytes(&path)).to_owned()
}

/// Closes every mount there is. `/proc` is left to the second stage.
fn read_only() -> Result<(), String> {
    for path in mount_points()? {
        if path == Path::new("/proc") || path.starts_with("/dev") {
            continue;
        }
        // One that is covered by another cannot be reached, by us or by the run; `still_writable` looks at the result.
        let _ = close(&path);
    }
    Ok(())
}

/// Looks at every mount point once more, as the run will see it.
fn still_writable(allowed: &BTreeSet<PathBuf>) -> Result<(), String> {
    let open: Vec<String> = mount_points()?
        .into_iter()
        .filter(|path| !allowed.contains(path) && !path.starts_with("/proc") && !path.starts_with("/dev"))
        .filter(|path| !allowed.iter().any(|allowed| path.starts_with(allowed)))
        .filter(|path| statvfs(path).is_ok_and(|mount| !mount.flags().contains(FsFlags::ST_RDONLY)))
        .map(|path| path.display().to_string())
        .collect();
    if open.is_empty() { Ok(()) } else { Err(format!("still writable: {}", open.join(", "))) }
}

fn devices() -> Vec<(&'static str, OwnedFd)> {
    let opened = |name: &'static str| {
        let path = Path::new("/dev").join(name);
        open(&path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).ok().map(|open| (name, open))
    };
    DEVICES.into_iter().filter_map(opened).collect()
}

fn cover_devices(devices: &[(&str, OwnedFd)], size: u64) -> Result<(), String> {
    let text = |errno: Errno| format!("/dev: {errno}");
    mount(Some("tmpfs"), "/dev", Some("tmpfs"), MsFlags::MS_NOSUID, Some("mode=755,size=1m")).map_err(text)?;
    let dev = Path::new("/dev");
    for (name, open) in devices {
        let path = dev.join(name);
        fs::write(&path, "").map_err(|error| format!("{}: {error}", path.display()))?;
        bind(open, &path, false).map_err(text)?;
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        symlink(target, dev.join(name)).map_err(|error| format!("/dev/{name}: {error}"))?;
    }
    let shm = dev.join("shm");
    fs::create_dir(&shm).map_err(|error| format!("/dev/shm: {error}"))?;
    let options = format!("mode=1777,size={size}");
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    mount(Some("tmpfs"), &shm, Some("tmpfs"), flags, Some(options.as_str())).map_err(text)?;
    mount(NONE, dev, NONE, MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID, NONE)
        .map_err(text)
}

fn home(user: Option<(u32, u32)>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{HOME}: {error}");
    fs::create_dir_all(HOME).map_err(failed)?;
    fs::set_permissions(HOME, fs::Permissions::from_mode(0o700)).map_err(failed)?;
    match user {
        Some((uid, gid)) => chown(HOME, Some(uid), Some(gid)).map_err(failed),
        None => Ok(()),
    }
}
