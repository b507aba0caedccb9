//! Suspects in a terminal: the ranking, the case against the first, and what lies inside it.

use std::fmt::Write as _;

use backtrail_model::verdict::{Entity, Evidence, Supports, Suspect, SuspectOwner, Verdict};

use super::table::Table;
use super::text::{bar, count, fit, hanging};
use super::{Paint, WIDTH};

/// Services that the ranking shows.
const SHOWN: usize = 5;
/// Kinds inside and between services, in the order in which they are shown.
const INNER: [&str; 5] = ["edge", "route", "function", "file", "frame"];

/// An entity in words.
pub(crate) fn name(entity: &Entity) -> String {
    match entity.kind.as_str() {
        "service" if entity.version.is_empty() => entity.service.clone(),
        "service" => format!("{} {}", entity.service, entity.version),
        "edge" => format!("{} -> {}", entity.service, entity.name),
        _ if entity.name.is_empty() => entity.service.clone(),
        _ => format!("{} {}", entity.service, entity.name),
    }
}

/// The ranking of services.
pub(crate) fn services(verdict: &Verdict, paint: Paint) -> String {
    let ranked: Vec<&Suspect> = verdict.of_kind("service").collect();
    if ranked.is_empty() {
        return "  no suspect\n".to_owned();
    }
    let mut table = Table::new(&["  ", "service", ">score", "", ">ef", ">ep", ">nf", ">np", ">ochiai", "confidence"]);
    for suspect in ranked.iter().take(SHOWN) {
        let c = &suspect.counts;
        let mut cells = vec![format!("{:>3}.", suspect.rank), fit(&name(&suspect.entity), 30)];
        cells.push(format!("{:.2}", suspect.score.total));
        cells.push(bar(suspect.score.total, 10));
        cells.extend([c.ef, c.ep, c.nf, c.np].map(count));
        cells.push(suspect.ochiai.rsplit("= ").next().unwrap_or_default().to_owned());
        cells.push(suspect.confidence.clone());
        table.row(cells);
    }
    let mut text = String::new();
    for (i, line) in table.lines().iter().enumerate() {
        let line = match i {
            0 => paint.dim(line),
            1 => paint.bad(line),
            _ => line.clone(),
        };
        let _ = writeln!(text, "{line}");
    }
    if ranked.len() > SHOWN {
        let _ = writeln!(text, "      and {} more below", ranked.len() - SHOWN);
    }
    text
}

/// Formula, parts and evidence of one suspect.
pub(crate) fn case(verdict: &Verdict, suspect: &Suspect, paint: Paint) -> String {
    let mut text = String::new();
    if !suspect.score.formula.is_empty() {
        let _ = writeln!(text, "{}", hanging("  score    ", &suspect.score.formula, WIDTH));
    }
    if !suspect.ochiai.is_empty() {
        let _ = writeln!(
            text,
            "{}",
            hanging("  ochiai   ", &format!("ef/sqrt((ef+nf)*(ef+ep)) = {}", suspect.ochiai), WIDTH)
        );
    }
    for (i, (part, value)) in parts(suspect).into_iter().enumerate() {
        let head = if i == 0 { "  parts    " } else { "           " };
        let _ = writeln!(text, "{head}{part:<16} {value:.2} {}", bar(value, 20));
    }
    if let Some(owner) = verdict.owner_of(&suspect.entity) {
        let _ = writeln!(text, "{}", hanging("  owner    ", &self::owner(owner), WIDTH));
    }
    let mine: Vec<&Evidence> = verdict.evidence.iter().filter(|found| suspect.why.contains(&found.id)).collect();
    evidence(&mut text, "  for      ", &mine, Supports::For, paint);
    evidence(&mut text, "  against  ", &mine, Supports::Against, paint);
    text
}

/// Team, repository, folder, and whom CODEOWNERS names beside the team.
fn owner(owner: &SuspectOwner) -> String {
    let others: Vec<&str> = owner.owners.iter().filter(|name| **name != owner.team).map(String::as_str).collect();
    let place: Vec<&str> =
        [owner.repository.as_str()].into_iter().chain(owner.paths.iter().map(String::as_str)).collect();
    let known = [owner.team.clone(), place.join(" "), others.join(", ")];
    known.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join("; ")
}

/// Parts of a score, greatest first.
fn parts(suspect: &Suspect) -> Vec<(&str, f64)> {
    let mut parts: Vec<(&str, f64)> = suspect.score.parts.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    parts.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    parts
}

fn evidence(text: &mut String, head: &str, found: &[&Evidence], side: Supports, paint: Paint) {
    let sign = if side == Supports::For { "+" } else { "-" };
    let side: Vec<&&Evidence> = found.iter().filter(|found| found.supports == side).collect();
    if side.is_empty() && sign == "-" {
        let _ = writeln!(text, "{head}{sign} nothing was found against it");
    }
    for (i, found) in side.into_iter().enumerate() {
        let head = if i == 0 { head.to_owned() } else { " ".repeat(head.len()) };
        let reference = if found.reference.is_empty() { String::new() } else { format!(" ({})", found.reference) };
        let block = hanging(&format!("{head}{sign} "), &format!("[{}] {}{reference}", found.kind, found.says), WIDTH);
        let _ = writeln!(text, "{}", if sign == "+" { paint.good(&block) } else { paint.warn(&block) });
    }
}

/// The first edges, routes, functions, files and frames; empty when there are none.
pub(crate) fn inner(verdict: &Verdict, paint: Paint) -> String {
    let mut table = Table::new(&["  ", "kind", "suspect", ">score", ">ef", ">ep", ">nf", ">np"]);
    let mut rows = 0;
    for kind in INNER {
        for suspect in verdict.of_kind(kind).take(2) {
            let c = &suspect.counts;
            let mut cells = vec![format!("{:>3}.", suspect.rank), kind.to_owned(), fit(&name(&suspect.entity), 48)];
            cells.push(format!("{:.2}", suspect.score.total));
            cells.extend([c.ef, c.ep, c.nf, c.np].map(count));
            table.row(cells);
            rows += 1;
        }
    }
    if rows == 0 {
        return String::new();
    }
    let mut lines = table.lines();
    lines[0] = paint.dim(&lines[0]);
    lines.join("\n") + "\n"
}
