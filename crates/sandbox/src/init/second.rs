//! The second stage: process 1 of the run. Gives up rights, sets the kernel's limits, starts the program and waits.

use std::ffi::OsString;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::stat::{Mode, umask};
use nix::sys::statvfs::statvfs;
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::Pid;

use super::{Stage, credentials, mounts};
use crate::sandbox::spec::{Report, Spec};
use crate::sandbox::{Aspect, Isolation, Limit, kill_descendants, usage};

/// File systems of the run's own that can run full.
const TEMPORARY: [&str; 3] = ["/tmp", "/var/tmp", "/dev/shm"];

pub(super) fn run(spec: &Spec, socket: &mut UnixStream, stage: Stage) -> Result<(), String> {
    let mut isolation = Isolation::default();
    if stage.mount {
        isolation.note(Aspect::Proc, proc(stage));
    }
    if !stage.pid {
        // Whoever loses its parent becomes our child, and stays below us where it can be found.
        prctl::set_child_subreaper(true).map_err(|errno| format!("could not adopt orphans: {errno}"))?;
    }
    // Segments that nobody has attached belong to no process; the namespace bounds them all together, in pages.
    // Only then: without a namespace of our own it would be the machine's.
    if stage.ipc {
        let _ = std::fs::write("/proc/sys/kernel/shmall", (spec.limits.memory / 4096).to_string());
    }
    limits(spec)?;
    credentials::give_up(spec, stage, &mut isolation);
    // Only now, so that it counts the processes of this run and not all others of the user.
    limit(Resource::RLIMIT_NPROC, spec.limits.processes)?;
    isolation.note(Aspect::NoNewPrivileges, prctl::set_no_new_privs());
    // Last, because a change of user clears both. The program runs as the same user, and must not look into us.
    let _ = prctl::set_pdeathsig(Signal::SIGKILL);
    let _ = prctl::set_dumpable(false);
    if !super::tell(spec, isolation, socket)? {
        return Ok(());
    }
    let report = if spec.argv.is_empty() {
        Report::Ended { exit: Some(0), signal: None, met: None }
    } else {
        program(spec, stage)?
    };
    report.send(socket).map_err(|error| format!("could not report: {error}"))
}

fn proc(stage: Stage) -> Result<(), String> {
    if !stage.pid {
        return Err("there is no process namespace".into());
    }
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>)
        .map_err(|errno| format!("could not mount /proc: {errno}"))
}

fn limits(spec: &Spec) -> Result<(), String> {
    let limits = &spec.limits;
    let cpu = limits.cpu.as_secs().max(1);
    for (resource, value) in [
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_CPU, cpu),
        (Resource::RLIMIT_FSIZE, limits.file),
        (Resource::RLIMIT_NOFILE, 4096),
        (Resource::RLIMIT_MEMLOCK, 1 << 20),
        (Resource::RLIMIT_MSGQUEUE, 1 << 20),
    ] {
        limit(resource, value)?;
    }
    Ok(())
}

fn limit(resource: Resource, value: u64) -> Result<(), String> {
    let hard = getrlimit(resource).map_or(value, |(_, hard)| hard.min(value));
    setrlimit(resource, hard, hard).map_err(|errno| format!("could not set {resource:?}: {errno}"))
}

fn program(spec: &Spec, stage: Stage) -> Result<Report, String> {
    umask(Mode::from_bits_truncate(0o022));
    let set = |name: &str| spec.env.iter().any(|(given, _)| given == name);
    let home = if stage.mount { OsString::from(mounts::HOME) } else { spec.scratch.clone() };
    let temporary = if stage.mount { OsString::from("/tmp") } else { spec.scratch.clone() };
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let usual =
        [("PATH", path), ("HOME", home), ("TMPDIR", temporary), ("LANG", "C.UTF-8".into()), ("USER", "sandbox".into())];
    let mut command = Command::new(&spec.argv[0]);
    command
        .args(&spec.argv[1..])
        .env_clear()
        .envs(usual.into_iter().filter(|(name, _)| !set(name)))
        .envs(spec.env.iter().map(|(name, value)| (name, value)))
        .current_dir(Path::new(&spec.dir))
        .stdin(Stdio::null())
        // Our group reaches out of the namespace: from within it, `kill(0, ...)` would hit the first stage.
        .process_group(0);
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            return Ok(Report::NotStarted(format!("{}: {error}", Path::new(&spec.argv[0]).display())));
        }
    };
    let child = Pid::from_raw(child.id() as i32);
    let (exit, signal) = loop {
        match wait() {
            Ok(WaitStatus::Exited(pid, code)) if pid == child => break (Some(code), None),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == child => break (None, Some(signal as i32)),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(format!("could not wait for the program: {errno}")),
        }
    };
    let met = met(spec, stage);
    if !stage.pid {
        kill_descendants(std::process::id() as i32, &[]);
    }
    Ok(Report::Ended { exit, signal, met })
}

/// A limit that the kernel enforced and that the program took for an answer: it shows in what is left.
fn met(spec: &Spec, stage: Stage) -> Option<Limit> {
    // Two short of the limit: this process counts, and the program that has just ended did.
    if usage(std::process::id() as i32).threads + 2 >= spec.limits.processes {
        return Some(Limit::Processes);
    }
    let full = stage.mount && TEMPORARY.iter().any(|path| statvfs(*path).is_ok_and(|tmp| tmp.blocks_available() == 0));
    full.then_some(Limit::Disk)
}
