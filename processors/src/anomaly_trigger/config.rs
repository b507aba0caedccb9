//! Configuration of the three detectors.

use std::path::PathBuf;

use backtrail_model::moment::Time;
use backtrail_pipeline::node::Finding;
use backtrail_pipeline::{Duration, Ratio};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Opens, updates and resolves incidents.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// A time that is known to be bad; while it is set, the other detectors rest.
    pub window: Option<GivenWindow>,
    /// Objectives, at most 200.
    pub slo: Vec<Slo>,
    /// When an objective burns too fast: in a short and a long window at once. At most 10.
    pub burn_rates: Vec<BurnRate>,
    /// Shifts of entry operations against their own past.
    pub shift: Shift,
    /// Alerts of other tools.
    pub alerts: Alerts,
    /// How many quiet slices resolve an incident.
    pub resolve_after: u64,
    /// How long an incident stays open at most; after that the new state is the normal one.
    pub max_open: Duration,
}

/// A time that is known to be bad.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GivenWindow {
    /// Its start: RFC 3339, or nanoseconds since the Unix epoch.
    pub start: Time,
    /// Its end (exclusive).
    pub end: Time,
}

/// An objective.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Slo {
    /// Service of the entry operation.
    pub service: String,
    /// Its route, with `*` for any text.
    pub route: String,
    /// Share of requests that must be good.
    pub objective: Ratio,
    /// Slowest good request; without it, only errors are bad.
    pub latency: Option<Duration>,
}

/// How fast a budget may burn.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BurnRate {
    /// Says that it burns still.
    pub short: Duration,
    /// Says that it is no blip.
    pub long: Duration,
    /// Bad share over budget, in both.
    pub rate: f64,
}

/// Shifts of entry operations against their own past.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Shift {
    /// Whether to look for shifts.
    pub enabled: bool,
    /// Whether to look inside as well: self times, gaps of calls, the order of calls and log statements.
    pub evidence: bool,
    /// How many slices in a row must be sick; a decisive one needs no second.
    #[serde(rename = "for")]
    pub slices: u64,
    /// How much past is kept.
    pub history: Duration,
    /// How much past an operation needs to be judged.
    pub warm_up: Duration,
    /// Least rise of the error share.
    pub min_error_rise: Ratio,
    /// Least rise of the latency quantile that shifted, relative to its past.
    pub min_latency_rise: Ratio,
    /// Least time lost by an operation inside, relative to the time of the requests that pass through it: what no user can
    /// feel opens no incident.
    pub min_time_lost: Ratio,
    /// Most entry operations with a past; further ones are not judged.
    pub max_entries: usize,
}

/// Alerts of other tools. Those that are posted to `/v1/alerts` of the admin listener are always taken.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Alerts {
    /// A file of alerts, for replays: an Alertmanager webhook, a list, or one alert. Read when the pipeline starts.
    pub file: Option<PathBuf>,
    /// How long before an alert fires its trouble may have begun: rules look back and wait. So much of the past is
    /// judged with it.
    pub lead: Duration,
}

impl Default for Alerts {
    fn default() -> Self {
        Self { file: None, lead: Duration::from_secs(900) }
    }
}

impl Default for Config {
    fn default() -> Self {
        let rate = |short: u64, long: u64, rate| BurnRate {
            short: Duration::from_secs(short * 60),
            long: Duration::from_secs(long * 60),
            rate,
        };
        Self {
            window: None,
            slo: Vec::new(),
            // Page-worthy burn rates for a 30-day budget: 2 % of it in an hour, 5 % in six. Source: The Site Reliability
            // Workbook, "Alerting on SLOs".
            burn_rates: vec![rate(5, 60, 14.4), rate(30, 360, 6.0)],
            shift: Shift::default(),
            alerts: Alerts::default(),
            resolve_after: 4,
            max_open: Duration::from_secs(7200),
        }
    }
}

impl Default for Slo {
    fn default() -> Self {
        Self { service: String::new(), route: "*".to_owned(), objective: Ratio(0.999), latency: None }
    }
}

impl Default for Shift {
    fn default() -> Self {
        Self {
            enabled: true,
            evidence: true,
            slices: 2,
            history: Duration::from_secs(3600),
            warm_up: Duration::from_secs(300),
            min_error_rise: Ratio(0.01),
            min_latency_rise: Ratio(0.25),
            min_time_lost: Ratio(0.1),
            max_entries: 2000,
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
        if let Some(window) = self.window {
            let empty = window.end <= window.start;
            wrong(empty, "window.end".into(), "the window ends before it starts", "write a later end");
        }
        wrong(self.slo.len() > 200, "slo".into(), "more than 200 objectives", "use globs in route");
        for (i, slo) in self.slo.iter().enumerate() {
            wrong(slo.service.is_empty(), format!("slo[{i}].service"), "no service", "name the entry service");
            let share = slo.objective.0;
            let wild = share <= 0.0 || share >= 1.0;
            wrong(wild, format!("slo[{i}].objective"), "no room for a budget", "write a share such as 99.9%");
        }
        wrong(self.burn_rates.len() > 10, "burn_rates".into(), "more than 10 burn rates", "two are usual");
        for (i, rate) in self.burn_rates.iter().enumerate() {
            let twisted = rate.short >= rate.long || rate.short == Duration::default();
            wrong(twisted, format!("burn_rates[{i}].short"), "not shorter than long", "a twelfth of long is usual");
            wrong(rate.rate <= 0.0, format!("burn_rates[{i}].rate"), "not above 0", "write 14.4 or 6");
            let endless = rate.long > Duration::from_secs(24 * 3600);
            wrong(endless, format!("burn_rates[{i}].long"), "longer than a day", "write 24h or less");
        }
        wrong(self.shift.slices == 0, "shift.for".into(), "is 0", "write 1 or more slices");
        let short = self.shift.warm_up > self.shift.history;
        wrong(short, "shift.warm_up".into(), "longer than history", "write a shorter warm-up");
        let endless = self.shift.history > Duration::from_secs(24 * 3600);
        wrong(endless, "shift.history".into(), "longer than a day", "write 24h or less");
        let endless = self.alerts.lead > Duration::from_secs(24 * 3600);
        wrong(endless, "alerts.lead".into(), "longer than a day", "write 24h or less");
        wrong(self.resolve_after == 0, "resolve_after".into(), "is 0", "write 1 or more slices");
        problems
    }
}
