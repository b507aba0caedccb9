//! The terminal face of a verdict: the same document as `--json`, in the order in which a person asks.

use backtrail_model::incident::{Endpoint, Status};
use backtrail_model::verdict::{Confidence, Hop, Verdict};

use super::text::{count, hanging, millis, percent, wrap};
use super::time::{clock, length, moment};
use super::{Paint, WIDTH, graph, suspects};

/// Draws a verdict. `graph` is the service graph of its window; without one, the verdict's own part of it is drawn.
pub(crate) fn face(verdict: &Verdict, graph: &[Hop], paint: Paint) -> String {
    let mut page = Page { text: String::new(), paint };
    page.title(verdict);
    page.cause(verdict);
    page.section("service graph", "p95 at the caller; a sick call is drawn ==> and marked");
    page.raw(&graph::tree(if graph.is_empty() { &verdict.propagation } else { graph }, paint));
    page.section("suspects", "ef ep nf np: traces failing and passing, with and without the suspect");
    page.raw(&suspects::services(verdict, paint));
    if let Some(first) = verdict.of_kind("service").next() {
        page.section(&format!("the case against {}", first.entity.service), "");
        page.raw(&suspects::case(verdict, first, paint));
    }
    page.raw(&inner(verdict, paint));
    page.list("ruled out", verdict.ruled_out.iter().map(|out| (suspects::name(&out.entity), out.why.clone())));
    page.list("limits of this verdict", verdict.limits.iter().map(|limit| (String::new(), limit.clone())));
    let actions = verdict.next_actions.iter().map(|next| (next.action.clone(), gate(&next.risk, &next.gate)));
    page.list("what to do next", actions);
    page.footer(verdict);
    page.text
}

/// The inner suspects with their own heading; nothing when telemetry names none.
fn inner(verdict: &Verdict, paint: Paint) -> String {
    let body = suspects::inner(verdict, paint);
    if body.is_empty() { body } else { format!("\n{}\n{body}", heading("inside and between services", "", paint)) }
}

fn gate(risk: &str, gate: &str) -> String {
    match (risk, gate) {
        ("" | "none", "") => String::new(),
        (risk, "") => format!("risk {risk}"),
        (risk, gate) => format!("risk {risk}; first: {gate}"),
    }
}

