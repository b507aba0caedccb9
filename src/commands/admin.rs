//! The running graph as the admin listener sees it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::OnceLock;

use backtrail_console::Source;
use backtrail_model::alert::Alert;
use backtrail_model::change::Change;
use backtrail_model::feedback::Feedback;
use backtrail_model::verdict::Verdict;
use backtrail_pipeline::boards::{NoAnswer, Question};
use backtrail_pipeline::config::Config;
use backtrail_pipeline::engine::{Handle, Status};

/// The file of feedback, in `data_dir`.
pub(crate) const FEEDBACK: &str = "feedback.jsonl";

/// A graph that runs, or will.
pub(crate) struct Admin {
    handle: OnceLock<Handle>,
    pipelines: BTreeMap<String, Vec<String>>,
}

impl Admin {
    /// The graph of a configuration before it runs.
    pub(crate) fn new(config: &Config) -> Self {
        Self { handle: OnceLock::new(), pipelines: pipelines(config) }
    }

    /// It runs now.
    pub(crate) fn attach(&self, handle: Handle) {
        // A second graph is never started in one process.
        let _ = self.handle.set(handle);
    }
}

impl Source for Admin {
    fn status(&self) -> Status {
        let starting = || Status { state: "starting".to_owned(), ..Status::default() };
        self.handle.get().map_or_else(starting, Handle::status)
    }

    fn ready(&self) -> bool {
        self.handle.get().is_some_and(Handle::ready)
    }

    fn pipelines(&self) -> &BTreeMap<String, Vec<String>> {
        &self.pipelines
    }

    fn post_changes(&self, changes: Vec<Change>) -> bool {
        self.handle.get().map(|handle| handle.shared().changes.post(changes)).is_some()
    }

    fn post_alerts(&self, alerts: Vec<Alert>) -> bool {
        self.handle.get().map(|handle| handle.shared().alerts.post(alerts)).is_some()
    }

    fn feedback(&self, verdict_id: &str, culprit: Option<&str>) -> Option<std::io::Result<Feedback>> {
        let shared = self.handle.get()?.shared();
        let feedback = Feedback {
            time_unix_nano: shared.clock().now(),
            verdict_id: verdict_id.to_owned(),
            said: shared.said.get(verdict_id),
            culprit: culprit.map(str::to_owned),
        };
        Some(append(&shared.data_dir.join(FEEDBACK), &feedback.line()).map(|()| feedback))
    }

    fn investigate(&self, question: &Question) -> Option<Result<Verdict, NoAnswer>> {
        self.handle.get().map(|handle| handle.shared().investigators.ask(question))
    }
}

/// Adds a line to a file, in one piece and for good.
fn append(path: &Path, line: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = std::fs::File::options().create(true).append(true).open(path)?;
    file.write_all(line.as_bytes())?;
    file.sync_data()
}

/// Names of the nodes of each pipeline. Receivers and exporters are shared: each pipeline that lists one shows it.
fn pipelines(config: &Config) -> BTreeMap<String, Vec<String>> {
    let nodes = &config.graph.nodes;
    let of = |name: &str, parts: &backtrail_pipeline::service::Pipeline| {
        let listed = |node: &&backtrail_pipeline::graph::GraphNode| match &node.pipeline {
            Some(pipeline) => pipeline == name,
            None => parts.receivers.contains(&node.id) || parts.exporters.contains(&node.id),
        };
        nodes.iter().filter(listed).map(|node| node.name.clone()).collect()
    };
    config.service.pipelines.iter().map(|(name, parts)| (name.clone(), of(name, parts))).collect()
}
