//! The first process of a sandbox, in two stages.
//!
//! The first stage takes the namespaces and sets up the mounts. A process namespace begins with the next child, so it
//! starts this binary once more: the second stage is process 1 in there, gives up its rights, starts the program, and
//! waits. Both get the order from a socket on their standard input and report over it; the program never has it.

mod credentials;
mod first;
mod loopback;
mod mounts;
mod second;

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use crate::sandbox::Isolation;
use crate::sandbox::spec::{Report, Spec};

/// What the first stage tells the second: which namespaces there are.
#[derive(Debug, Clone, Copy, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Stage {
    pub(crate) mount: bool,
    pub(crate) pid: bool,
    pub(crate) ipc: bool,
    /// Who we were, where a user namespace was needed for the others and made us its root.
    pub(crate) was: Option<(u32, u32)>,
}

/// Runs a stage. The binary named by [`crate::Init`] calls this first of all, while it has but one thread: namespaces
/// cannot be left for a process with threads.
pub fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let last = arguments.pop().unwrap_or_default();
    let Ok(mut socket) = io::stdin().as_fd().try_clone_to_owned().map(UnixStream::from) else {
        return ExitCode::from(2);
    };
    let Ok(spec) = Spec::receive(&mut socket) else {
        return ExitCode::from(2);
    };
    let done = if last == "first" {
        first::run(&spec, &mut socket, &arguments)
    } else {
        match last.to_str().and_then(|stage| serde_json::from_str(stage).ok()) {
            Some(stage) => second::run(&spec, &mut socket, stage),
            None => return ExitCode::from(2),
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            let _ = Report::Failed(why).send(&mut socket);
            ExitCode::from(3)
        }
    }
}

/// Reports what a stage isolated; `false` if the caller demands more, and nothing is to be run.
fn tell(spec: &Spec, isolation: Isolation, socket: &mut UnixStream) -> Result<bool, String> {
    let missing = isolation.not_isolated.iter().filter(|(aspect, _)| spec.require.contains(aspect));
    let missing: Vec<String> = missing.map(|(aspect, why)| format!("{aspect:?}: {why}")).collect();
    let failed = |error: io::Error| format!("could not report: {error}");
    Report::Isolation(isolation).send(socket).map_err(failed)?;
    if missing.is_empty() {
        return Ok(true);
    }
    Report::Demanded(missing.join("; ")).send(socket).map_err(failed)?;
    Ok(false)
}
