//! Reports: what a remediation was, told from its journal and the artifacts that the journal names. No other source and
//! no clock takes part, so the same journal gives the same report.
//!
//! A [`Case`] is what a report is made from, a [`Report`] a draft of a postmortem in sections. Every sentence names the
//! evidence that it rests on: `j4` is entry 4 of the journal, `a:ab12cd34` the artifact whose SHA-256 begins so, `r` the
//! request. [`Report::markdown`] and [`Report::html`] write it down, [`trace`] tells the same as an OpenTelemetry trace,
//! [`Totals`] measures all remediations.

mod case;
mod considered;
mod happened;
mod html;
mod markdown;
mod measure;
mod outbox;
mod prose;
mod totals;
pub mod trace;
mod words;

use serde::Serialize;

pub use case::Case;
pub use measure::{Measures, lines_without_tests, median};
pub use outbox::{Outbox, Unsent};
pub use totals::{MOST_REMEDIATIONS, Median, Share, Totals};

use crate::state::State;

/// A draft of a postmortem.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    /// The remediation.
    pub remediation: String,
    /// Where it stands.
    pub state: State,
    /// What it says.
    pub sections: Vec<Section>,
    /// What it rests on.
    pub evidence: Vec<Evidence>,
    /// Its numbers.
    pub measures: Measures,
}

/// A section.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Section {
    /// What it is about.
    pub heading: &'static str,
    /// What it says, in order.
    pub parts: Vec<Part>,
}

/// A part of a section.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// What the sentences that follow are about.
    About(Sentence),
    /// A sentence.
    Says(Sentence),
    /// Lines as they are, such as a diff; the sentence before them names their evidence.
    Lines(String),
}

/// A sentence and its evidence.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Sentence {
    /// In words; quotations are marked.
    #[serde(serialize_with = "plain")]
    text: String,
    /// Ids of what it rests on, at least one.
    pub evidence: Vec<String>,
}

/// Something that sentences rest on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Evidence {
    /// The id by which sentences name it.
    pub id: String,
    /// What it is.
    #[serde(serialize_with = "plain")]
    what: String,
    /// SHA-256, hex: of an artifact's or the request's bytes; of an entry and all before it.
    pub sha256: String,
}

#[expect(clippy::ptr_arg, reason = "the type of the field, for serde")]
fn plain<S: serde::Serializer>(text: &String, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&prose::plain(text))
}

impl Report {
    /// The report of a case.
    pub fn of(case: &Case) -> Self {
        let measures = Measures::of(case);
        let sections = vec![
            happened::summary(case),
            happened::impact(case),
            happened::timeline(case),
            happened::cause(case),
            considered::candidates(case),
            considered::left_out(case),
            considered::tests(case),
            considered::approval(case),
            considered::diff(case),
            considered::next(case),
            considered::metrics(case, &measures),
        ];
        let (remediation, state) = (case.id().to_owned(), case.state());
        Self { remediation, state, sections, evidence: case.evidence(), measures }
    }

    /// As Markdown.
    pub fn markdown(&self) -> String {
        markdown::write(self)
    }

    /// As a page of HTML that needs nothing else.
    pub fn html(&self) -> String {
        html::write(self)
    }
}

impl Section {
    const fn new(heading: &'static str) -> Self {
        Self { heading, parts: Vec::new() }
    }

    fn about(&mut self, text: String, evidence: impl IntoIterator<Item = String>) {
        self.parts.push(Part::About(Sentence::new(text, evidence)));
    }

    fn says(&mut self, text: impl Into<String>, evidence: impl IntoIterator<Item = String>) {
        self.parts.push(Part::Says(Sentence::new(text.into(), evidence)));
    }
}

impl Sentence {
    fn new(text: String, evidence: impl IntoIterator<Item = String>) -> Self {
        let evidence: Vec<String> = evidence.into_iter().collect();
        debug_assert!(!evidence.is_empty(), "a sentence without evidence: {text}");
        Self { text, evidence }
    }
}

#[cfg(test)]
mod story;
#[cfg(test)]
mod tests;
