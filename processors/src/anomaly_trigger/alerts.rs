//! Incidents by the word of another tool's alerts.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration as Time;

use backtrail_model::alert::{self, Alert};
use backtrail_model::incident::{Detector, DetectorKind, Endpoint, Incident, Status, Window};
use backtrail_model::time::{Slice, SliceGrid, UnixNano};
use backtrail_pipeline::Duration;
use backtrail_pipeline::boards::AlertBoard;
use backtrail_pipeline::context::OpenIncident;

use super::config::Alerts;

/// The tenant in keys, until there are several.
const TENANT: &str = "";
/// Most bytes of a file of alerts.
const MOST_FILE: u64 = 16 << 20;
/// Most alerts that are open or wait for their time.
const MOST_HELD: usize = 1000;

/// Alerts and the incidents that they are, by the alert's id.
pub(super) struct Alarms {
    grid: SliceGrid,
    lead: Time,
    max_open: u64,
    /// Up to where the board was read.
    read: u64,
    /// Alerts that fire later than the watermark.
    waiting: BTreeMap<String, Alert>,
    open: BTreeMap<String, Alarm>,
    /// The first slice that no revision was made for.
    next: Slice,
    /// The newest watermark.
    watermark: UnixNano,
}

struct Alarm {
    alert: Alert,
    key: String,
    opened: Slice,
    announced: bool,
}

impl Alarms {
    /// Nothing has fired yet, but for what the file says.
    pub(super) fn new(grid: SliceGrid, config: &Alerts, max_open: Duration) -> Result<Self, String> {
        let waiting = config.file.as_deref().map(read).transpose()?.unwrap_or_default();
        let max_open = max_open.0.as_nanos().div_ceil(grid.length.as_nanos().max(1)).max(1) as u64;
        let (next, watermark) = (Slice(0), UnixNano(0));
        Ok(Self { grid, lead: config.lead.0, max_open, read: 0, waiting, open: BTreeMap::new(), next, watermark })
    }

    /// Takes what was posted since; answers how many alerts were lost.
    pub(super) fn hear(&mut self, board: &AlertBoard) -> u64 {
        let (alerts, mut missed, read) = board.after(self.read);
        self.read = read;
        for alert in alerts {
            if let Some(open) = self.open.get_mut(&alert.id) {
                // The same alert again: it fires on, or it is over.
                open.alert.ends_at = alert.ends_at;
            } else if alert.ends_at.is_none() || self.waiting.contains_key(&alert.id) {
                if self.open.len() + self.waiting.len() < MOST_HELD {
                    self.waiting.insert(alert.id.clone(), alert);
                } else {
                    missed += 1;
                }
            }
        }
        missed
    }

    /// The revisions of all slices that end by the watermark.
    pub(super) fn pass(&mut self, watermark: UnixNano) -> Vec<Incident> {
        self.watermark = self.watermark.max(watermark);
        self.up_to(self.grid.slice(self.watermark))
    }

    /// The input ended: the last revisions reach as far as data can.
    pub(super) fn finish(&mut self, lateness: Time) -> Vec<Incident> {
        let end = self.grid.slice(self.watermark.plus(lateness));
        let mut revisions = self.up_to(end);
        let last = Slice(end.0.max(self.next.0));
        for (_, mut alarm) in std::mem::take(&mut self.open) {
            revisions.push(alarm.revision(last, self.grid, true));
        }
        revisions
    }

    /// For the incident board.
    pub(super) fn open(&self) -> impl Iterator<Item = OpenIncident> {
        self.open.values().map(|alarm| OpenIncident {
            incident_key: alarm.key.clone(),
            endpoint: endpoint(&alarm.alert),
            since: self.grid.start(alarm.opened),
        })
    }

    fn up_to(&mut self, end: Slice) -> Vec<Incident> {
        let mut revisions = Vec::new();
        while self.next < end {
            if self.open.is_empty() {
                // Nothing happens before the next alert.
                let first = self.waiting.values().map(|alert| self.grid.slice(alert.starts_at)).min();
                self.next = self.next.max(first.unwrap_or(end)).min(end);
                if self.next == end {
                    break;
                }
            }
            let slice = self.next;
            self.next = Slice(slice.0 + 1);
            self.begin(slice);
            let (grid, max_open) = (self.grid, self.max_open);
            self.open.retain(|_, alarm| {
                let over = alarm.is_over(slice, grid, max_open);
                revisions.push(alarm.revision(slice, grid, over));
                !over
            });
        }
        revisions
    }

    /// Opens what fires in a slice.
    fn begin(&mut self, slice: Slice) {
        let (grid, lead) = (self.grid, self.lead);
        let (due, waiting) =
            std::mem::take(&mut self.waiting).into_iter().partition(|(_, alert)| alert.starts_at < grid.end(slice));
        self.waiting = waiting;
        let due: BTreeMap<String, Alert> = due;
        for (id, alert) in due {
            let opened = grid.slice(alert.starts_at.minus(lead));
            let key = Incident::key(TENANT, &endpoint(&alert), DetectorKind::Alert, grid.start(opened));
            self.open.entry(id).or_insert(Alarm { alert, key, opened, announced: false });
        }
    }
}

