//! Argo Rollouts and Istio routes: manifests that their schemas accept and that shift no traffic, or too little.

use std::collections::{BTreeMap, BTreeSet};

use super::analysis::metrics;
use super::condition::threshold;
use super::manifest::{Manifest, seconds, told};
use super::yaml::Node;
use super::{Finding, Findings};

/// Requests that a service may be expected to take each second, where no annotation says it.
const USUAL_REQUESTS: f64 = 100.0;
/// States the requests that a service takes each second.
const TRAFFIC: &str = "backtrail.dev/requests-per-second";
/// Steps of a rollout, and templates that it names, that are looked at.
const MAX_STEPS: usize = 100;
/// The error rate that an analysis is taken to ask for, where it does not say.
const USUAL_THRESHOLD: f64 = 0.01;

pub(super) fn lint(manifests: &[Manifest], all: &mut Vec<Finding>) {
    let subsets = subsets(manifests);
    for manifest in manifests {
        let mut findings = manifest.findings(all);
        match manifest.kind() {
            "Rollout" => {
                incomplete(manifest, &mut findings);
                too_few(manifest, manifests, &mut findings);
            }
            "VirtualService" => routes(manifest, &subsets, &mut findings),
            _ => {}
        }
    }
}

fn canary(rollout: &Manifest) -> Option<&Node> {
    rollout.root.get(&["spec", "strategy", "canary"])
}

fn steps(rollout: &Manifest) -> &[Node] {
    let steps = canary(rollout).and_then(|canary| canary.get(&["steps"])).map(Node::items).unwrap_or_default();
    &steps[..steps.len().min(MAX_STEPS)]
}

/// Seconds of a pause; nothing for one that waits for a person.
fn pause(step: &Node) -> Option<f64> {
    step.get(&["pause", "duration"])?.text().and_then(seconds)
}

fn incomplete(rollout: &Manifest, findings: &mut Findings<'_>) {
    let spec = |path: &[&str]| rollout.root.get(&[&["spec"], path].concat());
    if spec(&["selector"]).is_none() && spec(&["workloadRef"]).is_none() {
        findings.add("rollout-incomplete", rollout.at(), "there is no spec.selector");
    }
    let Some(canary) = canary(rollout) else { return };
    let missing: Vec<&str> =
        ["canaryService", "stableService"].into_iter().filter(|service| canary.get(&[service]).is_none()).collect();
    if missing.is_empty() {
        return;
    }
    let missing = missing.join(" and ");
    if canary.get(&["trafficRouting"]).is_some() {
        let at = canary.key("trafficRouting").unwrap_or(canary.at);
        findings.add("rollout-incomplete", at, format!("traffic is routed without {missing}"));
        return;
    }
    // Without a router a weight is a number of pods, and the least is one.
    let replicas = spec(&["replicas"]).and_then(Node::number).unwrap_or(1.0);
    for weight in steps(rollout).iter().filter_map(|step| step.get(&["setWeight"])) {
        if let Some(share) = weight.number().filter(|share| *share > 0.0 && share * replicas < 100.0) {
            let what = format!("weight {share} of {replicas} pods needs a router, and there is no {missing}");
            findings.add("rollout-incomplete", weight.at, what);
            return;
        }
    }
}

/// Steps that are over before enough requests came.
fn too_few(rollout: &Manifest, manifests: &[Manifest], findings: &mut Findings<'_>) {
    let traffic = rollout.root.get(&["metadata", "annotations", TRAFFIC]).and_then(Node::number);
    let asked = rate(rollout, manifests);
    let steps = steps(rollout);
    for (i, step) in steps.iter().enumerate() {
        let Some(node) = step.get(&["setWeight"]) else { continue };
        let Some(weight) = node.number().filter(|weight| *weight > 0.0 && *weight < 100.0) else { continue };
        let rest = steps[i + 1..].iter().take_while(|step| step.get(&["setWeight"]).is_none());
        let mut lasts = 0.0;
        let mut endless = false;
        for step in rest {
            endless |= step.get(&["pause"]).is_some() && pause(step).is_none();
            lasts +=
                pause(step).unwrap_or(0.0) + templates(step).iter().map(|name| longest(name, manifests)).sum::<f64>();
        }
        if endless || lasts <= 0.0 {
            continue;
        }
        let needed = (3.0 / asked).ceil();
        let each_second = needed / (weight / 100.0) / lasts;
        if each_second > traffic.unwrap_or(USUAL_REQUESTS) {
            let lasts = told(lasts);
            let what = format!(
                "weight {weight} for {lasts} sees the {needed} requests that show an error rate of {asked} only if the \
                 service takes {each_second:.0} each second"
            );
            findings.add("rollout-too-few-requests", node.at, what);
        }
    }
}

fn template_of<'m>(name: &'m str, manifests: &'m [Manifest]) -> impl Iterator<Item = &'m Manifest> {
    manifests.iter().filter(move |manifest| manifest.name() == name)
}