struct Page {
    text: String,
    paint: Paint,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn raw(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn title(&mut self, verdict: &Verdict) {
        let state = match verdict.status {
            Status::Open => "open",
            Status::Updated => "going on",
            Status::Resolved => "resolved",
            Status::Inconclusive => "inconclusive",
        };
        let left = format!("INCIDENT  {}", endpoint(&verdict.endpoint));
        let right = format!("{state}, revision {}", verdict.revision);
        let gap = WIDTH.saturating_sub(left.chars().count() + right.chars().count()).max(2);
        self.line(&"=".repeat(WIDTH));
        let right = if verdict.status == Status::Inconclusive { self.paint.warn(&right) } else { right };
        self.line(&format!("{}{}{right}", self.paint.bold(&left), " ".repeat(gap)));
        self.line(&"=".repeat(WIDTH));
    }

    fn cause(&mut self, verdict: &Verdict) {
        for line in wrap(&verdict.cause, WIDTH) {
            let line = self.paint.bold(&line);
            self.line(&line);
        }
        self.line("");
        self.fact("confidence", &confidence(&verdict.confidence));
        let window = &verdict.window;
        let lasted = length(window.end_unix_nano.since(window.start_unix_nano));
        let (from, to) = (moment(window.start_unix_nano), clock(window.end_unix_nano));
        self.fact("window", &format!("{from} to {to} UTC ({lasted})"));
        self.fact("impact", &impact(verdict));
        self.fact("noticed by", &detector(verdict));
    }

    fn fact(&mut self, name: &str, text: &str) {
        let block = hanging(&format!("  {name:<12}"), text, WIDTH);
        self.line(&block);
    }

    fn section(&mut self, name: &str, note: &str) {
        let head = heading(name, note, self.paint);
        self.line(&format!("\n{head}"));
    }

    fn list(&mut self, name: &str, entries: impl Iterator<Item = (String, String)>) {
        let mut entries = entries.peekable();
        if entries.peek().is_none() {
            return;
        }
        self.section(name, "");
        for (what, why) in entries {
            let text = match (what.is_empty(), why.is_empty()) {
                (true, _) => why,
                (_, true) => what,
                _ => format!("{what}: {why}"),
            };
            self.line(&hanging("  - ", &text, WIDTH));
        }
    }

    fn footer(&mut self, verdict: &Verdict) {
        let from = &verdict.provenance;
        let slices = format!(
            "{} slices of baseline and {} of window, {} s each",
            from.baseline_slices, from.window_slices, from.slice_seconds
        );
        self.section("provenance", "");
        let late = if from.late_spans > 0 { format!(", {} late spans", from.late_spans) } else { String::new() };
        let seen = percent(from.sampled_share, 1.0);
        self.fact("judged", &format!("{slices}; {seen} of the traffic seen{late}"));
        self.fact("by", &format!("{}, configuration {}", from.engine, from.config_digest));
        self.fact("verdict", &format!("{} (incident {})", verdict.id, verdict.incident_key));
        if !verdict.reproduce.is_empty() {
            self.fact("again", &verdict.reproduce);
        }
    }
}

fn heading(name: &str, note: &str, paint: Paint) -> String {
    let name = paint.bold(&name.to_uppercase());
    if note.is_empty() { name } else { format!("{name}  {}", paint.dim(note)) }
}

/// An endpoint in words.
pub(crate) fn endpoint(endpoint: &Endpoint) -> String {
    let route = endpoint.route.trim();
    let route = match endpoint.method.as_str() {
        "" => route.to_owned(),
        method if route.starts_with(method) => route.to_owned(),
        method => format!("{method} {route}"),
    };
    match (endpoint.service.is_empty(), route.is_empty()) {
        (true, true) => "everywhere".to_owned(),
        (true, false) => route,
        (false, true) => endpoint.service.clone(),
        (false, false) => format!("{} {route}", endpoint.service),
    }
}

fn confidence(confidence: &Confidence) -> String {
    let head = format!("{} ({:.2})", confidence.level.to_uppercase(), confidence.score);
    if confidence.reasons.is_empty() { head } else { format!("{head}: {}", confidence.reasons.join("; ")) }
}

fn impact(verdict: &Verdict) -> String {
    let impact = &verdict.impact;
    if !impact.says.is_empty() {
        return impact.says.clone();
    }
    let share = percent(impact.failing, impact.traces);
    let (p95, before) = (millis(impact.p95_ms), millis(impact.baseline_p95_ms));
    format!("{} of {} traces fail ({share}); p95 {p95}, {before} before", count(impact.failing), count(impact.traces))
}

fn detector(verdict: &Verdict) -> String {
    let detector = &verdict.detector;
    let name = detector.kind.name().replace('_', " ");
    let slo = if detector.slo.is_empty() { String::new() } else { format!(": {}", detector.slo) };
    if detector.unit.is_empty() {
        return format!("{name}{slo}");
    }
    let (unit, seen, limit) = (detector.unit.replace('_', " "), detector.observed, detector.threshold);
    format!("{name}{slo}: {unit} {seen:.2} against a limit of {limit:.2}")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample() -> Verdict {
        serde_json::from_str(include_str!("sample_verdict.json")).expect("the sample is a verdict")
    }

    #[test]
    fn the_face_of_a_verdict() {
        let text = face(&sample(), &[], Paint::new(false));
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn colour_only_repeats_what_the_text_says() {
        let (plain, coloured) = (face(&sample(), &[], Paint::new(false)), face(&sample(), &[], Paint::new(true)));
        assert_ne!(plain, coloured);
        assert_eq!(strip(&coloured), plain);
    }

    #[test]
    fn an_inconclusive_verdict_says_so() {
        let mut verdict = sample();
        verdict.status = Status::Inconclusive;
        verdict.cause = "inconclusive, because 12 traces are too few".to_owned();
        verdict.suspects.clear();
        verdict.propagation.clear();
        let text = face(&verdict, &[], Paint::new(false));
        assert!(text.contains("inconclusive, revision") && text.contains("no suspect"), "{text}");
    }

    /// Removes escape sequences.
    fn strip(text: &str) -> String {
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('\u{1b}') {
            plain.push_str(before);
            rest = after.split_once('m').map_or("", |(_, rest)| rest);
        }
        plain + rest
    }
}
