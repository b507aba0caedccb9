//! What the load on an edge says about retries: how much they multiply, and how many the callee can bear.

use backtrail_model::patch_request::{EdgeLoad, PatchRequest};

/// Attempts per request above which retries are worth a repair. Below, one call in five is repeated at most.
const AMPLIFIED: f64 = 1.2;
/// A callee whose time has grown by this factor, or that serves this share of its calls, is saturated.
const SLOWER: f64 = 2.0;
const SERVED: f64 = 0.95;
/// Share of failed calls from which a service is taken to fail.
const FAILS: f64 = 0.05;
/// Attempts of one request that are usual at most ("Handling Overload", Site Reliability Engineering, 2016: a request
/// that failed three times is not tried again).
const USUAL_ATTEMPTS: u64 = 3;
/// Retries in relation to requests that are usual at most (same source: a budget of 10 % a client).
const USUAL_BUDGET: f64 = 0.1;

/// An outgoing edge of the suspect that repeats its calls.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Storm {
    /// The callee.
    pub(crate) callee: String,
    /// Calls a request.
    pub(crate) attempts: f64,
    /// Requests over what the callee serves when it is saturated: what the requests alone would take of it. None when it
    /// is not, since then nothing says what it could serve.
    pub(crate) utilization: Option<f64>,
    /// The arithmetic in words.
    pub(crate) steps: Vec<String>,
}

impl Storm {
    /// The edge of the suspect that multiplies most, if one does.
    pub(crate) fn of(request: &PatchRequest) -> Option<Self> {
        let suspect = &request.suspect_ref.entity.service;
        let load = request.telemetry_summary.load.iter().filter(|load| load.from == *suspect && load.requests > 0);
        let most = load.max_by(|a, b| attempts(a).total_cmp(&attempts(b)))?;
        // Many calls that all go well are no repeats: a page that asks for each of its items is another matter.
        let fails = most.errors > 0 || (most.served as f64) < SERVED * most.calls as f64 || fails(request, &most.to);
        (fails && attempts(most) > AMPLIFIED).then(|| Self::on(most))
    }

    fn on(load: &EdgeLoad) -> Self {
        let EdgeLoad { to, requests, calls, served, seconds, .. } = load;
        let attempts = attempts(load);
        let mut steps =
            vec![format!("attempts per request to {to} = calls / requests = {calls} / {requests} = {attempts:.2}")];
        let utilization = is_saturated(load).then(|| *requests as f64 / (*served).max(1) as f64);
        match utilization {
            Some(u) => {
                steps.push(saturation(load));
                steps.push(format!(
                    "utilization by the requests alone u = requests / served = {requests} / {served} = {u:.2} (in {seconds:.0} s)"
                ));
            }
            None => steps.push(format!(
                "{to} is not saturated ({served} of {calls} calls served, p95 {:.0} ms, before {:.0} ms): its capacity is not known",
                load.served_p95_ms, load.quiet_p95_ms
            )),
        }
        Self { callee: to.clone(), attempts, utilization, steps }
    }

    /// How often a request may be tried again: `floor(1/u - 1)` of a saturated callee, since a storm ends only if
    /// `u * attempts < 1`; what is usual of one whose capacity is not known.
    pub(crate) fn allowed_retries(&self) -> (u64, String) {
        let usual = USUAL_ATTEMPTS - 1;
        let Some(u) = self.utilization else {
            return (usual, format!("allowed retries = {usual}: three attempts are usual at most"));
        };
        let allowed = (1.0 / u - 1.0).floor().clamp(0.0, usual as f64);
        (allowed as u64, format!("allowed retries = floor(1/u - 1) = floor(1/{u:.2} - 1) = {allowed:.0}"))
    }

    /// Which share of the requests may be tried again: half of what `u * (1 + budget) < 1` leaves, at most what is
    /// usual. None when nothing is left.
    pub(crate) fn budget(&self) -> Option<(String, String)> {
        let Some(u) = self.utilization else {
            return Some((USUAL_BUDGET.to_string(), format!("budget = {USUAL_BUDGET}: what is usual")));
        };
        let room = 1.0 / u - 1.0;
        let budget = (room / 2.0).min(USUAL_BUDGET);
        let hundredths = (budget * 100.0).floor();
        (hundredths >= 1.0).then(|| {
            let value = (hundredths / 100.0).to_string();
            let says = format!(
                "u * (1 + budget) < 1 needs a budget below 1/u - 1 = {room:.2}; half of it, at most {USUAL_BUDGET}: {value}"
            );
            (value, says)
        })
    }
}

/// Whether a service fails on the critical path.
pub(crate) fn fails(request: &PatchRequest, service: &str) -> bool {
    request.telemetry_summary.critical_path.iter().any(|step| step.service == service && step.error_rate >= FAILS)
}

/// Whether the callee has no capacity left.
pub(crate) fn is_saturated(load: &EdgeLoad) -> bool {
    let slower = load.quiet_p95_ms > 0.0 && load.served_p95_ms > SLOWER * load.quiet_p95_ms;
    let lost = load.served > 0 && (load.served as f64) < SERVED * load.calls as f64;
    slower || lost
}

fn saturation(load: &EdgeLoad) -> String {
    let EdgeLoad { to, calls, served, served_p95_ms, quiet_p95_ms, .. } = load;
    format!(
        "{to} is saturated: {served} of {calls} calls served, p95 {served_p95_ms:.0} ms, before {quiet_p95_ms:.0} ms"
    )
}

fn attempts(load: &EdgeLoad) -> f64 {
    load.calls as f64 / load.requests.max(1) as f64
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn load(requests: u64, calls: u64, served: u64) -> EdgeLoad {
        EdgeLoad {
            from: "pay".into(),
            to: "bank".into(),
            seconds: 60.0,
            requests,
            calls,
            errors: calls / 2,
            served,
            p95_ms: 300.0,
            served_p95_ms: 400.0,
            quiet_p95_ms: 60.0,
        }
    }

    #[test]
    fn allowed_retries_and_budget_follow_from_the_window() {
        // (requests, served) -> (retries, budget); u = 0.7, 0.45, 0.3, 0.98, 1.2
        for (requests, served, retries, budget) in [
            (700, 1000, 0, Some("0.1")),
            (450, 1000, 1, Some("0.1")),
            (300, 1000, 2, Some("0.1")),
            (960, 1000, 0, Some("0.02")),
            (1200, 1000, 0, None),
        ] {
            let storm = Storm::on(&load(requests, 4 * requests, served));
            assert_eq!(storm.allowed_retries().0, retries, "{requests}");
            assert_eq!(storm.budget().map(|(value, _)| value).as_deref(), budget, "{requests}");
            // What is allowed lets the storm end.
            let u = storm.utilization.expect("saturated");
            assert!(u >= 1.0 || u * (1.0 + retries as f64) < 1.0 + 1e-9);
        }
    }

    #[test]
    fn a_callee_with_room_says_nothing_about_its_capacity() {
        let calm = EdgeLoad { served_p95_ms: 60.0, ..load(100, 900, 900) };
        let storm = Storm::on(&calm);
        assert_eq!((storm.utilization, storm.allowed_retries().0), (None, 2));
        assert!(storm.steps[1].contains("not saturated"), "{:?}", storm.steps);
    }
}
