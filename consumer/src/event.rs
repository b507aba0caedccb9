//! What comes in: `CloudEvents` 1.0 in structured JSON, within limits.

use backtrail_model::incident::Status;
use backtrail_model::patch_request::PatchRequest;
use backtrail_model::time::UnixNano;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Most bytes of an event. A request with 16 suspects and code context is near 100 KiB.
pub const MOST_BYTES: usize = 1 << 20;
/// Most bytes of an id or a key: they are primary keys and stand in file names and logs.
const MOST_ID: usize = 200;

const REQUEST: &str = "dev.backtrail.patch.requested";
const VERDICT: &str = "dev.backtrail.verdict";
const SUSPECT: &str = "dev.backtrail.suspect";
const MAJOR: &str = "1";

/// Why an event can never be used. The name is the reason of its dead letter.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// Not JSON, not an event, or one whose data does not fit its type.
    #[error("malformed event: {0}")]
    Malformed(String),
    /// A type that nobody here handles.
    #[error("events of type '{0}' are not handled")]
    UnknownType(String),
    /// A major version of the future.
    #[error("major version {found} of {what} is not known, {MAJOR} is")]
    UnknownVersion {
        /// The event type or the schema.
        what: String,
        /// Its version.
        found: String,
    },
    /// Past [`MOST_BYTES`].
    #[error("an event of {0} bytes is too large; {MOST_BYTES} are allowed")]
    TooLarge(usize),
}

impl Refusal {
    /// The reason in one word, for counting.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::UnknownType(_) => "unknown_type",
            Self::UnknownVersion { .. } => "unknown_version",
            Self::TooLarge(_) => "too_large",
        }
    }
}

/// An event that was understood.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// `CloudEvents` id: the same id is the same event.
    pub id: String,
    /// What it says.
    pub content: Content,
}

/// What an event says.
#[derive(Clone, PartialEq, Debug)]
pub enum Content {
    /// Something is to be repaired.
    Request(Box<PatchRequest>),
    /// How an incident stands.
    Incident(Standing),
}

/// How an incident stands at a revision; the rest of a verdict or suspect event is of no use here.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Standing {
    /// The incident.
    pub incident_key: String,
    /// The revision that says so.
    pub revision: u64,
    /// Its state.
    pub status: Status,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    specversion: String,
    id: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[derive(Deserialize)]
struct Versioned {
    schema_version: String,
}

impl Event {
    /// Reads an event. Deep nesting, bytes that are no UTF-8 and repeated keys are malformed.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > MOST_BYTES {
            return Err(Refusal::TooLarge(bytes.len()));
        }
        let text = std::str::from_utf8(bytes).map_err(malformed)?;
        let Envelope { specversion, id, kind, data } = serde_json::from_str(text).map_err(malformed)?;
        if !specversion.starts_with("1.") {
            return Err(Refusal::UnknownVersion { what: "CloudEvents".into(), found: specversion });
        }
        is_key("id", &id)?;
        let Some((family, version)) = kind.rsplit_once(".v") else { return Err(Refusal::UnknownType(kind)) };
        if ![REQUEST, VERDICT, SUSPECT].contains(&family) {
            return Err(Refusal::UnknownType(kind));
        }
        if version != MAJOR {
            return Err(Refusal::UnknownVersion { what: family.to_owned(), found: version.to_owned() });
        }
        let content = if family == REQUEST {
            Content::Request(Box::new(request(data.get())?))
        } else {
            let standing: Standing = serde_json::from_str(data.get()).map_err(malformed)?;
            is_key("incident_key", &standing.incident_key)?;
            is_revision(standing.revision)?;
            Content::Incident(standing)
        };
        Ok(Self { id, content })
    }
}

fn request(text: &str) -> Result<PatchRequest, Refusal> {
    // The version is looked at before the rest: another major version may have other fields.
    let Versioned { schema_version } = serde_json::from_str(text).map_err(malformed)?;
    if schema_version.split('.').next() != Some(MAJOR) {
        return Err(Refusal::UnknownVersion { what: "the patch request".into(), found: schema_version });
    }
    let request: PatchRequest = serde_json::from_str(text).map_err(malformed)?;
    is_key("incident_key", &request.suspect_ref.incident_key)?;
    is_key("service", &request.suspect_ref.entity.service)?;
    is_revision(request.suspect_ref.revision)?;
    Ok(request)
}

/// Puts a bare patch request into an envelope, as the collector does; an envelope stays as it is.
pub fn enveloped(document: &[u8]) -> Result<Vec<u8>, Refusal> {
    #[derive(Deserialize)]
    struct Known {
        specversion: Option<serde::de::IgnoredAny>,
    }
    #[derive(Serialize)]
    struct Wrapped<'a> {
        specversion: &'static str,
        id: &'a str,
        source: &'static str,
        #[serde(rename = "type")]
        kind: String,
        subject: &'a str,
        time: UnixNano,
        datacontenttype: &'static str,
        data: &'a RawValue,
    }

    if document.len() > MOST_BYTES {
        return Err(Refusal::TooLarge(document.len()));
    }
    let known: Known = serde_json::from_slice(document).map_err(malformed)?;
    if known.specversion.is_some() {
        return Ok(document.to_vec());
    }
    let text = std::str::from_utf8(document).map_err(malformed)?;
    let request = request(text)?;
    let wrapped = Wrapped {
        specversion: "1.0",
        id: &request.id,
        source: "/backtrail-consumer/submit",
        kind: format!("{REQUEST}.v{MAJOR}"),
        subject: &request.suspect_ref.incident_key,
        time: request.problem.time_window.end_unix_nano,
        datacontenttype: "application/json",
        data: serde_json::from_str(text).map_err(malformed)?,
    };
    serde_json::to_vec(&wrapped).map_err(malformed)
}

