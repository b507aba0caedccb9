//! Where names come from.

use std::net::SocketAddr;
use std::path::PathBuf;

use backtrail_pipeline::Duration;
use backtrail_pipeline::node::Finding;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Names peers that spans know by address only.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Files of targets and labels.
    pub file_sd_configs: Vec<FileSd>,
    /// Names to ask DNS for.
    pub dns_sd_configs: Vec<DnsSd>,
    /// Labels of a file's group that name its targets: the first that it has.
    pub name_labels: Vec<String>,
    /// Whether a target names its host at every port that has no name of its own, and not only at the port that it states.
    pub any_port: bool,
    /// DNS servers, `host:port`; those of the system if there are none.
    #[schemars(with = "Vec<String>")]
    pub nameservers: Vec<SocketAddr>,
    /// Most addresses that have a name.
    pub max_addresses: usize,
}

/// Files of targets and labels, JSON (`.json`) or YAML, as Prometheus' `file_sd_configs` have them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FileSd {
    /// The files; the last part of a path may have `*` in it.
    pub files: Vec<PathBuf>,
    /// They are read again when they change; and this often, whether they do or not.
    pub refresh_interval: Duration,
}

/// Names to ask DNS for, as Prometheus' `dns_sd_configs` have them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DnsSd {
    /// The names.
    pub names: Vec<String>,
    /// What to ask for.
    #[serde(rename = "type")]
    pub record_type: RecordType,
    /// The port of A and AAAA records; every port if it is not set.
    pub port: Option<u16>,
    /// How often to ask.
    pub refresh_interval: Duration,
    /// The name of what is found; the first part of the DNS name that does not begin with `_` if it is empty.
    pub service: String,
}

/// A type of DNS records.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize, JsonSchema)]
pub enum RecordType {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    #[serde(rename = "AAAA")]
    Aaaa,
    /// Hosts with their ports; the addresses of the hosts are asked for, too.
    #[default]
    #[serde(rename = "SRV")]
    Srv,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            file_sd_configs: Vec::new(),
            dns_sd_configs: Vec::new(),
            name_labels: ["service", "service_name", "app", "job"].map(str::to_owned).to_vec(),
            any_port: false,
            nameservers: Vec::new(),
            max_addresses: 100_000,
        }
    }
}

impl Default for FileSd {
    fn default() -> Self {
        Self { files: Vec::new(), refresh_interval: Duration::from_secs(300) }
    }
}

impl Default for DnsSd {
    fn default() -> Self {
        Self {
            names: Vec::new(),
            record_type: RecordType::default(),
            port: None,
            refresh_interval: Duration::from_secs(30),
            service: String::new(),
        }
    }
}

impl Config {
    pub(super) fn problems(&self) -> Vec<Finding> {
        let mut problems = Vec::new();
        let mut wrong = |bad: bool, path: String, message: &str, hint: &str| {
            if bad {
                problems.push(Finding::new(path, message, hint));
            }
        };
        let nothing = self.file_sd_configs.is_empty() && self.dns_sd_configs.is_empty();
        wrong(nothing, String::new(), "no names to find", "list file_sd_configs or dns_sd_configs");
        wrong(self.file_sd_configs.len() > 100, "file_sd_configs".into(), "more than 100", "use * in files");
        let second = Duration::from_secs(1);
        for (i, files) in self.file_sd_configs.iter().enumerate() {
            let at = |key: &str| format!("file_sd_configs[{i}].{key}");
            wrong(files.files.is_empty(), at("files"), "no file", "name one such as targets/*.yaml");
            wrong(files.files.len() > 1000, at("files"), "more than 1000 files", "use * in their names");
            wrong(files.refresh_interval < second, at("refresh_interval"), "shorter than a second", "5m is usual");
            let folder = |file: &PathBuf| file.parent().is_some_and(|parent| parent.to_string_lossy().contains('*'));
            let hint = "write * in the last part of a path only";
            wrong(files.files.iter().any(folder), at("files"), "a * in a folder's name", hint);
        }
        let names: usize = self.dns_sd_configs.iter().map(|dns| dns.names.len()).sum();
        wrong(names > 1000, "dns_sd_configs".into(), "more than 1000 names", "each is asked for by itself");
        for (i, dns) in self.dns_sd_configs.iter().enumerate() {
            let at = |key: &str| format!("dns_sd_configs[{i}].{key}");
            wrong(dns.names.is_empty(), at("names"), "no name", "name one such as db.internal");
            wrong(dns.refresh_interval < second, at("refresh_interval"), "shorter than a second", "30s is usual");
            let twice = dns.port.is_some() && dns.record_type == RecordType::Srv;
            wrong(twice, at("port"), "SRV records state their ports", "leave it out, or write type: A");
            wrong(dns.port == Some(0), at("port"), "0 is no port", "leave it out for every port");
        }
        let unnamed = !self.file_sd_configs.is_empty() && self.name_labels.is_empty();
        wrong(unnamed, "name_labels".into(), "no label names a target", "leave it out for service, app and job");
        let size = !(1..=10_000_000).contains(&self.max_addresses);
        wrong(size, "max_addresses".into(), "out of bounds", "write a number from 1 to 10000000");
        problems
    }
}
