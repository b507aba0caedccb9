//! Starts the first process of a sandbox, watches it, and ends all of it.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, geteuid};

use super::processes::{children, kill_descendants};
use super::spec::{Report, Spec};
use super::watch::Watch;
use super::{Command, Isolation, Limit, Outcome, Sandbox, disk};
use crate::captured::{Captured, capture};
use crate::clock;
use crate::error::Error;

/// Longest time that reading the rest of the output may take once all processes are gone.
const DRAIN: Duration = Duration::from_secs(5);

pub(super) fn run(sandbox: &Sandbox, command: &Command) -> Result<Outcome, Error> {
    let scratch = tempfile::tempdir().map_err(Error::io("could not make a scratch folder"))?;
    let (spec, folders) = order(sandbox, command, scratch.path())?;
    let before = disk::size(&folders);
    let (ours, theirs) = UnixStream::pair().map_err(Error::io("could not make a socket pair"))?;
    let mut child = std::process::Command::new(&sandbox.init.0[0])
        .args(&sandbox.init.0[1..])
        .arg("first")
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Error::io(format!("could not start {}", Path::new(&sandbox.init.0[0]).display())))?;
    let mut watch = Watch::new(spec.limits, child.id() as i32, folders, before);
    let output = Arc::new(AtomicU64::new(0));
    let streams = Streams::open(&mut child, ours, spec, &output)?;
    let (status, limit) = wait(&mut child, &mut watch, &output)?;
    let wall = watch.elapsed();
    let (stdout, stderr, reports) = streams.drain();
    let limit = limit.or_else(|| watch.disk());
    outcome(
        reports?,
        status,
        limit,
        Outcome {
            exit: None,
            signal: None,
            limit: None,
            not_started: None,
            stdout,
            stderr,
            wall,
            memory: watch.memory,
            isolation: Isolation::default(),
        },
    )
}

/// Paths are made real here, because inside a covered folder nothing could be looked up any more.
fn order(sandbox: &Sandbox, command: &Command, scratch: &Path) -> Result<(Spec, Vec<PathBuf>), Error> {
    let real = |path: &PathBuf| fs::canonicalize(path).map_err(Error::io(format!("could not open {}", path.display())));
    let mut writable = vec![real(&command.dir)?];
    for path in &command.writable {
        writable.push(real(path)?);
    }
    let mut folders = writable.clone();
    folders.push(real(&scratch.to_owned())?);
    let home = std::env::var_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute() && home != Path::new("/"));
    let usual = ["/root", "/home"].map(PathBuf::from);
    let hidden = usual.iter().chain(&home).chain(&sandbox.hidden).filter_map(|path| fs::canonicalize(path).ok());
    let readable = sandbox.readable.iter().filter_map(|path| fs::canonicalize(path).ok());
    let hidden: Vec<PathBuf> = hidden.filter(|path| path != Path::new("/")).collect();
    if let Some(both) = writable.iter().find(|path| sandbox.hidden.contains(path)) {
        return Err(Error::Config(format!("{} is to be hidden and to be written", both.display())));
    }
    let mut not_user = None;
    let mut user = None;
    if geteuid().is_root() {
        match folders.iter().try_for_each(|folder| disk::give(folder, sandbox.user)) {
            Ok(()) => user = Some(sandbox.user),
            Err(error) => {
                not_user = Some(format!("the folders could not be given to user {}: {error}", sandbox.user.0));
            }
        }
    }
    let spec = Spec {
        argv: command.argv.clone(),
        dir: writable[0].clone().into(),
        env: command.env.clone(),
        writable: writable.into_iter().map(Into::into).collect(),
        readable: readable.map(Into::into).collect(),
        hidden: hidden.into_iter().map(Into::into).collect(),
        scratch: folders[folders.len() - 1].clone().into(),
        user,
        not_user,
        require: sandbox.require.clone(),
        limits: command.limits,
    };
    Ok((spec, folders))
}

/// The threads that read what comes out of a sandbox.
struct Streams {
    stdout: thread::JoinHandle<Captured>,
    stderr: thread::JoinHandle<Captured>,
    reports: thread::JoinHandle<Vec<Report>>,
}

