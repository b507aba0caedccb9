//! The real binary under test: start, status, conservation, signals.

use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::client::http;

/// How long anything may take before the harness calls it stuck.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running `backtrail run`.
pub struct Collector {
    child: Child,
    /// Its folder: configuration, data, log.
    pub dir: PathBuf,
    ready: Value,
}

impl Collector {
    /// Writes `config` to `dir/pipeline.yaml`, starts `binary run` there and waits until everything is bound. Listeners
    /// in the configuration should have port 0.
    ///
    /// # Panics
    /// When it does not become ready; its log is in the message.
    pub fn start(binary: &Path, dir: &Path, config: &str) -> Self {
        let file = dir.join("pipeline.yaml");
        std::fs::write(&file, config).expect("the test's folder is writable");
        let ready_file = dir.join("ready.json");
        // A run before this one may have left its own.
        let _ = std::fs::remove_file(&ready_file);
        let log = std::fs::File::create(dir.join("log.txt")).expect("the test's folder is writable");
        let mut child = Command::new(binary)
            .args(["run", "--config"])
            .arg(&file)
            .arg("--ready-file")
            .arg(&ready_file)
            .current_dir(dir)
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the binary starts");
        let ready = wait_for(&format!("{} to become ready", binary.display()), || {
            if let Ok(Some(status)) = child.try_wait() {
                panic!("ended with {status} before it was ready:\n{}", log_of(dir));
            }
            serde_json::from_slice(&std::fs::read(&ready_file).ok()?).ok()
        });
        Self { child, dir: dir.to_owned(), ready }
    }

    /// The bound address of a protocol (`grpc`, `http`).
    ///
    /// # Panics
    /// When nothing listens for it.
    pub fn address(&self, protocol: &str) -> SocketAddr {
        let rows = self.ready["listening"].as_array().expect("a list of listeners");
        let row = rows.iter().find(|row| row["protocol"] == protocol && row["node"] != "service.admin");
        row.and_then(|row| row["address"].as_str()).and_then(|a| a.parse().ok()).expect("the protocol is served")
    }

    /// The admin listener.
    ///
    /// # Panics
    /// When there is none.
    pub fn admin(&self) -> SocketAddr {
        self.ready["admin"].as_str().and_then(|a| a.parse().ok()).expect("an admin listener")
    }

    /// What `/status` says now.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn status(&self) -> Value {
        let answer = http(self.admin(), "GET", "/status", &[], &[]).expect("the admin listener answers");
        serde_json::from_slice(&answer.body).expect("status is JSON")
    }

    /// A node's row of `/status`.
    ///
    /// # Panics
    /// When there is no such node.
    pub fn node(&self, name: &str) -> Value {
        row(&self.status(), name)
    }

    /// Waits until `until` holds for a node's row.
    pub fn wait_for_node(&self, name: &str, until: impl Fn(&Value) -> bool) -> Value {
        wait_for(&format!("node {name}"), || Some(self.node(name)).filter(|row| until(row)))
    }

    /// Resident memory, bytes.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn rss(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id())).expect("it runs");
        text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).expect("statm has a second field") * 4096
    }

    /// User and system CPU seconds so far.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn cpu_seconds(&self) -> f64 {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        let after = text.rsplit(')').next().unwrap_or_default();
        let fields: Vec<f64> = after.split(' ').map(|field| field.parse().unwrap_or(0.0)).collect();
        (fields[12] + fields[13]) / 100.0
    }

    /// Sends SIGTERM, waits for the end and checks that the exit was clean and every node conserved its items.
    ///
    /// # Panics
    /// When it is stuck, exits with an error, or a node lost count.
    pub fn stop(self) -> Value {
        let (status, last) = self.terminate();
        assert!(status.success(), "ended with {status}: {last}");
        assert_conserved(&last);
        last
    }

    /// Sends SIGTERM and waits; returns the exit status and the last status that it wrote.
    ///
    /// # Panics
    /// When it is stuck.
    pub fn terminate(mut self) -> (ExitStatus, Value) {
        self.signal("TERM");
        let status = wait_for("the collector to end", || self.child.try_wait().ok().flatten());
        let text = std::fs::read(self.data_dir().join("status.json")).unwrap_or_default();
        (status, serde_json::from_slice(&text).unwrap_or_else(|_| panic!("no last status:\n{}", log_of(&self.dir))))
    }

    /// Where it keeps its data.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Sends a signal by name.
    ///
    /// # Panics
    /// When `kill` cannot be run.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().expect("kill runs").success());
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        log_of(&self.dir)
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        // Already gone after a clean stop; after a failed test nothing must stay behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A node's row of a status document.
///
/// # Panics
/// When there is no such node.
pub fn row(status: &Value, name: &str) -> Value {
    let rows = status["nodes"].as_array().expect("a list of nodes");
    rows.iter().find(|row| row["node"] == name).unwrap_or_else(|| panic!("no node {name} in {status:#}")).clone()
}

/// Checks accepted = sent + dropped + held at every node.
///
/// # Panics
/// When a node lost count.
pub fn assert_conserved(status: &Value) {
    for row in status["nodes"].as_array().expect("a list of nodes") {
        let dropped: u64 = row["dropped"].as_object().into_iter().flatten().filter_map(|(_, n)| n.as_u64()).sum();
        let count = |key: &str| row[key].as_u64().unwrap_or_else(|| panic!("{key} of {row}"));
        assert_eq!(count("accepted"), count("sent") + dropped + count("held"), "not conserved: {row}");
    }
}

/// Polls until `probe` gives something.
///
/// # Panics
/// After a minute.
#[expect(clippy::disallowed_methods, reason = "a test waits for another process by the machine's clock")]
pub fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = std::time::Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn log_of(dir: &Path) -> String {
    let mut text = String::new();
    if let Ok(mut file) = std::fs::File::open(dir.join("log.txt")) {
        // The log explains a failure; without it the failure stands by itself.
        let _ = file.read_to_string(&mut text);
    }
    text
}
