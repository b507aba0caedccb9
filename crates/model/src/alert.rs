//! Alerts of other tools: something is wrong at a service, says a rule that somebody wrote.
//!
//! Understood are the webhook of Alertmanager (version 4), a list of its alerts, and a flat object:
//!
//! ```json
//! {"service": "checkout", "metric": "http_server_duration_p99_ms", "threshold": 800, "observed": 4120,
//!  "fired_at": "2026-06-18T15:06:00Z", "summary": "checkout p99 latency above 800ms for 3m"}
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::moment::Time;
use crate::time::UnixNano;

/// Most alerts of one text.
pub const MOST_ALERTS: usize = 1000;
/// Most bytes of a text of an alert.
const MOST_TEXT: usize = 2048;

/// An alert.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Alert {
    /// What tells it from others: the fingerprint, else the name with service, route and metric.
    pub id: String,
    /// The service that it is about, as telemetry names it.
    pub service: String,
    /// The route or operation; "" for all of the service.
    pub route: String,
    /// Name of the rule.
    pub name: String,
    /// What was measured.
    pub metric: String,
    /// The limit that was crossed; 0 if it is not said.
    pub threshold: f64,
    /// What was observed; 0 if it is not said.
    pub observed: f64,
    /// What it says to people.
    pub summary: String,
    /// Since when it fires.
    pub starts_at: UnixNano,
    /// Since when it does not any more.
    pub ends_at: Option<UnixNano>,
}

/// What was read.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Taken {
    /// In the order of the text.
    pub alerts: Vec<Alert>,
    /// What is wrong with the others, such as `alerts[2]: no startsAt`.
    pub rejected: Vec<String>,
}

