//! `backtrail run`: a pipeline until its inputs end or a signal comes.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use backtrail_console::{Listener, Source};
use backtrail_pipeline::config::Config;
use backtrail_pipeline::engine::{self, Handle, Report, Running};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::admin::Admin;
use super::{load, publish, runtime};
use crate::cli::{Exit, Failure, Out, Run};

/// Runs the command.
pub(crate) fn run(args: &Run, out: &mut Out) -> Result<Exit, Failure> {
    let config = load::file(&args.config, &args.set.set)?;
    let data_dir = config.service.data_dir.clone();
    let report = runtime()?.block_on(serve(config, args))?;
    let status = serde_json::json!({
        "state": report.status.state,
        "clean": report.clean,
        "errors": report.errors,
        "listening": report.status.listening,
        "nodes": report.status.nodes,
    });
    let path = Path::new(&data_dir).join("status.json");
    let written = publish(&path, status.to_string().as_bytes());
    written.with_context(|| format!("cannot write the final status to {}", path.display()))?;
    if args.json {
        out.json(&status)?;
    }
    for error in &report.errors {
        tracing::error!(error, "ended with an error");
    }
    Ok(if report.clean && report.errors.is_empty() { Exit::Ok } else { Exit::Problem })
}

/// Binds the admin listener first, so that probes are told "starting", and lets it answer until the last node is done.
async fn serve(config: Config, args: &Run) -> Result<Report, Failure> {
    let ready_file = args.ready_file.as_deref();
    // Before anything is bound: a signal that comes early must not be lost.
    let signals = Signals::install()?;
    if let Some(stale) = ready_file.filter(|path| path.exists()) {
        std::fs::remove_file(stale).with_context(|| format!("cannot remove the old {}", stale.display()))?;
    }
    let endpoint = config.service.admin.endpoint.clone();
    let listener = if endpoint.is_empty() { None } else { Some(Listener::bind(&endpoint).await.map_err(taken)?) };
    let address = listener.as_ref().map(Listener::address);
    let admin = Arc::new(Admin::new(&config));
    let source: Arc<dyn Source> = Arc::<Admin>::clone(&admin);
    let answering = async move {
        match listener {
            Some(listener) => listener.serve(source).await,
            None => std::future::pending().await,
        }
    };
    let working = async move {
        let running = engine::start(config, None).await.map_err(load::not_started)?;
        admin.attach(running.handle());
        let listening = running.status().listening;
        tracing::info!(admin = address.map_or_else(|| "off".to_owned(), |at| at.to_string()), "ready");
        if let Some(path) = ready_file {
            let ready = serde_json::json!({ "admin": address, "listening": listening });
            let written = publish(path, ready.to_string().as_bytes());
            written.with_context(|| format!("cannot write the ready file {}", path.display()))?;
        }
        Ok(supervise(running, signals, args).await)
    };
    tokio::select! {
        report = working => report,
        broken = answering => Err(broken.err().map_or_else(|| Failure::from(anyhow::anyhow!("the admin listener ended")), Failure::from)),
    }
}

fn taken(error: backtrail_console::ListenerError) -> Failure {
    Failure::from(error)
        .hint("another backtrail may run; set service.admin.endpoint to another address, or to \"\" for none")
}

/// Waits for the end. The first stop signal begins the ordered shutdown, the second ends the process at once; SIGHUP
/// reads the configuration again.
async fn supervise(running: Running, signals: Signals, args: &Run) -> Report {
    let handle = running.handle();
    let Signals { mut stop, mut hup } = signals;
    let ended = running.wait();
    tokio::pin!(ended);
    let mut stopping = false;
    loop {
        tokio::select! {
            report = &mut ended => return report,
            _ = hup.recv() => reload(&handle, args).await,
            (name, code) = stop.next() => {
                if stopping {
                    tracing::warn!(signal = name, "second signal: exiting now");
                    std::process::exit(code);
                }
                tracing::info!(signal = name, "stopping");
                stopping = true;
                handle.stop();
            }
        }
    }
}

/// Puts the settings of a changed file into force. A bad file, or a change that needs a restart, changes nothing.
async fn reload(handle: &Handle, args: &Run) {
    let file = args.config.display();
    let config = match load::file(&args.config, &args.set.set) {
        Ok(config) => config,
        Err(failure) => {
            tracing::error!(%file, error = format!("{:#}", failure.error), "not reloaded: the old configuration stays in force");
            return;
        }
    };
    match handle.reload(&config).await {
        Ok(rebuilt) => tracing::info!(%file, rebuilt = rebuilt.join(", "), "reloaded"),
        Err(error) => tracing::error!(%file, %error, "not reloaded"),
    }
}

/// The signals that a pipeline listens to.
struct Signals {
    stop: StopSignals,
    hup: Signal,
}

/// The signals that stop a process.
struct StopSignals {
    term: Signal,
    int: Signal,
}

impl Signals {
    fn install() -> Result<Self, Failure> {
        let stop = StopSignals { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? };
        Ok(Self { stop, hup: signal(SignalKind::hangup())? })
    }
}

impl StopSignals {
    /// The next one, and the exit code of a process that dies of it.
    async fn next(&mut self) -> (&'static str, i32) {
        tokio::select! {
            _ = self.term.recv() => ("SIGTERM", 128 + 15),
            _ = self.int.recv() => ("SIGINT", 128 + 2),
        }
    }
}
