//! Causes that no change made: more demand, a neighbour on the same machine, a record that cannot be digested.
//!
//! Each is a rule with its reason, and each explains the symptoms that began no earlier than it did (within two steps of
//! the series that shows it): what is explained is evidence for no commit.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backtrail_model::metrics::Measure;
use backtrail_model::time::UnixNano;

use crate::judge::Slices;
use crate::symptoms::{Shift, Source, Symptom, Symptoms};

/// Demand must at least double to be a surge: under that a sound service has room.
const SURGE: f64 = 2.0;
/// So many failing records with one identity are no chance.
const LEAST_REPEATS: usize = 3;

/// A cause outside of what is changed.
#[derive(Clone, PartialEq, Debug)]
pub struct External {
    /// `surge`, `neighbour` or `record`.
    pub kind: &'static str,
    /// Since when.
    pub since: UnixNano,
    /// The symptoms that begin up to so many seconds before it are explained too: series are scraped seldom.
    pub tolerance: f64,
    /// In a sentence, with numbers.
    pub says: String,
}

impl External {
    /// Whether it explains a symptom.
    pub fn explains(&self, symptom: &Symptom) -> bool {
        self.since.since(symptom.since).as_secs_f64() <= self.tolerance
    }
}

/// The external causes of what is wrong in a service, in order of time.
pub fn external(symptoms: &Symptoms, window: &Slices<'_>, service: &str) -> Vec<External> {
    let mut out: Vec<External> = surge(symptoms, window, service).into_iter().collect();
    out.extend(neighbour(symptoms, window, service));
    out.extend(record(symptoms, service));
    out.sort_by(|a, b| a.since.cmp(&b.since).then_with(|| a.kind.cmp(b.kind)));
    out
}

/// More requests come in from outside: the service is an entry of the system, so no other service of it asks for more.
/// Where demand rises inside only, a caller's change makes the calls, and that is none of this.
fn surge(symptoms: &Symptoms, window: &Slices<'_>, service: &str) -> Option<External> {
    let is_entry = window.spectra.iter().any(|part| part.groups.keys().any(|group| &*group.entry.service == service));
    let own = symptoms.shifts.iter().filter(|shift| &*shift.key.service == service && is_demand(shift));
    let most = own.filter(|shift| shift.now >= SURGE * shift.before.max(0.0)).max_by(|a, b| a.z.total_cmp(&b.z))?;
    is_entry.then(|| External {
        kind: "surge",
        since: most.since,
        tolerance: 2.0 * most.step,
        says: format!(
            "demand rose from outside: {} of {service}, an entry of the system, is {:.4}, normally {:.4}",
            most.key.name, most.now, most.before
        ),
    })
}

/// Requests or messages in a time, and not those that failed.
fn is_demand(shift: &Shift) -> bool {
    let name = shift.key.name.to_ascii_lowercase();
    let words: Vec<&str> = name.split(['.', '_', '-']).collect();
    let any = |list: &[&str]| words.iter().any(|word| list.contains(word));
    let things = any(&["requests", "request", "reqs", "rps", "qps", "messages", "calls"]);
    let in_time = any(&["sec", "second", "seconds", "min", "minute", "rate", "rps", "qps", "s"]);
    let failing = any(&["error", "errors", "failed", "failures", "4xx", "5xx", "rejected", "queue", "duration"]);
    shift.z > 0.0 && (shift.key.measure == Measure::RequestRate || (things && in_time && !failing))
}

/// Somebody else takes the machine: a service that has no part in the requests began to use more of a resource than the
/// victim did, while the victim was throttled or a machine got full.
fn neighbour(symptoms: &Symptoms, window: &Slices<'_>, service: &str) -> Option<External> {
    let part_of_requests: BTreeSet<&str> = window
        .spectra
        .iter()
        .flat_map(|part| part.signatures.values().flat_map(|list| list.iter()))
        .map(|element| &*element.service)
        .collect();
    let risen = || symptoms.shifts.iter().filter(|shift| shift.z > 0.0);
    let throttled = risen().any(|shift| &*shift.key.service == service && shift.key.measure == Measure::CpuThrottled);
    let full = risen().any(|shift| {
        let name = shift.key.name.to_ascii_lowercase();
        let of_machine = name.split(['.', '_', '-']).any(|word| word == "node" || word == "host");
        of_machine && (name.contains("cpu") || name.contains("memory"))
    });
    if !throttled && !full {
        return None;
    }
    let used = |shift: &&Shift| matches!(shift.key.measure, Measure::CpuUsage | Measure::MemoryUsage);
    let mut gains = BTreeMap::<(Measure, &Arc<str>), f64>::new();
    for shift in risen().filter(used) {
        *gains.entry((shift.key.measure, &shift.key.service)).or_default() += shift.now - shift.before;
    }
    let own =
        |measure| gains.iter().find(|((m, s), _)| *m == measure && &***s == service).map_or(0.0, |(_, gain)| *gain);
    let stranger = |shift: &&Shift| {
        let key = &shift.key;
        &*key.service != service
            && !part_of_requests.contains(&*key.service)
            && gains[&(key.measure, &key.service)] > own(key.measure)
    };
    let first = risen().filter(used).filter(stranger).min_by(|a, b| a.since.cmp(&b.since).then(a.key.cmp(&b.key)))?;
    Some(External {
        kind: "neighbour",
        since: first.since,
        tolerance: 2.0 * first.step,
        says: format!(
            "{} takes the machine: {} is {:.4}, normally {:.4}; it has no part in the requests, and {service} gained {:.4}",
            first.key.service,
            first.key.name,
            first.now,
            first.before,
            own(first.key.measure),
        ),
    })
}