fn longest(name: &str, manifests: &[Manifest]) -> f64 {
    template_of(name, manifests).flat_map(metrics).map(|metric| metric.lasts()).fold(0.0, f64::max)
}

/// The smallest error rate that the analyses of a rollout ask for.
fn rate(rollout: &Manifest, manifests: &[Manifest]) -> f64 {
    let mut names = Vec::new();
    if let Some(canary) = canary(rollout) {
        canary.all("templateName", &mut names);
    }
    let names = names.into_iter().filter_map(Node::text).take(MAX_STEPS);
    let conditions = names.flat_map(|name| template_of(name, manifests)).flat_map(metrics);
    let asked = conditions
        .flat_map(|metric| metric.conditions().filter_map(|(_, condition)| threshold(condition)).collect::<Vec<_>>());
    asked.min_by(f64::total_cmp).unwrap_or(USUAL_THRESHOLD)
}

fn templates(step: &Node) -> Vec<&str> {
    let templates = step.get(&["analysis", "templates"]).map(Node::items).unwrap_or_default();
    templates.iter().filter_map(|template| template.get(&["templateName"])?.text()).collect()
}

/// When templates are measured first, over all rollouts that are seen.
pub(super) struct Measured {
    /// Seconds since the last change of weight, and that weight.
    first: BTreeMap<String, (f64, f64)>,
}

impl Measured {
    pub(super) fn of(manifests: &[Manifest]) -> Self {
        let mut measured = Self { first: BTreeMap::new() };
        for rollout in manifests.iter().filter(|manifest| manifest.kind() == "Rollout") {
            measured.steps(rollout);
        }
        measured
    }

    fn steps(&mut self, rollout: &Manifest) {
        let background = canary(rollout).and_then(|canary| canary.get(&["analysis"]));
        let starts = background.and_then(|analysis| analysis.get(&["startingStep"])).and_then(Node::number);
        let starts = starts.unwrap_or(0.0) as usize;
        let (mut since, mut weight) = (0.0, 0.0);
        for (i, step) in steps(rollout).iter().enumerate() {
            if i == starts
                && let Some(analysis) = background.filter(|_| i > 0)
            {
                self.note(analysis.get(&["templates"]).map(Node::items).unwrap_or_default(), since, weight);
            }
            if let Some(share) = step.get(&["setWeight"]).and_then(Node::number) {
                (since, weight) = (0.0, share);
            } else if step.get(&["pause"]).is_some() {
                // A person decides how long: any window may fit.
                since += pause(step).unwrap_or(f64::INFINITY);
            }
            if let Some(templates) = step.get(&["analysis", "templates"]) {
                self.note(templates.items(), since, weight);
            }
        }
    }

    fn note(&mut self, templates: &[Node], since: f64, weight: f64) {
        for name in templates.iter().filter_map(|template| template.get(&["templateName"])?.text()) {
            let first = self.first.entry(name.to_owned()).or_insert((since, weight));
            if since < first.0 {
                *first = (since, weight);
            }
        }
    }

    /// Seconds between a change of weight and the first measurement, where that is shortest, and the weight.
    pub(super) fn earliest(&self, template: &str) -> Option<(f64, f64)> {
        self.first.get(template).copied()
    }
}

/// Hosts with the subsets that a `DestinationRule` defines.
fn subsets(manifests: &[Manifest]) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut known: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for rule in manifests.iter().filter(|manifest| manifest.kind() == "DestinationRule") {
        let Some(host) = rule.root.get(&["spec", "host"]).and_then(Node::text) else { continue };
        let subsets = rule.root.get(&["spec", "subsets"]).map(Node::items).unwrap_or_default();
        let names = subsets.iter().filter_map(|subset| subset.get(&["name"])?.text());
        known.entry(short(host)).or_default().extend(names);
    }
    known
}

/// A host without its namespace: `payments` and `payments.shop.svc.cluster.local` are the same service here.
fn short(host: &str) -> &str {
    host.split('.').next().unwrap_or(host)
}

fn routes(service: &Manifest, subsets: &BTreeMap<&str, BTreeSet<&str>>, findings: &mut Findings<'_>) {
    let mut destinations = Vec::new();
    service.root.all("destination", &mut destinations);
    let mut told: BTreeSet<(&str, &str)> = BTreeSet::new();
    for destination in destinations {
        let text = |key: &str| destination.get(&[key]).and_then(|node| Some((node.at, node.text()?)));
        let (Some((_, host)), Some((at, subset))) = (text("host"), text("subset")) else { continue };
        let known = subsets.get(short(host));
        if known.is_some_and(|known| known.contains(subset)) || !told.insert((host, subset)) {
            continue;
        }
        let what = match known {
            None => format!("no DestinationRule for '{host}' is here, which must define subset '{subset}'"),
            Some(_) => format!("the DestinationRule for '{host}' defines no subset '{subset}'"),
        };
        findings.add("route-without-destination-rule", at, what);
    }
}
