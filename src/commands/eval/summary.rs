//! Ranks of many cases to shares, by system and fault class: never pooled over systems.

use std::collections::BTreeSet;

use serde::Serialize;

use super::score::{Judged, Mode};
use crate::render::Paint;
use crate::render::table::Table;

/// Shares of one system, class and level, in percent.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(super) struct Row {
    system: String,
    class: String,
    level: &'static str,
    mode: &'static str,
    n: usize,
    as1: f64,
    as3: f64,
    as5: f64,
    /// The floor ranks services only.
    floor_as1: Option<f64>,
    floor_as3: Option<f64>,
    floor_as5: Option<f64>,
}

/// One row for each system, class ("all" first) and labelled level.
pub(super) fn summarize(judged: &[Judged]) -> Vec<Row> {
    let systems: BTreeSet<&str> = judged.iter().map(|case| case.system.as_str()).collect();
    let mut rows = Vec::new();
    for system in systems {
        let cases: Vec<&Judged> = judged.iter().filter(|case| case.system == system).collect();
        let classes: BTreeSet<&str> = cases.iter().map(|case| case.class.as_str()).collect();
        for class in std::iter::once("all").chain(classes) {
            let of_class: Vec<&Judged> =
                cases.iter().copied().filter(|case| class == "all" || case.class == class).collect();
            for level in ["service", "inner", "edge", "function", "commit"] {
                rows.extend(row(system, class, level, &of_class));
            }
        }
    }
    rows
}

/// AS@1 of the services by system, in percent.
pub(super) fn first_ranks(judged: &[Judged]) -> Vec<(String, f64)> {
    let all = summarize(judged).into_iter().filter(|row| row.class == "all" && row.level == "service");
    all.map(|row| (row.system, row.as1)).collect()
}

fn row(system: &str, class: &str, level: &'static str, cases: &[&Judged]) -> Option<Row> {
    let ranks: Vec<&Vec<Option<u32>>> = cases.iter().filter_map(|case| case.ranks.get(level)).collect();
    if ranks.is_empty() {
        return None;
    }
    let floors: Vec<&Vec<Option<u32>>> = cases.iter().map(|case| &case.floor).filter(|_| level == "service").collect();
    let floor = |k| (!floors.is_empty()).then(|| share(&floors, k));
    Some(Row {
        system: system.to_owned(),
        class: class.to_owned(),
        level,
        mode: cases.first().map_or(Mode::Window, |case| case.mode).name(),
        n: ranks.len(),
        as1: share(&ranks, 1),
        as3: share(&ranks, 3),
        as5: share(&ranks, 5),
        floor_as1: floor(1),
        floor_as3: floor(3),
        floor_as5: floor(5),
    })
}

/// AS@k in percent: the mean over cases of the share of causes among the first k (of at most k that can be).
fn share(cases: &[&Vec<Option<u32>>], k: u32) -> f64 {
    let found = |ranks: &Vec<Option<u32>>| {
        let hits = ranks.iter().flatten().filter(|&&rank| rank <= k).count();
        hits as f64 / ranks.len().min(k as usize).max(1) as f64
    };
    let mean = cases.iter().map(|ranks| found(ranks)).sum::<f64>() / cases.len().max(1) as f64;
    (mean * 1000.0).round() / 10.0
}

/// The summary for people.
pub(super) fn table(rows: &[Row], paint: Paint) -> Vec<String> {
    let head = ["system", "class", "level", "mode", ">n", ">AS@1", ">AS@3", ">AS@5", ">floor@1", ">@3", ">@5"];
    let mut table = Table::new(&head);
    for row in rows {
        let mut cells = vec![row.system.clone(), row.class.clone(), row.level.to_owned(), row.mode.to_owned()];
        cells.push(row.n.to_string());
        cells.extend([row.as1, row.as3, row.as5].map(|share| format!("{share:.1}")));
        let floors = [row.floor_as1, row.floor_as3, row.floor_as5];
        cells.extend(floors.map(|share| share.map_or_else(|| "-".to_owned(), |share| format!("{share:.1}"))));
        table.row(cells);
    }
    let mut lines = table.lines();
    lines[0] = paint.dim(&lines[0]);
    for (line, row) in lines.iter_mut().skip(1).zip(rows) {
        if row.class == "all" {
            *line = paint.bold(line);
        }
    }
    lines.push(
        paint.dim(
            "percent of cases whose culprit is among the first k; ties count against us; floor: trace-level Ochiai",
        ),
    );
    lines
}

/// One line a case.
pub(super) fn case_lines(judged: &[Judged], floor: bool, paint: Paint) -> Vec<String> {
    let mut table =
        Table::new(&["case", ">rank", ">inner", ">floor", ">after", ">false", "sure", "culprit", "first suspects"]);
    let shown = |ranks: &[Option<u32>]| {
        let each = ranks.iter().map(|rank| rank.map_or_else(|| "-".to_owned(), |rank| rank.to_string()));
        each.collect::<Vec<_>>().join("+")
    };
    for case in judged {
        let ranks = case.ranks.get("service").map_or_else(String::new, |ranks| shown(ranks));
        let floor = if floor { shown(&case.floor) } else { String::new() };
        let top: Vec<String> = case.top.iter().take(3).map(|(name, score)| format!("{name} {score:.2}")).collect();
        let inner = case.ranks.get("inner").map_or_else(String::new, |ranks| shown(ranks));
        let after = case.delay.map_or_else(String::new, |delay| format!("{delay:.0} s"));
        let wrong = if case.mode == Mode::Detect { case.false_incidents.to_string() } else { String::new() };
        let (sure, culprit) = (case.confidence.clone(), case.truth.join("+"));
        table.row(vec![case.id.clone(), ranks, inner, floor, after, wrong, sure, culprit, top.join(", ")]);
    }
    let mut lines = table.lines();
    lines[0] = paint.dim(&lines[0]);
    lines
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn case(class: &str, rank: Option<u32>, floor: Option<u32>) -> Judged {
        Judged {
            id: "c".to_owned(),
            system: "shop".to_owned(),
            class: class.to_owned(),
            ranks: BTreeMap::from([("service", vec![rank])]),
            floor: vec![floor],
            top: vec![("a".to_owned(), 0.9)],
            truth: vec!["a".to_owned()],
            confidence: "high".to_owned(),
            mode: Mode::Window,
            delay: None,
            false_incidents: 0,
        }
    }

    #[test]
    fn shares_are_counted_by_class_and_over_all() {
        let cases = [case("network", Some(1), Some(4)), case("network", Some(3), None), case("code", None, Some(1))];
        let rows = summarize(&cases);
        let seen: Vec<_> =
            rows.iter().map(|row| (row.class.as_str(), row.n, row.as1, row.as3, row.floor_as5)).collect();
        assert_eq!(
            seen,
            [
                ("all", 3, 33.3, 66.7, Some(66.7)),
                ("code", 1, 0.0, 0.0, Some(100.0)),
                ("network", 2, 50.0, 100.0, Some(50.0))
            ]
        );
    }

    #[test]
    fn several_causes_share_a_case() {
        let ranks = vec![Some(1), Some(3)];
        let shares = [share(&[&ranks], 1), share(&[&vec![Some(1), Some(4)]], 3), share(&[&ranks], 5)];
        assert_eq!(shares.map(|share| share as u32), [100, 50, 100]);
    }
}
