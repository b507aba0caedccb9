//! `backtrail-consumer run`: from the queue to decisions, until told to stop.

use std::path::Path;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::now;
use backtrail_redact::Redactor;
use backtrail_sandbox::{Init, Limits, Sandbox};

use crate::Error;
use crate::cli::{Exit, Failure, Out, Run};
use crate::evidence::Signer;
use crate::intake::{Spool, take_in};
use crate::ownership;
use crate::report::Outbox;
use crate::retry::Retry;
use crate::store::Store;
use crate::work::{Settings, Worked, Worker};
use crate::workshop::{SANDBOX, Workshop};

/// How often an idle consumer looks for more.
const POLL: Duration = Duration::from_millis(500);
/// Deliveries that are taken in before they are acknowledged together.
const BATCH: usize = 64;

/// What a run did.
#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Done {
    /// Deliveries from the queue.
    taken_in: usize,
    /// Steps of work.
    steps: u64,
    /// Attempts that failed.
    failed: u64,
}

/// Runs the command.
pub(crate) fn run(args: &Run, out: &mut Out) -> Result<Exit, Failure> {
    // A configuration that is wrong from the start is said at once; one that becomes wrong makes the work wait.
    ownership::read(&args.ownership).map_err(|error| Failure::config(error.to_string()))?;
    let mut store = Store::open(&args.data.data_dir)?;
    let signer = Signer::of_folder(&args.data.data_dir).map_err(|error| Failure::config(error.to_string()))?;
    let settings = Settings {
        ownership: args.ownership.clone(),
        max_age: args.max_age.0,
        lease: args.lease,
        retry: Retry { budget: args.attempts, ..Retry::default() },
    };
    let (model, redactor) = super::model::of(&args.model)?;
    let outbox = args.otlp_endpoint.as_deref().map(|endpoint| Outbox::start(endpoint, &args.data.data_dir));
    let outbox = outbox.transpose().map_err(|error| Failure::usage(format!("--otlp-endpoint: {error}"), ""))?;
    let mut worker = Worker::new(settings, signer, StdRng::from_os_rng()).with_clock(now).with_outbox(outbox);
    if !args.only_triage {
        worker = worker.with_workshop(workshop(args)?.with_redactor(redactor.clone())).with_model(model);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = runtime.block_on(course(args, &redactor, &mut store, &mut worker));
    worker.finish();
    let done = done?;
    if args.json {
        out.json(&done)?;
    } else {
        out.line(&format!("{} taken in, {} steps, {} failed attempts", done.taken_in, done.steps, done.failed))?;
    }
    Ok(Exit::Ok)
}

fn workshop(args: &Run) -> Result<Workshop, Failure> {
    let policy = super::policy::load(args.policy.as_deref())?;
    let mut sandbox = sandbox()?;
    for name in &args.require_isolation {
        let aspect = serde_json::from_value(serde_json::Value::from(name.as_str()));
        sandbox.require.push(aspect.map_err(|error| Failure::usage(format!("--require-isolation: {error}"), ""))?);
    }
    // What is secret and not in the data folder: the tests of a repository do not see it either.
    for file in args.model.llm_key_file.iter().chain(&args.model.deny_values) {
        sandbox.hidden.push(std::fs::canonicalize(file)?);
    }
    let limits =
        Limits { wall: args.test_time, cpu: 2 * args.test_time, memory: args.test_memory << 20, ..Limits::default() };
    Ok(Workshop::open(&args.data.data_dir, sandbox, policy, limits)?)
}

/// A sandbox whose first process is this binary.
pub(crate) fn sandbox() -> Result<Sandbox, Failure> {
    Ok(Sandbox::new(Init::new(std::env::current_exe()?, [SANDBOX])))
}

async fn course(args: &Run, redactor: &Redactor, store: &mut Store, worker: &mut Worker) -> Result<Done, Failure> {
    let mut stop = Stop { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? };
    let mut done = Done::default();
    let mut spool = None;
    loop {
        let taken = match take(&args.spool, &mut spool, redactor, store) {
            Ok(taken) => taken,
            Err(error) if args.once => return Err(error.into()),
            Err(error) => {
                // What was read and not kept is read again: the queue was not told that it is safe.
                spool = None;
                tracing::warn!(%error, "nothing is taken in for now");
                0
            }
        };
        done.taken_in += taken;
        let mut idle = taken == 0;
        loop {
            match worker.work(store, now()) {
                Ok(None) => break,
                Ok(Some(Worked::Failed(error))) => {
                    done.failed += 1;
                    tracing::warn!(%error, "an attempt failed");
                }
                Ok(Some(_)) => {}
                // The lease runs out; until then, and after, the operator has the time to make room.
                Err(error @ Error::DeadLettersFull(_)) if !args.once => {
                    tracing::warn!(%error, "work stops for now");
                    break;
                }
                Err(error) => return Err(error.into()),
            }
            idle = false;
            done.steps += 1;
            if stop.within(Duration::ZERO).await {
                return Ok(done);
            }
        }
        if args.once && idle {
            return Ok(done);
        }
        if stop.within(if idle { POLL } else { Duration::ZERO }).await {
            return Ok(done);
        }
    }
}

fn take(dir: &Path, spool: &mut Option<Spool>, redactor: &Redactor, store: &mut Store) -> Result<usize, Error> {
    let mut open = match spool.take() {
        Some(open) => open,
        None => Spool::open(dir)?,
    };
    let taken = take_in(&mut open, store, redactor, BATCH, now())?;
    *spool = Some(open);
    Ok(taken)
}

struct Stop {
    term: Signal,
    int: Signal,
}

impl Stop {
    /// Waits for a signal, but not for long.
    async fn within(&mut self, wait: Duration) -> bool {
        tokio::select! {
            biased;
            _ = self.term.recv() => true,
            _ = self.int.recv() => true,
            () = tokio::time::sleep(wait) => false,
        }
    }
}