impl Streams {
    fn open(child: &mut Child, socket: UnixStream, spec: Spec, output: &Arc<AtomicU64>) -> Result<Self, Error> {
        let keep = spec.limits.keep;
        let stdout = child.stdout.take().expect("piped by the caller");
        let stderr = child.stderr.take().expect("piped by the caller");
        let mut sender = socket.try_clone().map_err(Error::io("could not share a socket"))?;
        thread::spawn(move || {
            // A first process that dies early breaks the socket; its reports, or their absence, tell.
            let _ = spec.send(&mut sender).and_then(|()| spec.send(&mut sender));
        });
        let (one, other) = (Arc::clone(output), Arc::clone(output));
        Ok(Self {
            stdout: thread::spawn(move || capture(stdout, keep, &one)),
            stderr: thread::spawn(move || capture(stderr, keep, &other)),
            reports: thread::spawn(move || {
                let lines = BufReader::new(socket.take(1 << 20)).lines();
                lines.map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok()).collect()
            }),
        })
    }

    /// All writers are dead, so the ends come at once; should one ever not, what was read until then is lost and the
    /// caller does not hang.
    fn drain(self) -> (Captured, Captured, Result<Vec<Report>, Error>) {
        let deadline = clock::now() + DRAIN;
        while clock::now() < deadline
            && !(self.stdout.is_finished() && self.stderr.is_finished() && self.reports.is_finished())
        {
            thread::sleep(Duration::from_millis(1));
        }
        let text = |handle: thread::JoinHandle<Captured>| {
            if handle.is_finished() { handle.join().unwrap_or_default() } else { Captured::default() }
        };
        let reports = if self.reports.is_finished() { self.reports.join().ok() } else { None };
        let reports = reports.ok_or_else(|| Error::Init("its reports could not be read".into()));
        (text(self.stdout), text(self.stderr), reports)
    }
}

fn wait(child: &mut Child, watch: &mut Watch, output: &AtomicU64) -> Result<(ExitStatus, Option<Limit>), Error> {
    let what = || "could not wait for the sandbox";
    loop {
        if let Some(status) = child.try_wait().map_err(Error::io(what()))? {
            return Ok((status, None));
        }
        if let Some(limit) = watch.broken(output) {
            return Ok((end(child)?, Some(limit)));
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Ends everything. The second stage is the first process of its own process namespace: the kernel ends all others with
/// it, and the first stage sees it gone only after them. Without such a namespace it adopts all orphans, so all are
/// below it; they go first.
fn end(child: &mut Child) -> Result<ExitStatus, Error> {
    let first = child.id() as i32;
    let stages = children(first);
    kill_descendants(first, &stages);
    for stage in stages {
        let _ = kill(Pid::from_raw(stage), Signal::SIGKILL);
    }
    let deadline = clock::now() + DRAIN;
    let what = || "could not wait for the sandbox";
    while clock::now() < deadline {
        if let Some(status) = child.try_wait().map_err(Error::io(what()))? {
            return Ok(status);
        }
        thread::sleep(Duration::from_millis(1));
    }
    let _ = killpg(Pid::from_raw(first), Signal::SIGKILL);
    child.wait().map_err(Error::io(what()))
}

fn outcome(
    reports: Vec<Report>,
    status: ExitStatus,
    limit: Option<Limit>,
    mut outcome: Outcome,
) -> Result<Outcome, Error> {
    outcome.limit = limit;
    let mut told = limit.is_some();
    for report in reports {
        match report {
            Report::Isolation(part) => {
                outcome.isolation.isolated.extend(part.isolated);
                outcome.isolation.not_isolated.extend(part.not_isolated);
            }
            Report::Failed(why) => return Err(Error::Init(why)),
            Report::Demanded(why) => return Err(Error::NotIsolated(why)),
            Report::NotStarted(why) => {
                outcome.not_started = Some(why);
                told = true;
            }
            Report::Ended { exit, signal, met } => {
                (outcome.exit, outcome.signal) = (exit, signal);
                outcome.limit = outcome.limit.or(match signal.map(Signal::try_from) {
                    Some(Ok(Signal::SIGXCPU)) => Some(Limit::Cpu),
                    Some(Ok(Signal::SIGXFSZ)) => Some(Limit::File),
                    _ => met,
                });
                told = true;
            }
        }
    }
    outcome.isolation.isolated.sort_unstable();
    if told {
        if limit.is_some() && outcome.exit.is_none() {
            outcome.signal = outcome.signal.or(Some(Signal::SIGKILL as i32));
        }
        return Ok(outcome);
    }
    let how = status.signal().map_or_else(|| status.to_string(), |signal| format!("signal {signal}"));
    Err(Error::Init(format!("its first process ended ({how}) without a report: {}", outcome.stderr.text().trim())))
}
