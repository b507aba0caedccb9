//! Which findings are one incident: opens, joins, updates and resolves.

use std::collections::BTreeSet;
use std::sync::Arc;

use backtrail_localize::signs::Sign;
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
    /// What is sick inside the system, if this is not about the entry operation itself.
    pub(super) sign: Option<Sign>,
    /// The last slice that shows it, if not this one.
    pub(super) until: Option<Slice>,
    /// The last slice before `since` that would have shown a sign and did not.
    pub(super) absent: Option<Slice>,
}

/// An open incident.
struct Open {
    key: String,
    endpoint: Endpoint,
    detector: Detector,
    opened: Slice,
    last_sick: Slice,
    /// Entry operations that are sick themselves.
    members: BTreeSet<Entry>,
    /// All services that the traces of its entry operations touch.
    services: BTreeSet<Arc<str>>,
    /// What is sick inside the system ...
    signs: BTreeSet<Sign>,
    /// ... and the services that carry it.
    carriers: BTreeSet<Arc<str>>,
    announced: bool,
}

/// All open incidents.
pub(super) struct Clusters {
    grid: SliceGrid,
    resolve_after: u64,
    max_open: u64,
    open: Vec<Open>,
    /// The last sick slice of what is over.
    over: Option<Slice>,
    given_up: GivenUp,
}

/// What was sick for too long: that is the normal state from now on.
#[derive(Default)]
pub(super) struct GivenUp {
    /// Entry operations.
    pub(super) entries: Vec<Entry>,
    /// Whether signs inside are among it.
    pub(super) signs: bool,
}

impl Clusters {
    pub(super) fn new(grid: SliceGrid, resolve_after: u64, max_open: Duration) -> Self {
        let max_open = max_open.0.as_nanos().div_ceil(grid.length.as_nanos().max(1)).max(1) as u64;
        Self { grid, resolve_after, max_open, open: Vec::new(), over: None, given_up: GivenUp::default() }
    }

    pub(super) fn any_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// The last sick slice of all incidents that are over.
    pub(super) fn over(&self) -> Option<Slice> {
        self.over
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
            if let Some(open) = self.open.iter_mut().find(|open| open.knows(&finding)) {
                open.last_sick = open.last_sick.max(finding.until.unwrap_or(open.last_sick));
                continue;
            }
            let passed = finding.until.is_some_and(|until| until.0 + self.resolve_after <= slice.0);
            if !finding.ready || passed {
                continue;
            }
            let services = services_of(&finding.entry);
            // Of several that would do, the one whose services are concerned, and else the last one.
            let carried = self.open.iter().position(|open| open.carries(&finding));
            let explained = || self.open.iter().rposition(|open| open.explains(&finding, &services));
            match carried.or_else(explained).map(|at| &mut self.open[at]) {
                Some(open) => {
                    open.last_sick = open.last_sick.max(finding.until.unwrap_or(slice));
                    open.take(finding, services);
                }
                None => self.open.push(self.begin(slice, finding, services)),
            }
        }
        let (grid, resolve_after, max_open) = (self.grid, self.resolve_after, self.max_open);
        let revisions = self.open.iter_mut().map(|open| open.revision(slice, grid, resolve_after, max_open)).collect();
        let (over, open): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.open).into_iter().partition(|open| open.is_over(slice, resolve_after, max_open));
        self.open = open;
        self.over = over.iter().map(|open| open.last_sick).chain(self.over).max();
        for worn_out in over.into_iter().filter(|open| open.last_sick == slice) {
            self.given_up.signs |= !worn_out.signs.is_empty();
            self.given_up.entries.extend(worn_out.members);
        }
        revisions
    }

    /// What belonged to incidents that lasted for too long.
    pub(super) fn take_given_up(&mut self) -> GivenUp {
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
        let mut begun = Open {
            key: Incident::key(TENANT, &endpoint, finding.kind, self.grid.start(opened)),
            endpoint,
            detector: Detector {
                kind: finding.kind,
                slo: finding.slo.clone(),
                threshold: finding.threshold,
                observed: finding.observed,
                unit: finding.unit.to_owned(),
            },
            opened,
            last_sick: finding.until.unwrap_or(slice),
            members: BTreeSet::new(),
            services: BTreeSet::new(),
            signs: BTreeSet::new(),
            carriers: BTreeSet::new(),
            announced: false,
        };
        begun.take(finding, services);
        begun
    }
}

impl Open {
    /// Whether the finding is about what is known to be sick.
    fn knows(&self, finding: &Finding) -> bool {
        finding.sign.as_ref().map_or_else(|| self.members.contains(&finding.entry), |sign| self.signs.contains(sign))
    }

    /// Whether something new belongs to the incident. An entry operation does if it shares a service with it. A sign
    /// inside does unless it was seen to be absent when the incident was there already: what sets in elsewhere and later is
    /// another trouble. While no service is known to carry the incident, every sign tells which one does.
    fn explains(&self, finding: &Finding, services: &BTreeSet<Arc<str>>) -> bool {
        if finding.sign.is_none() {
            return self.opened == finding.since || !self.services.is_disjoint(services);
        }
        self.carriers.is_empty() || finding.absent.is_none_or(|absent| absent <= self.opened)
    }

    /// Whether a service that carries the finding's sign carries a sign of the incident.
    fn carries(&self, finding: &Finding) -> bool {
        let mut services = finding.sign.iter().flat_map(|sign| sign.services().into_iter().flatten());
        services.any(|service| self.carriers.contains(service))
    }

    fn take(&mut self, finding: Finding, services: BTreeSet<Arc<str>>) {
        self.services.extend(services);
        match finding.sign {
            Some(sign) => {
                self.carriers.extend(sign.services().into_iter().flatten().map(Arc::clone));
                self.signs.insert(sign);
            }
            None => {
                self.members.insert(finding.entry);
            }
        }
    }

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
                // Quiet slices at the end are not part of it.
                end_unix_nano: grid.end(self.last_sick),
                watermark_unix_nano: grid.end(slice),
                late: 0,
            },
            opened: self.opened,
        }
    }
}
