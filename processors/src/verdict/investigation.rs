//! A verdict on the last while of an endpoint, without an incident: what `backtrail investigate` asks for.

use std::collections::BTreeSet;
use std::sync::Arc;

use backtrail_model::incident::{Detector, DetectorKind, Endpoint, Incident, Status, Window};
use backtrail_model::spectra::{Element, ElementKind, Entry, SpectraSlice};
use backtrail_model::time::Slice;
use backtrail_model::verdict::Verdict;
use backtrail_pipeline::boards::{Investigator, NoAnswer, Question};
use parking_lot::Mutex;

use super::inputs::Bench;
use super::quiets::Quiets;
use super::ring::Ring;
use super::slices;
use crate::anomaly_trigger::endpoint_of;

/// Most endpoints that are named to who asks for one that is not there.
const MOST_NAMED: usize = 20;

/// Answers questions by the slices that a node holds.
pub(super) struct Investigation {
    ring: Arc<Mutex<Ring>>,
    bench: Arc<Bench>,
}

impl Investigation {
    pub(super) fn new(ring: Arc<Mutex<Ring>>, bench: Arc<Bench>) -> Self {
        Self { ring, bench }
    }
}

impl Investigator for Investigation {
    /// The window is the last slices up to the newest closed one. Suspects are the services that share a trace with the
    /// endpoint: who is in none of them cannot be what is wrong with it.
    fn investigate(&self, question: &Question) -> Result<Verdict, NoAnswer> {
        let grid = self.bench.cx().grid();
        let selected = {
            let ring = self.ring.lock();
            let last = ring.newest().ok_or(NoAnswer::NoSlices)?;
            let length = slices(question.last, grid);
            ring.stretch(Slice((last.0 + 1).saturating_sub(length)), last)
        };
        let slice_of = |part: &Arc<SpectraSlice>| part.slice;
        let spectra = &selected.window.spectra;
        let (Some(first), Some(last)) = (spectra.iter().map(slice_of).min(), spectra.iter().map(slice_of).max()) else {
            return Err(NoAnswer::NoSlices);
        };
        // A service that stopped answering is in the traces before only.
        let all = || spectra.iter().chain(&selected.baseline.spectra);
        let found = find(all(), &question.endpoint)
            .ok_or_else(|| NoAnswer::UnknownEndpoint { known: known(all(), MOST_NAMED) })?;
        let window = Window {
            start_unix_nano: grid.start(first),
            end_unix_nano: grid.end(last),
            watermark_unix_nano: grid.end(last),
            late: 0,
        };
        let incident = incident(found.endpoint, window, first, last);
        let mut inputs = self.bench.inputs(incident, selected);
        inputs.settings.among = Some(found.services);
        Ok(self.bench.judge(&inputs, &mut Quiets::default()).1)
    }
}

/// As if somebody had given the window.
fn incident(endpoint: Endpoint, window: Window, first: Slice, last: Slice) -> Incident {
    let kind = DetectorKind::GivenWindow;
    Incident {
        incident_key: Incident::key("", &endpoint, kind, window.start_unix_nano),
        revision: last.0 - first.0,
        status: Status::Open,
        detector: Detector { kind, slo: String::new(), threshold: 0.0, observed: 0.0, unit: String::new() },
        endpoint,
        window,
        opened: first,
    }
}

/// What an endpoint's name stands for.
struct Found {
    endpoint: Endpoint,
    /// Services that share a trace with it.
    services: BTreeSet<Arc<str>>,
}

/// How well a trace fits to a name, the best last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// It touches an operation, or a service, of that name.
    Touches,
    /// It came in there: by route, or by service.
    EntryInPart,
    /// It came in there: `service route`.
    Entry,
}

fn fit(wanted: &str, entry: &Entry, elements: &[Element]) -> Option<Fit> {
    let is = |service: &str, name: &str| {
        wanted.strip_prefix(service).and_then(|rest| rest.strip_prefix(' ')).is_some_and(|rest| rest == name)
    };
    if is(&entry.service, &entry.route) {
        return Some(Fit::Entry);
    }
    if *entry.service == *wanted || *entry.route == *wanted {
        return Some(Fit::EntryInPart);
    }
    let touches = |element: &Element| match element.kind {
        ElementKind::Service => *element.service == *wanted,
        ElementKind::Route => *element.name == *wanted || is(&element.service, &element.name),
        _ => false,
    };
    elements.iter().any(touches).then_some(Fit::Touches)
}

/// The traces that a name stands for: those that fit best.
fn find<'a>(parts: impl Iterator<Item = &'a Arc<SpectraSlice>>, wanted: &str) -> Option<Found> {
    let (mut best, mut entries, mut services) = (None, BTreeSet::new(), BTreeSet::new());
    for part in parts {
        for group in part.groups.keys() {
            let elements = part.signatures.get(&group.signature).map_or(&[][..], |elements| &**elements);
            let fit = fit(wanted, &group.entry, elements);
            if fit.is_none() || fit < best {
                continue;
            }
            if fit > best {
                best = fit;
                entries.clear();
                services.clear();
            }
            entries.insert(&group.entry);
            services.insert(Arc::clone(&group.entry.service));
            services.extend(elements.iter().map(|element| Arc::clone(&element.service)));
            // What is called and not instrumented is the name of an edge only.
            let callees = elements.iter().filter(|element| element.kind == ElementKind::Edge);
            services.extend(callees.map(|element| Arc::clone(&element.name)));
        }
    }
    let best = best?;
    let mut entries = entries.into_iter();
    let endpoint = match (entries.next(), entries.next()) {
        (Some(entry), None) if best > Fit::Touches => endpoint_of(entry),
        _ => Endpoint { service: named(wanted, &services), ..Endpoint::default() },
    };
    Some(Found { endpoint, services })
}

/// The service in a name, if one of `services` stands there.
fn named(wanted: &str, services: &BTreeSet<Arc<str>>) -> String {
    let first = wanted.split(' ').next().unwrap_or_default();
    [wanted, first].into_iter().find(|name| services.contains(*name)).unwrap_or_default().to_owned()
}

/// Entry operations by name.
fn known<'a>(parts: impl Iterator<Item = &'a Arc<SpectraSlice>>, most: usize) -> Vec<String> {
    let entries: BTreeSet<&Entry> = parts.flat_map(|part| part.groups.keys()).map(|group| &group.entry).collect();
    entries.into_iter().map(|entry| format!("{} {}", entry.service, entry.route)).take(most).collect()
}
