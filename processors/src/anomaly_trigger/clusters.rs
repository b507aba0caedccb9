//! Which findings are one incident: opens, joins, updates and resolves.

use std::collections::BTreeSet;
use std::sync::Arc;

use backtrail_model::incident::{Detector, DetectorKind, Endpoint, Incident, Status, Window};
use backtrail_model::spectra::Entry;
use backtrail_model::time::{Slice, SliceGrid};
use backtrail_pipeline::Duration;
use backtrail_pipeline::context::OpenIncident;

use super::entries::endpoint;

/// The tenant in keys, until there are several.
const TENANT: &str = "";

/// A sick entry operation in one slice.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Finding {
    pub(super) entry: Entry,
    pub(super) kind: DetectorKind,
    pub(super) slo: String,
    pub(super) threshold: f64,
    pub(super) observed: f64,
    pub(super) unit: &'static str,
    /// How many times its gate the statistic is.
    pub(super) strength: f64,
    /// The first slice of the sickness.
    pub(super) since: Slice,
    /// Whether it may open an incident.
    pub(super) ready: bool,
}

/// An open incident.
struct Open {
    key: String,
    endpoint: Endpoint,
    detector: Detector,
    opened: Slice,
    last_sick: Slice,
    members: BTreeSet<Entry>,
    services: BTreeSet<Arc<str>>,
    announced: bool,
}

/// All open incidents.
pub(super) struct Clusters {
    grid: SliceGrid,
    resolve_after: u64,
    max_open: u64,
    open: Vec<Open>,
    given_up: Vec<Entry>,
}

impl Clusters {
    pub(super) fn new(grid: SliceGrid, resolve_after: u64, max_open: Duration) -> Self {
        let max_open = max_open.0.as_nanos().div_ceil(grid.length.as_nanos().max(1)).max(1) as u64;
        Self { grid, resolve_after, max_open, open: Vec::new(), given_up: Vec::new() }
    }

    pub(super) fn any_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Takes the findings of a slice and answers the revisions that follow from them.
    pub(super) fn step(
        &mut self,
        slice: Slice,
        mut findings: Vec<Finding>,
        services_of: impl Fn(&Entry) -> BTreeSet<Arc<str>>,
    ) -> Vec<Incident> {
        // Strongest first; the order of entries breaks ties.
        findings.sort_by(|a, b| b.strength.total_cmp(&a.strength).then_with(|| a.entry.cmp(&b.entry)));
        for finding in findings {
            if let Some(open) = self.open.iter_mut().find(|open| open.members.contains(&finding.entry)) {
                open.last_sick = slice;
                continue;
            }
            if !finding.ready {
                continue;
            }
            let services = services_of(&finding.entry);
            let together = |open: &Open| open.opened == finding.since || !open.services.is_disjoint(&services);
            match self.open.iter_mut().find(|open| together(open)) {
                Some(open) => {
                    open.last_sick = slice;
                    open.members.insert(finding.entry);
                    open.services.extend(services);
                }
                None => self.open.push(self.begin(slice, finding, services)),
            }
        }
        let (grid, resolve_after, max_open) = (self.grid, self.resolve_after, self.max_open);
        let revisions = self.open.iter_mut().map(|open| open.revision(slice, grid, resolve_after, max_open)).collect();
        let (over, open): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.open).into_iter().partition(|open| open.is_over(slice, resolve_after, max_open));
        self.open = open;
        let worn_out = over.into_iter().filter(|open| open.last_sick == slice);
        self.given_up.extend(worn_out.flat_map(|open| open.members));
        revisions
    }

    /// Entries of incidents that lasted for too long: what is sick there is the normal state from now on.
    pub(super) fn take_given_up(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.given_up)
    }

    /// For the incident board.
    pub(super) fn open(&self) -> Vec<OpenIncident> {
        let open = self.open.iter().map(|open| OpenIncident {
            incident_key: open.key.clone(),
            endpoint: open.endpoint.clone(),
            since: self.grid.start(open.opened),
        });
        open.collect()
    }

    fn begin(&self, slice: Slice, finding: Finding, services: BTreeSet<Arc<str>>) -> Open {
        let (opened, endpoint) = (finding.since, endpoint(&finding.entry));
        Open {
            key: Incident::key(TENANT, &endpoint, finding.kind, self.grid.start(opened)),
            endpoint,
            detector: Detector {
                kind: finding.kind,
                slo: finding.slo,
                threshold: finding.threshold,
                observed: finding.observed,
                unit: finding.unit.to_owned(),
            },
            opened,
            last_sick: slice,
            members: BTreeSet::from([finding.entry]),
            services,
            announced: false,
        }
    }
}

impl Open {
    fn is_over(&self, slice: Slice, resolve_after: u64, max_open: u64) -> bool {
        slice.0 - self.last_sick.0 >= resolve_after || slice.0 - self.opened.0 >= max_open
    }

    fn revision(&mut self, slice: Slice, grid: SliceGrid, resolve_after: u64, max_open: u64) -> Incident {
        let over = self.is_over(slice, resolve_after, max_open);
        let first = !std::mem::replace(&mut self.announced, true);
        Incident {
            incident_key: self.key.clone(),
            revision: slice.0 - self.opened.0,
            status: match (over, first) {
                (true, _) => Status::Resolved,
                (_, true) => Status::Open,
                _ => Status::Updated,
            },
            detector: self.detector.clone(),
            endpoint: self.endpoint.clone(),
            window: Window {
                start_unix_nano: grid.start(self.opened),
                // The quiet slices that proved the end are not part of it.
                end_unix_nano: grid.end(if over { self.last_sick } else { slice }),
                watermark_unix_nano: grid.end(slice),
                late: 0,
            },
            opened: self.opened,
        }
    }
}
