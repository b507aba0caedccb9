//! The first stage: namespaces, mounts, loopback; then the second stage.

use std::ffi::OsString;
use std::fs;
use std::os::unix::net::UnixStream;
use std::process::Command;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{getegid, geteuid, sethostname};

use super::{Stage, credentials, loopback, mounts};
use crate::sandbox::spec::Spec;
use crate::sandbox::{Aspect, Isolation};

pub(super) fn run(spec: &Spec, socket: &mut UnixStream, arguments: &[OsString]) -> Result<(), String> {
    // If the caller dies, so do we, and with us all.
    let _ = prctl::set_pdeathsig(Signal::SIGKILL);
    // The first victim of a memory shortage; anyone may volunteer.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    let mut isolation = Isolation::default();
    let mut stage = Stage::default();
    namespaces(&mut isolation, &mut stage);
    if stage.mount {
        // In a user namespace of our own there is no other user to become.
        let user = spec.user.filter(|_| stage.was.is_none());
        mounts::set_up(spec, user, &mut isolation)?;
    } else {
        for aspect in [Aspect::ReadOnly, Aspect::Hidden, Aspect::Temporary, Aspect::Devices, Aspect::Proc] {
            isolation.note(aspect, Err("there are no mounts of its own"));
        }
    }
    if super::tell(spec, isolation, socket)? { second(socket, arguments, stage) } else { Ok(()) }
}

/// Takes the namespaces one by one, so that each that is refused is told by itself.
fn namespaces(isolation: &mut Isolation, stage: &mut Stage) {
    let mut mount = unshare(CloneFlags::CLONE_NEWNS);
    if mount == Err(Errno::EPERM) {
        // Not privileged. In a user namespace of our own we are, as far as the other namespaces go.
        let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
        let user = unshare(CloneFlags::CLONE_NEWUSER)
            .map_err(|errno| format!("no user namespace: {errno}"))
            .and_then(|()| credentials::map(0, uid, 0, gid));
        match user {
            Ok(()) => {
                stage.was = Some((uid, gid));
                mount = unshare(CloneFlags::CLONE_NEWNS);
            }
            Err(why) => {
                // What this says of the user itself, the second stage finds out and tells.
                let why = format!("neither root nor in a user namespace: {why}");
                for aspect in [Aspect::Mount, Aspect::Pid, Aspect::Network, Aspect::Loopback, Aspect::Ipc, Aspect::Uts]
                {
                    isolation.note(aspect, Err(&why));
                }
                return;
            }
        }
    }
    stage.mount = isolation.note(Aspect::Mount, mount);
    if isolation.note(Aspect::Network, unshare(CloneFlags::CLONE_NEWNET)) {
        isolation.note(Aspect::Loopback, loopback::up());
    } else {
        isolation.note(Aspect::Loopback, Err("there is no network of its own"));
    }
    stage.ipc = isolation.note(Aspect::Ipc, unshare(CloneFlags::CLONE_NEWIPC));
    isolation.note(Aspect::Uts, unshare(CloneFlags::CLONE_NEWUTS).and_then(|()| sethostname("sandbox")));
    // Groups of the kernel's resource control are hidden too, where there are some; nothing depends on it.
    let _ = unshare(CloneFlags::CLONE_NEWCGROUP);
    stage.pid = isolation.note(Aspect::Pid, unshare(CloneFlags::CLONE_NEWPID));
}

fn second(socket: &UnixStream, arguments: &[OsString], stage: Stage) -> Result<(), String> {
    let stage = serde_json::to_string(&stage).map_err(|error| error.to_string())?;
    let socket = socket.try_clone().map_err(|error| format!("could not share the socket: {error}"))?;
    // By its open file: where it lies may be covered by now.
    let mut child = Command::new("/proc/self/exe")
        .args(arguments)
        .arg(stage)
        .stdin(std::os::fd::OwnedFd::from(socket))
        .spawn()
        .map_err(|error| format!("could not start the second stage: {error}"))?;
    child.wait().map(drop).map_err(|error| format!("could not wait for the second stage: {error}"))
}
