//! Looks at files and asks DNS, and publishes what both say together.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backtrail_pipeline::names::{Names, NotAdded};
use backtrail_pipeline::{Context, NodeError, Watcher};
use hickory_resolver::TokioResolver;
use tokio::task::JoinSet;

use super::config::{Config, RecordType};
use super::dns::{self, Found};
use super::files::{Files, Looked};

/// How often it is looked whether something is due, and whether a file has changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// An address and its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Address {
    pub(super) host: Box<str>,
    pub(super) port: Option<u16>,
    pub(super) name: Arc<str>,
}

/// The watcher of a node.
pub(super) struct Watch {
    config: Config,
    cx: Context,
    files: Vec<Files>,
    /// When the files of each entry are read again, changed or not.
    due: Vec<Duration>,
    questions: Vec<Question>,
    resolver: Option<TokioResolver>,
    /// Answers by the question's position.
    answers: JoinSet<(usize, Result<Vec<Found>, String>)>,
}

/// A name that DNS is asked for.
struct Question {
    dns: String,
    record: RecordType,
    port: Option<u16>,
    name: Arc<str>,
    every: Duration,
    /// When to ask again; [`Duration::MAX`] while an answer is awaited.
    due: Duration,
    found: Vec<Found>,
    /// It could not be answered: said once.
    failing: bool,
}

impl Watch {
    /// Reads the files for the first time, before anything runs.
    pub(super) fn start(config: &Config, cx: &Context) -> Result<Self, NodeError> {
        let questions = questions(config);
        let resolver = if questions.is_empty() { None } else { Some(dns::resolver(&config.nameservers)) };
        let resolver = resolver.transpose().map_err(|error| {
            NodeError::config(
                format!("dns_sd_configs: no resolver: {error}"),
                "mend /etc/resolv.conf, or list nameservers",
            )
        })?;
        let mut watch = Self {
            files: config.file_sd_configs.iter().map(Files::new).collect(),
            due: config.file_sd_configs.iter().map(|files| files.refresh_interval.0).collect(),
            config: config.clone(),
            cx: cx.clone(),
            questions,
            resolver,
            answers: JoinSet::new(),
        };
        let mut failed = Vec::new();
        for files in &mut watch.files {
            let looked = files.look(&config.name_labels, true);
            cx.stats().note("targets_without_name", looked.skipped);
            failed.extend(looked.failed);
        }
        if !failed.is_empty() {
            let hint = "a file is a list of { targets: [host:port], labels: { service: name } }";
            return Err(NodeError::config(format!("file_sd_configs: {}", failed.join("; ")), hint));
        }
        watch.publish();
        Ok(watch)
    }

    fn look_at_files(&mut self, now: Duration) -> bool {
        let mut changed = false;
        for (files, due) in self.files.iter_mut().zip(&mut self.due) {
            let all = now >= *due;
            if all {
                *due = now + files.config.refresh_interval.0;
            }
            let Looked { changed: other, failed, skipped } = files.look(&self.config.name_labels, all);
            changed |= other;
            let stats = self.cx.stats();
            stats.note("targets_without_name", skipped);
            stats.note("file_failures", failed.len() as u64);
            for why in failed {
                tracing::warn!(node = self.cx.node(), why, "a file cannot be read; what it said before stays");
            }
        }
        changed
    }

    /// Asks what is due.
    fn ask(&mut self, now: Duration) {
        let Some(resolver) = &self.resolver else { return };
        for (at, question) in self.questions.iter_mut().enumerate().filter(|(_, question)| question.due <= now) {
            question.due = Duration::MAX;
            let (resolver, name, record) = (resolver.clone(), question.dns.clone(), question.record);
            self.answers.spawn(async move { (at, dns::ask(&resolver, &name, record).await) });
        }
    }

    /// Takes the answers that have come.
    fn hear(&mut self, now: Duration) -> bool {
        let mut changed = false;
        while let Some(ended) = self.answers.try_join_next() {
            let Ok((at, answer)) = ended else { continue };
            let question = &mut self.questions[at];
            question.due = now + question.every;
            match answer {
                Ok(found) => {
                    question.failing = false;
                    changed |= question.found != found;
                    question.found = found;
                }
                Err(why) => {
                    self.cx.stats().note("dns_failures", 1);
                    if !std::mem::replace(&mut question.failing, true) {
                        let (node, name) = (self.cx.node(), &question.dns);
                        tracing::warn!(node, name, why, "DNS does not answer; what it said before stays");
                    }
                }
            }
        }
        changed
    }

    /// Files first, in the order of the configuration: of two names for one address the first stays.
    fn publish(&self) {
        let mut names = Names::default();
        let (mut named, mut full) = (0, 0);
        let mut add = |host: &str, port, name| match names.add(host, port, name, self.config.max_addresses) {
            Ok(()) => {}
            Err(NotAdded::Named) => named += 1,
            Err(NotAdded::Full) => full += 1,
        };
        let addresses = || self.files.iter().flat_map(Files::addresses);
        addresses().for_each(|address| add(&address.host, address.port, &address.name));
        for question in &self.questions {
            if question.record != RecordType::Srv {
                add(&question.dns, question.port, &question.name);
            }
            for (host, port) in &question.found {
                add(host, port.or(question.port), &question.name);
            }
        }
        if self.config.any_port {
            for (host, name) in hosts_with_one_name(addresses()) {
                add(host, None, name);
            }
        }
        let stats = self.cx.stats();
        stats.note("addresses_with_two_names", named);
        stats.note("addresses_past_max", full);
        tracing::info!(node = self.cx.node(), addresses = names.len(), named, full, "names of addresses");
        self.cx.shared().names.publish(self.cx.node(), names);
    }
}

#[async_trait]
impl Watcher for Watch {
    async fn run(mut self: Box<Self>) {
        let start = tokio::time::Instant::now();
        let mut timer = tokio::time::interval(LOOK_EVERY);
        timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            timer.tick().await;
            let now = start.elapsed();
            self.ask(now);
            let changed = self.look_at_files(now);
            if self.hear(now) || changed {
                self.publish();
            }
        }
    }
}

/// A host whose targets have several names has none by itself.
fn hosts_with_one_name<'a>(addresses: impl Iterator<Item = &'a Address>) -> BTreeMap<&'a str, &'a Arc<str>> {
    let mut hosts = BTreeMap::<&str, Option<&Arc<str>>>::new();
    for address in addresses {
        let known = hosts.entry(&address.host).or_insert(Some(&address.name));
        *known = known.filter(|name| **name == address.name);
    }
    hosts.into_iter().filter_map(|(host, name)| Some((host, name?))).collect()
}

fn questions(config: &Config) -> Vec<Question> {
    let mut questions = Vec::new();
    for entry in &config.dns_sd_configs {
        for dns in &entry.names {
            let name = if entry.service.is_empty() { dns::name_of(dns) } else { &entry.service };
            questions.push(Question {
                dns: dns.clone(),
                record: entry.record_type,
                port: entry.port,
                name: name.into(),
                every: entry.refresh_interval.0,
                due: Duration::ZERO,
                found: Vec::new(),
                failing: false,
            });
        }
    }
    questions
}
