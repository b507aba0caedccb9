//! Runs a program that is trusted on data that is not: fed from memory, ended at its time limit, output bounded.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::captured::{Captured, capture};
use crate::clock;
use crate::error::Error;

/// What such a program left.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Captured,
    pub(crate) stderr: Captured,
}

/// Limits of such a program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) time: Duration,
    pub(crate) output: u64,
}

/// Runs `command` in a process group of its own. More output than allowed, or more time, kills the group.
pub(crate) fn run(mut command: Command, what: &str, input: Vec<u8>, bounds: Bounds) -> Result<Ended, Error> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().map_err(Error::io(format!("could not start {what}")))?;
    let mut stdin = child.stdin.take().expect("piped above");
    // A program that ends without reading its input closes the pipe: its exit status says what happened.
    let feeder = thread::spawn(move || drop(stdin.write_all(&input)));
    let (total, noise) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let stdout = child.stdout.take().expect("piped above");
    let stderr = child.stderr.take().expect("piped above");
    let (count, keep) = (Arc::clone(&total), usize::try_from(bounds.output).unwrap_or(usize::MAX));
    let reader = thread::spawn(move || capture(stdout, keep, &count));
    let count = Arc::clone(&noise);
    let errors = thread::spawn(move || capture(stderr, 32 * 1024, &count));
    let status = wait(&mut child, what, bounds, &total);
    let stdout = reader.join().unwrap_or_default();
    let stderr = errors.join().unwrap_or_default();
    drop(feeder.join());
    let status = status?;
    if total.load(Ordering::Relaxed) > bounds.output {
        return Err(Error::TooLarge { what: format!("the output of {what}"), limit: bounds.output });
    }
    Ok(Ended { status, stdout, stderr })
}

fn wait(child: &mut Child, what: &str, bounds: Bounds, total: &AtomicU64) -> Result<ExitStatus, Error> {
    let deadline = clock::now() + bounds.time;
    let mut pause = Duration::from_micros(200);
    loop {
        if let Some(status) = child.try_wait().map_err(Error::io(format!("could not wait for {what}")))? {
            return Ok(status);
        }
        let late = clock::now() >= deadline;
        if late || total.load(Ordering::Relaxed) > bounds.output {
            // Before it is waited for, so the number still is its group's.
            let _ = killpg(Pid::from_raw(child.id() as i32), Signal::SIGKILL);
            let status = child.wait().map_err(Error::io(format!("could not wait for {what}")))?;
            return if late { Err(Error::Timeout { what: what.to_owned(), after: bounds.time }) } else { Ok(status) };
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}
