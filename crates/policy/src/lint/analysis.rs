//! Argo `AnalysisTemplate`s: queries and conditions that do not measure what they seem to.

use super::condition::{Use, uses};
use super::manifest::{Manifest, seconds, told};
use super::promql::Query;
use super::rollout::Measured;
use super::yaml::Node;
use super::{At, Finding, Findings};

/// One metric of a template.
pub(super) struct Metric<'m> {
    node: &'m Node,
    query: Option<&'m Node>,
}

impl<'m> Metric<'m> {
    fn text(&self, key: &str) -> Option<&'m str> {
        self.node.get(&[key]).and_then(Node::text)
    }

    pub(super) fn conditions(&self) -> impl Iterator<Item = (&'m Node, &'m str)> {
        ["successCondition", "failureCondition"].into_iter().filter_map(|key| {
            let node = self.node.get(&[key])?;
            Some((node, node.text()?))
        })
    }

    pub(super) fn delay(&self) -> f64 {
        self.text("initialDelay").and_then(seconds).unwrap_or(0.0)
    }

    /// Seconds from the first to the last measurement.
    pub(super) fn lasts(&self) -> f64 {
        let count = self.node.get(&["count"]).and_then(Node::number).unwrap_or(1.0);
        self.delay() + (count - 1.0).max(0.0) * self.text("interval").and_then(seconds).unwrap_or(0.0)
    }
}

/// The metrics of a manifest, if it is a template.
pub(super) fn metrics(manifest: &Manifest) -> Vec<Metric<'_>> {
    if !matches!(manifest.kind(), "AnalysisTemplate" | "ClusterAnalysisTemplate" | "AnalysisRun") {
        return Vec::new();
    }
    let metrics = manifest.root.get(&["spec", "metrics"]).map(Node::items).unwrap_or_default();
    metrics.iter().map(|node| Metric { node, query: node.get(&["provider", "prometheus", "query"]) }).collect()
}

pub(super) fn lint(manifests: &[Manifest], all: &mut Vec<Finding>) {
    let measured = Measured::of(manifests);
    for manifest in manifests {
        for metric in metrics(manifest) {
            let mut findings = manifest.findings(all);
            limits(&metric, &mut findings);
            let Some((at, text)) = metric.query.and_then(|node| Some((node.at, node.text()?))) else { continue };
            let query = Query::read(text);
            vector(&metric, &query, &mut findings);
            series(&metric, &query, at, &mut findings);
            window(manifest.name(), &metric, &query, at, &measured, &mut findings);
        }
    }
}

fn limits(metric: &Metric<'_>, findings: &mut Findings<'_>) {
    let number = |key: &str| metric.node.get(&[key]).and_then(|node| Some((node.at, node.number()?)));
    let (Some((at, limit)), Some((_, count))) = (number("failureLimit"), number("count")) else { return };
    if limit >= 1.0 && count >= 1.0 && (limit + 1.0) * 2.0 > count {
        let needed = limit + 1.0;
        let what = if needed > count {
            format!("failureLimit {limit} of {count} measurements: the analysis can never fail")
        } else {
            format!("failureLimit {limit} of {count} measurements: {needed} must fail before the analysis does")
        };
        findings.add("analysis-failure-limit", at, what);
    }
}

fn vector(metric: &Metric<'_>, query: &Query, findings: &mut Findings<'_>) {
    if query.scalar() {
        return;
    }
    for (node, condition) in metric.conditions() {
        let used = uses(condition);
        if used.contains(&Use::Bare) {
            findings.add("analysis-vector", node.at, format!("'{condition}' compares a vector"));
        } else if used.contains(&Use::Indexed) && !condition.contains("len(") && !query.always_answers() {
            findings.add("analysis-vector", node.at, format!("'{condition}' does not ask whether there is an element"));
        }
    }
}

fn series(metric: &Metric<'_>, query: &Query, at: At, findings: &mut Findings<'_>) {
    let selectors = query.selectors();
    if let Some(errors) = selectors.iter().find(|selector| selector.errors())
        && !query.always_answers()
    {
        findings.add(
            "analysis-missing-series",
            at,
            format!("nothing stands in for '{}' without errors", errors.metric),
        );
    }
    let handled = metric.conditions().any(|(_, condition)| condition.contains("isNaN("));
    if query.divides_unguarded() && !handled {
        findings.add("analysis-zero-division", at, "the divisor may be zero");
    }
    if let Some(mixed) = selectors.iter().find(|selector| !selector.one_version()) {
        findings.add("analysis-mixed-versions", at, format!("'{}' is taken from every version", mixed.metric));
    }
}

fn window(name: &str, metric: &Metric<'_>, query: &Query, at: At, measured: &Measured, findings: &mut Findings<'_>) {
    let Some((since, weight)) = measured.earliest(name) else { return };
    let since = since + metric.delay();
    for range in query.ranges() {
        if let Some(window) = seconds(range).filter(|window| *window > since) {
            let (window, since) = (told(window), told(since));
            let what = format!("the query looks back {window}, its first measurement is {since} after weight {weight}");
            findings.add("analysis-window", at, what);
            return;
        }
    }
}