impl Alarm {
    fn is_over(&self, slice: Slice, grid: SliceGrid, max_open: u64) -> bool {
        self.alert.ends_at.is_some_and(|end| end <= grid.end(slice))
            || slice.0.saturating_sub(self.opened.0) >= max_open
    }

    fn revision(&mut self, slice: Slice, grid: SliceGrid, over: bool) -> Incident {
        let first = !std::mem::replace(&mut self.announced, true);
        let alert = &self.alert;
        let says = if alert.summary.is_empty() { &alert.name } else { &alert.summary };
        Incident {
            incident_key: self.key.clone(),
            revision: slice.0.saturating_sub(self.opened.0),
            status: match (over, first) {
                (true, _) => Status::Resolved,
                (_, true) => Status::Open,
                _ => Status::Updated,
            },
            detector: Detector {
                kind: DetectorKind::Alert,
                slo: says.clone(),
                threshold: alert.threshold,
                observed: alert.observed,
                unit: alert.metric.clone(),
            },
            endpoint: endpoint(alert),
            window: Window {
                start_unix_nano: grid.start(self.opened),
                end_unix_nano: grid.end(slice),
                watermark_unix_nano: grid.end(slice),
                late: 0,
            },
            opened: self.opened,
        }
    }
}

fn endpoint(alert: &Alert) -> Endpoint {
    Endpoint { service: alert.service.clone(), route: alert.route.clone(), method: String::new() }
}

fn read(path: &Path) -> Result<BTreeMap<String, Alert>, String> {
    let place = path.display();
    let size = std::fs::metadata(path).map_err(|error| format!("cannot read alerts.file {place}: {error}"))?.len();
    if size > MOST_FILE {
        return Err(format!("alerts.file {place} is larger than 16 MiB"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read alerts.file {place}: {error}"))?;
    let taken = alert::read(&text).map_err(|error| format!("alerts.file {place}: {error}"))?;
    for why in &taken.rejected {
        tracing::warn!(file = %place, why, "an alert was not taken");
    }
    Ok(taken.alerts.into_iter().map(|alert| (alert.id.clone(), alert)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn alarms() -> Alarms {
        let grid = SliceGrid { origin: UnixNano(0), length: Time::from_secs(15) };
        let config = Alerts { lead: Duration::from_secs(30), ..Alerts::default() };
        Alarms::new(grid, &config, Duration::from_secs(150)).expect("no file")
    }

    fn alert(starts: u64, ends: Option<u64>) -> Alert {
        let (starts_at, ends_at) = (UnixNano(starts * SECOND), ends.map(|end| UnixNano(end * SECOND)));
        Alert { id: "a".into(), service: "cart".into(), summary: "slow".into(), starts_at, ends_at, ..Alert::default() }
    }

    fn told(revisions: &[Incident]) -> Vec<(u64, Status)> {
        revisions.iter().map(|incident| (incident.revision, incident.status)).collect()
    }

    #[test]
    fn an_alert_is_an_incident_from_before_it_fires_until_it_is_resolved() {
        let (mut alarms, board) = (alarms(), AlertBoard::default());
        board.post([alert(100, None)]);
        assert_eq!(alarms.hear(&board), 0);
        assert!(alarms.pass(UnixNano(100 * SECOND)).is_empty());
        let opened = alarms.pass(UnixNano(121 * SECOND));
        // It fires two slices after the one in which its trouble may have begun.
        let begun = alarms.grid.slice(UnixNano(70 * SECOND));
        assert_eq!(told(&opened), [(2, Status::Open), (3, Status::Updated)]);
        assert_eq!(
            (opened[0].opened, opened[0].detector.kind, &*opened[0].detector.slo),
            (begun, DetectorKind::Alert, "slow")
        );
        assert_eq!(opened[0].endpoint.service, "cart");
        assert_eq!(alarms.open().count(), 1);
        board.post([alert(100, Some(130))]);
        alarms.hear(&board);
        assert_eq!(told(&alarms.pass(UnixNano(150 * SECOND))), [(4, Status::Resolved)]);
        assert_eq!(alarms.open().count(), 0);
    }

    #[test]
    fn the_rhythm_of_ticks_changes_no_revision() {
        let run = |ticks: &[u64]| {
            let (mut alarms, board) = (alarms(), AlertBoard::default());
            board.post([alert(100, None)]);
            alarms.hear(&board);
            ticks.iter().flat_map(|&tick| alarms.pass(UnixNano(tick * SECOND))).collect::<Vec<_>>()
        };
        let straight = run(&[200]);
        assert!(straight.len() > 3);
        assert_eq!(run(&[90, 101, 118, 140, 141, 200]), straight);
    }

    #[test]
    fn an_alert_that_nobody_resolves_ends_with_the_input_or_with_its_time() {
        let (mut first, mut second, board) = (alarms(), alarms(), AlertBoard::default());
        board.post([alert(100, None)]);
        first.hear(&board);
        first.pass(UnixNano(130 * SECOND));
        let last = first.finish(Time::from_secs(10));
        assert_eq!(told(&last).last().map(|(_, status)| *status), Some(Status::Resolved));
        second.hear(&board);
        let revisions = second.pass(UnixNano(9000 * SECOND));
        assert_eq!(told(&revisions).last(), Some(&(10, Status::Resolved)));
    }
}
