//! Options of `route_normalization`.

use backtrail_model::signal::{Signal, Signals};
use backtrail_pipeline::{Component, Context, Finding, NodeError, Processor, Scope};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::normalizer::Normalizer;
use super::routes::Routes;

/// Options of `route_normalization`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Routes that are known: `/users/{id}/orders/{order}`. A name in braces stands for one segment, and `*` as the last
    /// segment for all that follow. Ids need none, words do (`/cities/{city}`): each word is a route of its own.
    pub templates: Vec<Template>,
    /// Most routes of one service, statements of databases among them. What comes later is "(other)".
    pub max_routes: usize,
    /// The routes that all copies found so far.
    #[serde(skip)]
    #[schemars(skip)]
    pub(super) routes: Routes,
}

/// A known route.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Template {
    /// Of every service.
    Path(String),
    /// Of one service.
    OfService {
        /// The route.
        path: String,
        /// The service's name.
        service: String,
    },
}

impl Default for Config {
    fn default() -> Self {
        Self { templates: Vec::new(), max_routes: 1000, routes: Routes::default() }
    }
}

impl Template {
    /// The route.
    pub fn path(&self) -> &str {
        match self {
            Self::Path(path) | Self::OfService { path, .. } => path,
        }
    }

    /// The service that it is limited to.
    pub fn service(&self) -> Option<&str> {
        match self {
            Self::Path(_) => None,
            Self::OfService { service, .. } => Some(service),
        }
    }
}

impl Component for Config {
    const NAME: &'static str = "route_normalization";
    const SUMMARY: &'static str =
        "Names operations by route or statement, so that requests with different ids count as one operation";
    const SCOPE: Scope = Scope::Stateless;
    type Node = dyn Processor;

    fn accepts(&self) -> Signals {
        Signals::of(&[Signal::Spans])
    }

    fn emits(&self) -> Signals {
        Signals::of(&[Signal::Spans])
    }

    fn check(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.max_routes == 0 {
            let hint = "write a number such as 1000";
            findings.push(Finding::new("max_routes", "no service could have a route", hint));
        }
        for (index, template) in self.templates.iter().enumerate() {
            if !template.path().starts_with('/') {
                let message = format!("'{}' is no path", template.path());
                findings.push(Finding::new(format!("templates[{index}]"), message, "a route begins with '/'"));
            }
        }
        findings
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Processor>, NodeError> {
        Ok(Box::new(Normalizer::new(self, cx)))
    }
}