/// A text that holds no alerts.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is no JSON.
    #[error("not JSON: {0}")]
    Syntax(#[from] serde_json::Error),
    /// It is something else than alerts.
    #[error("not an Alertmanager webhook (version 4), a list of alerts, or an alert")]
    Shape,
    /// There are too many.
    #[error("more than {MOST_ALERTS} alerts")]
    TooMany,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Foreign {
    status: String,
    labels: BTreeMap<String, Value>,
    annotations: BTreeMap<String, Value>,
    starts_at: Option<String>,
    ends_at: Option<String>,
    fingerprint: String,
}

#[derive(Deserialize)]
struct Flat {
    service: String,
    #[serde(default, alias = "endpoint")]
    route: String,
    #[serde(default, alias = "monitor", alias = "alertname")]
    name: String,
    #[serde(default)]
    metric: String,
    #[serde(default)]
    threshold: f64,
    #[serde(default)]
    observed: f64,
    #[serde(default)]
    summary: String,
    #[serde(alias = "startsAt", alias = "starts_at")]
    fired_at: Time,
    #[serde(default, alias = "endsAt", alias = "ends_at")]
    resolved_at: Option<Time>,
}

/// Labels that name a service, the most telling first.
const SERVICE: [&str; 5] = ["service_name", "service.name", "service", "app", "job"];
/// Labels that name a route.
const ROUTE: [&str; 5] = ["http_route", "http.route", "route", "endpoint", "handler"];

/// Reads alerts.
///
/// # Errors
/// If the text as a whole cannot be understood; single bad alerts are among [`Taken::rejected`].
///
/// ```
/// let text = r#"{"version": "4", "status": "firing", "alerts": [{"status": "firing", "startsAt": "2026-06-18T15:06:00Z",
///     "labels": {"alertname": "Slow", "service": "cart"}, "annotations": {"summary": "cart is slow"}}]}"#;
/// let taken = backtrail_model::alert::read(text).unwrap();
/// assert_eq!((&*taken.alerts[0].service, &*taken.alerts[0].summary), ("cart", "cart is slow"));
/// ```
pub fn read(text: &str) -> Result<Taken, ReadError> {
    let value: Value = serde_json::from_str(text)?;
    let list = match value {
        Value::Array(list) => list,
        Value::Object(mut object) => match object.remove("alerts") {
            Some(Value::Array(list)) => list,
            Some(_) => return Err(ReadError::Shape),
            None => vec![Value::Object(object)],
        },
        _ => return Err(ReadError::Shape),
    };
    if list.len() > MOST_ALERTS {
        return Err(ReadError::TooMany);
    }
    let mut taken = Taken::default();
    for (i, entry) in list.into_iter().enumerate() {
        match alert(entry) {
            Ok(alert) => taken.alerts.push(alert),
            Err(why) => taken.rejected.push(format!("alerts[{i}]: {why}")),
        }
    }
    Ok(taken)
}

fn alert(mut entry: Value) -> Result<Alert, String> {
    let Some(fields) = entry.as_object_mut() else { return Err("no object".to_owned()) };
    fields.retain(|_, value| !value.is_null());
    let alert = if fields.contains_key("labels") { of_labels(entry)? } else { flat(entry)? };
    if alert.service.is_empty() {
        return Err("no label names the service (service_name, service, app or job)".to_owned());
    }
    Ok(alert)
}

fn of_labels(entry: Value) -> Result<Alert, String> {
    let foreign: Foreign = serde_json::from_value(entry).map_err(|error| error.to_string())?;
    let starts_at = foreign.starts_at.as_deref().ok_or("no startsAt")?.parse::<Time>()?.0;
    // A firing alert ends in the year 1, which is no time.
    let ends_at = foreign.ends_at.as_deref().and_then(|text| text.parse::<Time>().ok()).map(|time| time.0);
    let text = |map: &BTreeMap<String, Value>, keys: &[&str]| {
        let found = keys.iter().find_map(|key| map.get(*key).map(words).filter(|text| !text.is_empty()));
        found.unwrap_or_default()
    };
    let number = |keys: &[&str]| text(&foreign.annotations, keys).trim_end_matches('%').trim().parse().unwrap_or(0.0);
    let (name, service) = (text(&foreign.labels, &["alertname"]), text(&foreign.labels, &SERVICE));
    let (route, metric) = (text(&foreign.labels, &ROUTE), text(&foreign.labels, &["metric", "__name__"]));
    let said = [text(&foreign.annotations, &["summary"]), text(&foreign.annotations, &["description", "message"])];
    let ended = foreign.status == "resolved";
    Ok(Alert {
        id: identity(&foreign.fingerprint, [&name, &service, &route, &metric]),
        threshold: number(&["threshold"]),
        observed: number(&["value", "observed"]),
        summary: bounded(said.join(" ").trim()),
        ends_at: if ended { Some(ends_at.unwrap_or(starts_at)) } else { None },
        starts_at,
        name,
        service,
        route,
        metric,
    })
}

fn flat(entry: Value) -> Result<Alert, String> {
    let flat: Flat = serde_json::from_value(entry).map_err(|error| error.to_string())?;
    let [name, service, route, metric] =
        [&flat.name, &flat.service, &flat.route, &flat.metric].map(|text| bounded(text));
    Ok(Alert {
        id: identity("", [&name, &service, &route, &metric]),
        threshold: flat.threshold,
        observed: flat.observed,
        summary: bounded(&flat.summary),
        starts_at: flat.fired_at.0,
        ends_at: flat.resolved_at.map(|time| time.0),
        name,
        service,
        route,
        metric,
    })
}

fn identity(fingerprint: &str, names: [&String; 4]) -> String {
    if fingerprint.is_empty() { names.map(String::as_str).join("/") } else { bounded(fingerprint) }
}

fn words(value: &Value) -> String {
    match value {
        Value::String(text) => bounded(text),
        other => bounded(&other.to_string()),
    }
}

fn bounded(text: &str) -> String {
    text[..text.floor_char_boundary(MOST_TEXT)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_tells_firing_from_resolved_and_a_bad_alert_costs_only_itself() {
        let text = r#"{"version": "4", "groupKey": "{}", "status": "firing", "receiver": "backtrail", "alerts": [
            {"status": "firing", "labels": {"alertname": "Slow", "service_name": "cart", "route": "GET /cart"},
             "annotations": {"summary": "slow", "description": "p99", "value": "4.1"},
             "startsAt": "2026-06-18T15:06:00Z", "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "f1"},
            {"status": "resolved", "labels": {"alertname": "Slow", "job": "pay"}, "startsAt": "2026-06-18T15:06:00Z",
             "endsAt": "2026-06-18T15:16:00Z"},
            {"status": "firing", "labels": {"alertname": "Node"}, "startsAt": "2026-06-18T15:06:00Z"},
            {"status": "firing", "labels": {"service": "x"}}, 3]}"#;
        let taken = read(text).expect("alerts");
        let [cart, pay] = &taken.alerts[..] else { panic!("{taken:?}") };
        assert_eq!((&*cart.id, &*cart.route, &*cart.summary, cart.observed), ("f1", "GET /cart", "slow p99", 4.1));
        assert_eq!(cart.ends_at, None);
        assert_eq!(pay.ends_at.map(|end| end.0 - pay.starts_at.0), Some(600_000_000_000));
        assert_eq!(taken.rejected.len(), 3);
        assert!(taken.rejected[0].starts_with("alerts[2]: no label names the service"), "{:?}", taken.rejected);
    }

    #[test]
    fn a_flat_alert_is_read() {
        let text = r#"{"service": "checkout", "metric": "p99_ms", "threshold": 800, "observed": 4120,
            "fired_at": "2026-06-18T15:06:00Z", "severity": "critical", "monitor": "latency", "summary": "slow"}"#;
        let alert = read(text).expect("an alert").alerts.remove(0);
        assert_eq!((alert.threshold, alert.observed, &*alert.name), (800.0, 4120.0, "latency"));
        assert_eq!(alert.starts_at.0, 1_781_795_160_000_000_000);
    }

    #[test]
    fn what_is_no_alert_is_refused_with_the_reason() {
        assert!(matches!(read("{"), Err(ReadError::Syntax(_))));
        assert!(matches!(read("7"), Err(ReadError::Shape)));
        assert!(matches!(read(r#"{"alerts": {}}"#), Err(ReadError::Shape)));
        let many = format!("[{}]", vec!["{}"; MOST_ALERTS + 1].join(","));
        assert!(matches!(read(&many), Err(ReadError::TooMany)));
    }
}