fn malformed(error: impl std::fmt::Display) -> Refusal {
    Refusal::Malformed(error.to_string())
}

fn is_key(name: &str, key: &str) -> Result<(), Refusal> {
    let plain = key.chars().all(|c| !c.is_control());
    if key.is_empty() || key.len() > MOST_ID || !plain {
        return Err(Refusal::Malformed(format!("{name} must have 1 to {MOST_ID} printable bytes")));
    }
    Ok(())
}

/// The database's integers are signed.
fn is_revision(revision: u64) -> Result<(), Refusal> {
    i64::try_from(revision).map(|_| ()).map_err(|_| Refusal::Malformed(format!("revision {revision} is out of range")))
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A patch request of an incident at a revision: the one that the exporter's tests put into the queue.
    pub(crate) fn request(incident: &str, revision: u64, service: &str) -> Value {
        let mut request: Value =
            serde_json::from_str(include_str!("../../exporters/tests/data/patch_request.json")).expect("a request");
        request["id"] = json!(format!("{incident}-{revision}"));
        request["suspect_ref"]["incident_key"] = json!(incident);
        request["suspect_ref"]["revision"] = json!(revision);
        request["suspect_ref"]["entity"]["service"] = json!(service);
        request
    }

    /// The same as an event.
    pub(crate) fn event(request: &Value) -> Vec<u8> {
        let event = json!({ "specversion": "1.0", "id": request["id"], "source": "/test",
            "type": "dev.backtrail.patch.requested.v1", "data": request });
        serde_json::to_vec(&event).expect("serializes")
    }

    /// An event that says how an incident stands.
    pub(crate) fn standing(incident: &str, revision: u64, status: &str) -> Vec<u8> {
        let event = json!({ "specversion": "1.0", "id": format!("s-{incident}-{revision}"), "source": "/test",
            "type": "dev.backtrail.verdict.v1",
            "data": { "incident_key": incident, "revision": revision, "status": status, "cause": "more" } });
        serde_json::to_vec(&event).expect("serializes")
    }

    #[test]
    fn a_request_and_a_standing_are_understood() {
        let Event { id, content } = Event::parse(&event(&request("i", 3, "pay"))).expect("an event");
        let Content::Request(request) = content else { panic!("a request") };
        assert_eq!((id.as_str(), request.suspect_ref.revision), ("i-3", 3));
        let event = Event::parse(&standing("i", 4, "resolved")).expect("an event");
        assert!(matches!(event.content, Content::Incident(Standing { status: Status::Resolved, revision: 4, .. })));
    }

    #[test]
    fn minor_versions_and_unknown_fields_pass_and_majors_do_not() {
        let mut minor = request("i", 1, "pay");
        (minor["schema_version"], minor["new_field"]) = (json!("1.7"), json!([1]));
        assert!(Event::parse(&event(&minor)).is_ok());
        minor["schema_version"] = json!("2");
        assert_eq!(Event::parse(&event(&minor)).expect_err("refused").reason(), "unknown_version");
        let next = String::from_utf8(standing("i", 1, "open")).expect("UTF-8").replace("verdict.v1", "verdict.v2");
        assert_eq!(Event::parse(next.as_bytes()).expect_err("refused").reason(), "unknown_version");
        let other = next.replace("verdict.v2", "shopping.v1");
        assert_eq!(Event::parse(other.as_bytes()).expect_err("refused").reason(), "unknown_type");
    }

    #[test]
    fn input_beyond_limits_is_refused() {
        let reason = |bytes: &[u8]| Event::parse(bytes).expect_err("refused").reason();
        assert_eq!(reason(&vec![b' '; MOST_BYTES + 1]), "too_large");
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(reason(deep.as_bytes()), "malformed");
        let in_data = String::from_utf8(event(&json!({ "id": "x" }))).expect("UTF-8").replace("{\"id\":\"x\"}", &deep);
        assert_eq!(reason(in_data.as_bytes()), "malformed");
        assert_eq!(reason(b"{\"id\": \"\xff\xfe\"}"), "malformed");
        let mut long = request("i", 1, "pay");
        long["id"] = json!("x".repeat(MOST_ID + 1));
        assert_eq!(reason(&event(&long)), "malformed");
        let mut huge = request("i", 1, "pay");
        huge["suspect_ref"]["revision"] = json!(u64::MAX);
        assert_eq!(reason(&event(&huge)), "malformed");
    }

    #[test]
    fn a_bare_request_gets_an_envelope_once() {
        let bare = serde_json::to_vec(&request("i", 3, "pay")).expect("serializes");
        let wrapped = enveloped(&bare).expect("wrapped");
        assert_eq!(Event::parse(&wrapped).expect("an event").id, "i-3");
        assert_eq!(enveloped(&wrapped).expect("left alone"), wrapped);
        assert!(enveloped(b"{}").is_err());
    }
}