/// One record fails again and again: its identity is the same in all failing records of a statement. Code that fails
/// would fail for others too.
fn record(symptoms: &Symptoms, service: &str) -> Option<External> {
    let logs = symptoms.list.iter().filter(|s| s.source == Source::Log && &*s.service == service);
    let repeated = logs.filter_map(|symptom| {
        let identity = identity(symptom.examples.first()?)?;
        let same = symptom.weight >= LEAST_REPEATS as f64
            && symptom.examples.iter().all(|text| self::identity(text).as_ref() == Some(&identity));
        same.then_some((symptom, identity))
    });
    let (symptom, identity) = repeated.min_by_key(|(symptom, _)| symptom.since)?;
    Some(External {
        kind: "record",
        since: symptom.since,
        tolerance: 0.0,
        says: format!("one record fails again and again, no other does: {identity} in \"{}\"", symptom.text),
    })
}

/// The identity of a record or message in a text: values of `..._id=`, `offset=`, `partition=` and the like.
///
/// ```
/// # use backtrail_localize::external::identity;
/// assert_eq!(identity("bad lat; record_id=geo-7 offset=12, retry=3").as_deref(), Some("record_id=geo-7 offset=12"));
/// assert_eq!(identity("timeout after 1500ms"), None);
/// ```
pub fn identity(text: &str) -> Option<String> {
    const KEYS: [&str; 6] = ["id", "offset", "partition", "key", "sequence", "uuid"];
    // These tell requests apart, and every request has its own: they say nothing of what is asked for.
    const OF_REQUESTS: [&str; 4] = ["trace", "span", "request", "tenant"];
    let is_identity = |key: &str| {
        let key = key.to_ascii_lowercase();
        let mut words = key.split(['_', '.', '-']);
        words.clone().next_back().is_some_and(|last| KEYS.contains(&last))
            && !words.any(|word| OF_REQUESTS.contains(&word))
    };
    let fields = text.split([' ', ',', ';', '\t']).filter_map(|field| field.split_once('='));
    let found: Vec<String> = fields
        .filter(|(key, value)| is_identity(key) && value.bytes().any(|b| b.is_ascii_digit()))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    (!found.is_empty()).then(|| found.join(" "))
}

#[cfg(test)]
mod tests {
    use backtrail_model::Slice;
    use backtrail_model::metrics::SeriesKey;
    use backtrail_model::spectra::{Entry, SpectraSlice, TraceGroup};

    use super::*;

    fn shift(service: &str, name: &str, measure: Measure, before: f64, now: f64) -> Shift {
        let empty: Arc<str> = "".into();
        let (instance, node, part) = (Arc::clone(&empty), Arc::clone(&empty), empty);
        let key = SeriesKey { service: service.into(), instance, node, part, measure, name: name.into() };
        Shift { key, before, now, z: 50.0, since: UnixNano(60_000_000_000), step: 15.0 }
    }

    fn kinds(shifts: Vec<Shift>, list: Vec<Symptom>, entry: &str, service: &str) -> Vec<&'static str> {
        let mut spectra = SpectraSlice::new(Slice(0));
        let entry = Entry { service: entry.into(), route: "GET /".into() };
        spectra.groups.insert(TraceGroup { entry, signature: 1, error: false, latency: 3 }, 256);
        let window = Slices { spectra: vec![&spectra], ..Slices::default() };
        let symptoms = Symptoms { list, shifts, ..Symptoms::default() };
        external(&symptoms, &window, service).into_iter().map(|cause| cause.kind).collect()
    }

    #[test]
    fn demand_is_from_outside_only_at_an_entry_and_failures_are_no_demand() {
        let rate = |name: &str| vec![shift("web", name, Measure::Other, 900.0, 5700.0)];
        assert_eq!(kinds(rate("requests_per_sec"), Vec::new(), "web", "web"), ["surge"]);
        assert!(kinds(rate("requests_per_sec"), Vec::new(), "gate", "web").is_empty());
        assert!(kinds(rate("http_5xx_requests_per_sec"), Vec::new(), "web", "web").is_empty());
        assert!(kinds(rate("query_count_per_request"), Vec::new(), "web", "web").is_empty());
    }

    #[test]
    fn a_stranger_on_a_full_machine_is_a_neighbour_unless_the_service_itself_takes_more() {
        let shifts = |own: f64| {
            vec![
                shift("node-1", "node_cpu_utilization", Measure::Other, 0.3, 0.98),
                shift("export", "container_cpu_usage", Measure::CpuUsage, 0.0, 5.0),
                shift("web", "container_cpu_usage", Measure::CpuUsage, 0.8, own),
            ]
        };
        assert_eq!(kinds(shifts(0.9), Vec::new(), "web", "web"), ["neighbour"]);
        assert!(kinds(shifts(9.0), Vec::new(), "web", "web").is_empty());
        assert!(kinds(shifts(0.9)[1..].to_vec(), Vec::new(), "web", "web").is_empty());
    }

    #[test]
    fn one_record_that_fails_again_and_again_is_told_from_many_that_fail() {
        let symptom = |examples: &[&str]| Symptom {
            source: Source::Log,
            service: "web".into(),
            text: "ERROR bad latitude".into(),
            since: UnixNano(5),
            weight: 9.0,
            examples: examples.iter().map(|text| Arc::from(*text)).collect(),
        };
        let one = vec![symptom(&["bad, record_id=7 try=1", "bad, record_id=7 try=2"])];
        let many = vec![symptom(&["bad, record_id=7", "bad, record_id=8"])];
        assert_eq!(kinds(Vec::new(), one, "gate", "web"), ["record"]);
        assert!(kinds(Vec::new(), many, "gate", "web").is_empty());
        assert!(kinds(Vec::new(), vec![symptom(&["bad, request_id=7"])], "gate", "web").is_empty());
    }
}
