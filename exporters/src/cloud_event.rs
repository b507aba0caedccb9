//! The envelope: `CloudEvents` 1.0.2 in structured JSON.

use backtrail_model::time::UnixNano;
use serde::Serialize;

/// An event with its data. Every field is a function of the data, so a replay writes the same bytes.
#[derive(Serialize)]
pub(crate) struct CloudEvent<'a, T> {
    specversion: &'static str,
    id: &'a str,
    source: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    subject: &'a str,
    time: String,
    datacontenttype: &'static str,
    data: &'a T,
}

impl<'a, T: Serialize> CloudEvent<'a, T> {
    /// An event about `subject` that happened at `time`, which is event time and never the wall clock.
    pub(crate) fn new(
        kind: &'static str,
        id: &'a str,
        source: &'a str,
        subject: &'a str,
        time: UnixNano,
        data: &'a T,
    ) -> Self {
        let datacontenttype = "application/json";
        Self { specversion: "1.0", id, source, kind, subject, time: time.to_string(), datacontenttype, data }
    }
}
