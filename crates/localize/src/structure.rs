//! Part C of the score, in its modest form: which elements of a service stopped (or began) to occur together.
//!
//! A *context* is "a trace passes element y of a service" (the service itself, a route, a function or a call that it
//! makes); its two events are that another element x of the same service is there or is not. Conditioning on the
//! service leaves what vanishes further down out of account, as the first divergence of FUSION.md does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use backtrail_model::spectra::{Element, ElementKind, SignatureHash};
use hashbrown::HashMap;

use crate::blame::{Scores, mean};
use crate::blocks::Stretch;
use crate::ochiai::shaped;
use crate::spectrum::UNIT;
use crate::stats::{g_test, universal_threshold, weighted_median, xlogx};

/// Contexts with fewer baseline traces are not judged.
const LEAST: f64 = 3.0;
/// Elements of one service in one signature that are paired; a service with more is judged by itself as the only
/// context, because pairs grow with the square.
const MOST_PAIRED: usize = 64;

/// A shift in the call structure of a service.
#[derive(Clone, PartialEq, Debug)]
pub struct Shift {
    /// The service.
    pub service: Arc<str>,
    /// Given that a trace passes this element (a [`ElementKind::Service`] for the service itself) ...
    pub given: Element,
    /// ... this one ...
    pub element: Element,
    /// ... is absent (or present) more often than before.
    pub absent: bool,
    /// The share of that before, 0 to 1.
    pub before: f64,
    /// And in the window.
    pub now: f64,
    /// Likelihood ratio that it changed.
    pub g: f64,
    /// The attributable fraction: how much of it is new, 0 to 1.
    pub weight: f64,
}

/// Part C.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Structure {
    /// Significant evidence by service.
    pub scores: Scores,
    /// The same without gates.
    pub tail: Scores,
    /// The strongest shift of each service with a score, in order of service.
    pub shifts: Vec<Shift>,
    /// What G had to exceed.
    pub gate: f64,
}

/// One signature: its services with their elements (the service itself first), and each service's level.
struct Form {
    services: Vec<Member>,
    /// Baseline traces by cell, and those of the window.
    baseline: Vec<(usize, f64)>,
    window: f64,
}

struct Member {
    service: u32,
    elements: Vec<u32>,
    /// Longest chain of calls that leads here from a service that nobody in the trace calls.
    level: usize,
    /// Rows of the pairs of `elements` in the table.
    rows: Vec<u32>,
}

/// Names and forms, numbered.
#[derive(Default)]
struct Table {
    elements: Vec<Element>,
    services: Vec<Arc<str>>,
    forms: Vec<Form>,
    /// (context, element); `(y, y)` counts the context.
    pairs: Vec<(u32, u32)>,
}

/// An odd event of a context.
#[derive(Clone, Copy)]
struct Odd {
    row: u32,
    absent: bool,
    before: f64,
    now: f64,
    g: f64,
    /// Attributable fraction.
    weight: f64,
    /// `1 - gate/G`: how far from luck, the shrinkage of the other parts.
    trust: f64,
}

/// Judges the structure of the window. `sampled_share` turns weighted counts into observed ones; `sick` are edges that
/// part L finds sick (caller, callee): what stops right after such a call is the callee's doing.
pub fn structure(
    baseline: &Stretch<'_>,
    window: &Stretch<'_>,
    cuts: &[usize],
    sampled_share: f64,
    sick: &BTreeSet<(Arc<str>, Arc<str>)>,
) -> Structure {
    let table = Table::new(baseline, window, sampled_share / UNIT);
    let (mut scores, mut tails, mut best) = (vec![], vec![], BTreeMap::<Arc<str>, Shift>::new());
    let mut gate = 0.0;
    for &k in cuts {
        let counts = Counts::new(&table, &baseline.cut(k));
        let (all, tested) = odd_events(&table, &counts);
        gate = universal_threshold(tested);
        let over = all.iter().filter(|odd| odd.g > gate);
        let odd: Vec<Odd> = over.map(|odd| Odd { trust: 1.0 - gate / odd.g, ..*odd }).collect();
        scores.push(blame(&table, &odd, sick));
        tails.push(blame(&table, &all, sick));
        for odd in &odd {
            let shift = table.shift(odd);
            let stronger = |old: &Shift| (shift.weight, shift.g) > (old.weight, old.g);
            if best.get(&shift.service).is_none_or(stronger) {
                best.insert(Arc::clone(&shift.service), shift);
            }
        }
    }
    let scores = mean(&scores);
    let shifts = best.into_values().filter(|shift| scores.contains_key(&shift.service)).collect();
    Structure { scores, tail: mean(&tails), shifts, gate }
}

impl Table {
    fn new(baseline: &Stretch<'_>, window: &Stretch<'_>, scale: f64) -> Self {
        let mut traces: BTreeMap<SignatureHash, (BTreeMap<usize, u64>, u64)> = BTreeMap::new();
        for (cell, part) in baseline.parts() {
            for (group, count) in &part.groups {
                *traces.entry(group.signature).or_default().0.entry(cell).or_default() += count;
            }
        }
        for (_, part) in window.parts() {
            for (group, count) in &part.groups {
                traces.entry(group.signature).or_default().1 += count;
            }
        }
        let lists: BTreeMap<SignatureHash, &Arc<[Element]>> = baseline
            .parts()
            .chain(window.parts())
            .flat_map(|(_, part)| &part.signatures)
            .map(|(h, e)| (*h, e))
            .collect();
        let mut builder = Builder::default();
        for (hash, (before, now)) in traces {
            if let Some(elements) = lists.get(&hash) {
                let services = builder.members(elements);
                let baseline = before.into_iter().map(|(cell, count)| (cell, count as f64 * scale)).collect();
                builder.table.forms.push(Form { services, baseline, window: now as f64 * scale });
            }
        }
        builder.table
    }

    /// The row that counts each context.
    fn contexts(&self) -> HashMap<u32, u32, foldhash::fast::FixedState> {
        let own = self.pairs.iter().zip(0..).filter(|((given, element), _)| given == element);
        own.map(|(key, row)| (key.0, row)).collect()
    }

    fn shift(&self, odd: &Odd) -> Shift {
        let (given, element) = self.pairs[odd.row as usize];
        let (given, element) = (self.elements[given as usize].clone(), self.elements[element as usize].clone());
        let service = Arc::clone(&given.service);
        Shift {
            service,
            given,
            element,
            absent: odd.absent,
            before: odd.before,
            now: odd.now,
            g: odd.g,
            weight: odd.weight,
        }
    }
}

#[derive(Default)]
struct Builder {
    table: Table,
    element_ids: BTreeMap<Element, u32>,
    service_ids: BTreeMap<Arc<str>, u32>,
    pair_ids: HashMap<(u32, u32), u32, foldhash::fast::FixedState>,
}

impl Builder {
    fn element(&mut self, element: &Element) -> u32 {
        if let Some(&id) = self.element_ids.get(element) {
            return id;
        }
        let id = self.table.elements.len() as u32;
        self.table.elements.push(element.clone());
        self.element_ids.insert(element.clone(), id);
        id
    }

    fn service(&mut self, name: &Arc<str>) -> u32 {
        if let Some(&id) = self.service_ids.get(name) {
            return id;
        }
        let id = self.table.services.len() as u32;
        self.table.services.push(Arc::clone(name));
        self.service_ids.insert(Arc::clone(name), id);
        id
    }

    fn pair(&mut self, key: (u32, u32)) -> u32 {
        let next = self.table.pairs.len() as u32;
        let id = *self.pair_ids.entry(key).or_insert(next);
        if id == next {
            self.table.pairs.push(key);
        }
        id
    }

    fn members(&mut self, elements: &[Element]) -> Vec<Member> {
        let mut by_service: BTreeMap<&Arc<str>, Vec<&Element>> = BTreeMap::new();
        for element in elements {
            if matches!(element.kind, ElementKind::Route | ElementKind::Edge | ElementKind::Function) {
                by_service.entry(&element.service).or_default().push(element);
            }
        }
        let levels = levels(&by_service);
        let mut members = Vec::with_capacity(by_service.len());
        for (name, list) in &by_service {
            let itself = Element { kind: ElementKind::Service, service: Arc::clone(name), name: "".into() };
            let mut ids = vec![self.element(&itself)];
            ids.extend(list.iter().map(|element| self.element(element)));
            let contexts = if ids.len() > MOST_PAIRED { &ids[..1] } else { &ids[..] };
            let mut rows = Vec::with_capacity(contexts.len() * ids.len());
            for &given in contexts {
                rows.extend(ids.iter().map(|&element| self.pair((given, element))));
            }
            members.push(Member { service: self.service(name), elements: ids, level: levels[*name], rows });
        }
        members
    }
}

/// The level of each service of a trace: the longest chain of calls that leads to it. Cycles end at the number of
/// services.
fn levels<'a>(by_service: &BTreeMap<&'a Arc<str>, Vec<&Element>>) -> BTreeMap<&'a Arc<str>, usize> {
    let mut levels: BTreeMap<&Arc<str>, usize> = by_service.keys().map(|name| (*name, 0)).collect();
    for _ in 0..by_service.len() {
        let mut changed = false;
        for (caller, elements) in by_service {
            let next = levels[*caller] + 1;
            for edge in elements.iter().filter(|element| element.kind == ElementKind::Edge && element.name != **caller)
            {
                if let Some(level) = levels.get_mut(&edge.name).filter(|level| **level < next) {
                    *level = next;
                    changed = true;
                }
            }
        }
        if !changed {
            break;
        }
    }
    levels
}

/// Traces by pair (row) and column: the blocks, then the window.
struct Counts {
    columns: usize,
    cells: Vec<f64>,
}

impl Counts {
    fn new(table: &Table, block_of: &[usize]) -> Self {
        let columns = block_of.iter().max().map_or(0, |last| last + 1) + 1;
        let mut cells = vec![0.0; table.pairs.len() * columns];
        let mut column = vec![0.0; columns];
        for form in &table.forms {
            column.fill(0.0);
            for &(cell, count) in &form.baseline {
                column[block_of[cell]] += count;
            }
            column[columns - 1] = form.window;
            for &row in form.services.iter().flat_map(|member| &member.rows) {
                let row = &mut cells[row as usize * columns..][..columns];
                row.iter_mut().zip(&column).for_each(|(sum, count)| *sum += count);
            }
        }
        Self { columns, cells }
    }

    /// The blocks and the window of a pair.
    fn row(&self, row: u32) -> (&[f64], f64) {
        let row = &self.cells[row as usize * self.columns..][..self.columns];
        (&row[..self.columns - 1], row[self.columns - 1])
    }
}

/// Every event whose share rose, and how many pairs were tested.
fn odd_events(table: &Table, counts: &Counts) -> (Vec<Odd>, usize) {
    let contexts = table.contexts();
    let (mut odd, mut tested) = (Vec::new(), 0);
    for (&(given, element), row) in table.pairs.iter().zip(0..) {
        if given == element {
            continue;
        }
        let (n, window_n) = counts.row(contexts[&given]);
        let total: f64 = n.iter().sum();
        if window_n <= 0.0 || total < LEAST {
            continue;
        }
        tested += 1;
        let (k, window_k) = counts.row(row);
        let present = quiet_share(k, n);
        for absent in [false, true] {
            let (before, hits) = if absent { (1.0 - present, window_n - window_k) } else { (present, window_k) };
            let now = hits / window_n;
            if now <= before + 1e-12 {
                continue;
            }
            let g = g_test(before * total, total, hits, window_n);
            let weight = (1.0 - (before * total + 0.5) / (total + 1.0) / now).max(0.0);
            if weight > 0.0 {
                odd.push(Odd { row, absent, before, now, g, weight, trust: 1.0 });
            }
        }
    }
    (odd, tested)
}

/// The quiet share of `k` of `n`: pooled; where the blocks disagree at the 5 % level (bound of Laurent and Massart for
/// chi-squared), some of them hold another fault, and the median block is believed. Source: FUSION.md, part C rule 2.
fn quiet_share(k: &[f64], n: &[f64]) -> f64 {
    let (all_k, all_n): (f64, f64) = (k.iter().sum(), n.iter().sum());
    let entropy = |k: f64, n: f64| xlogx(k) + xlogx(n - k) - xlogx(n);
    let full = k.iter().zip(n).filter(|(_, n)| **n > 0.0);
    let het = 2.0 * (full.clone().map(|(&k, &n)| entropy(k, n)).sum::<f64>() - entropy(all_k, all_n));
    let dof = full.clone().count() as f64 - 1.0;
    if het <= dof + 2.0 * (3.0 * dof).sqrt() + 6.0 {
        return all_k / all_n;
    }
    weighted_median(&mut full.map(|(&k, &n)| (k / n, n)).collect::<Vec<_>>()).unwrap_or(0.0)
}

/// Blames the odd events of every trace of the window, callees before callers: an oddity further down explains the
/// caller's, so it takes its share `w` of what is left to explain first. What a service is charged with is shrunk by the
/// event's trust, as in the other parts; what it explains away is not, or the echoes of a weak event would be accused.
fn blame(table: &Table, odd: &[Odd], sick: &BTreeSet<(Arc<str>, Arc<str>)>) -> Scores {
    let mut by_context: HashMap<u32, Vec<&Odd>, foldhash::fast::FixedState> = HashMap::default();
    for event in odd {
        by_context.entry(table.pairs[event.row as usize].0).or_default().push(event);
    }
    let (mut blamed, mut seen, mut total) = (BTreeMap::<Arc<str>, f64>::new(), BTreeMap::<Arc<str>, f64>::new(), 0.0);
    for form in table.forms.iter().filter(|form| form.window > 0.0) {
        let mut found: Vec<Oddity> = Vec::new();
        for member in &form.services {
            let contexts = member.elements.iter().filter_map(|given| by_context.get(given)).flatten();
            let (mut passed, mut strongest) = (false, None::<&Odd>);
            for event in contexts {
                passed = true;
                let there = member.elements.contains(&table.pairs[event.row as usize].1);
                if there != event.absent && strongest.is_none_or(|old| (event.weight, event.g) > (old.weight, old.g)) {
                    strongest = Some(event);
                }
            }
            let service = &table.services[member.service as usize];
            let who = strongest.map_or_else(|| Arc::clone(service), |event| guilty(table, event, sick));
            if passed {
                *seen.entry(Arc::clone(&who)).or_default() += form.window;
            }
            if let Some(event) = strongest {
                found.push(Oddity { level: member.level, who, weight: event.weight, trust: event.trust });
            }
        }
        total += share_out(found, form.window, &mut blamed);
    }
    let score = |(service, ef): (Arc<str>, f64)| {
        // One execution that was not yet seen, so that a single odd trace is not perfect.
        let quiet = (seen.get(&service).copied().unwrap_or(0.0) - ef).max(0.0) + 1.0;
        let score = shaped(ef, total, quiet);
        (service, score)
    };
    blamed.into_iter().filter(|(_, ef)| *ef > 0.0).map(score).collect()
}

/// What stops after a sick call is the callee's doing.
fn guilty(table: &Table, event: &Odd, sick: &BTreeSet<(Arc<str>, Arc<str>)>) -> Arc<str> {
    let given = &table.elements[table.pairs[event.row as usize].0 as usize];
    let edge = (Arc::clone(&given.service), Arc::clone(&given.name));
    if given.kind == ElementKind::Edge && sick.contains(&edge) { edge.1 } else { edge.0 }
}

/// The strongest odd event of a service in a form.
struct Oddity {
    level: usize,
    who: Arc<str>,
    weight: f64,
    trust: f64,
}

/// Shares a form's traces out, deepest level first; services of one level in proportion. Returns what was charged.
fn share_out(mut found: Vec<Oddity>, traces: f64, blamed: &mut BTreeMap<Arc<str>, f64>) -> f64 {
    found.sort_by(|a, b| b.level.cmp(&a.level).then_with(|| a.who.cmp(&b.who)));
    let (mut left, mut charged) = (1.0, 0.0);
    for level in found.chunk_by(|a, b| a.level == b.level) {
        let rest = level.iter().fold(left, |left, odd| left * (1.0 - odd.weight));
        let weights: f64 = level.iter().map(|odd| odd.weight).sum();
        for odd in level.iter().filter(|_| weights > 0.0) {
            let charge = traces * (left - rest) * odd.weight / weights * odd.trust;
            *blamed.entry(Arc::clone(&odd.who)).or_default() += charge;
            charged += charge;
        }
        left = rest;
    }
    charged
}

#[cfg(test)]
mod tests {
    use super::*;
    use backtrail_model::Slice;
    use backtrail_model::spectra::{Entry, SpectraSlice, TraceGroup};

    fn element(kind: ElementKind, service: &str, name: &str) -> Element {
        Element { kind, service: service.into(), name: name.into() }
    }

    /// `web` calls `cart`, which calls `db`; in `broken` traces `cart` stops before the call and `web` skips `ads`.
    fn slice(at: u64, whole: u64, broken: u64) -> SpectraSlice {
        use ElementKind::{Edge, Route};
        let mut slice = SpectraSlice::new(Slice(at));
        let start = [element(Route, "cart", "add"), element(Edge, "web", "cart"), element(Route, "web", "GET /")];
        let rest = [element(Edge, "cart", "db"), element(Route, "db", "SELECT"), element(Edge, "web", "ads")];
        slice.signatures.insert(1, start.iter().chain(&rest).cloned().collect());
        slice.signatures.insert(2, start.into());
        let entry = Entry { service: "web".into(), route: "GET /".into() };
        for (signature, count) in [(1, whole), (2, broken)] {
            let group = TraceGroup { entry: entry.clone(), signature, error: false, latency: 9 };
            slice.groups.insert(group, count * 256);
        }
        slice
    }

    #[test]
    fn a_service_that_stops_early_is_blamed_and_its_caller_only_echoes() {
        let baseline: Vec<_> = (0..20).map(|at| slice(at, 20, 0)).collect();
        let window: Vec<_> = (20..25).map(|at| slice(at, 10, 10)).collect();
        let (baseline, window) = (baseline.iter().collect::<Vec<_>>(), window.iter().collect::<Vec<_>>());
        let found = structure(&Stretch::new(&baseline), &Stretch::new(&window), &[5, 8], 1.0, &BTreeSet::new());
        assert!(found.scores["cart"] > 0.6, "{:?}", found.scores);
        assert!(found.scores["cart"] > 3.0 * found.scores.get("web").copied().unwrap_or(0.0), "{:?}", found.scores);
        let shift = found.shifts.iter().find(|shift| &*shift.service == "cart").expect("found");
        assert!(shift.absent && (shift.before, shift.now) == (0.0, 0.5), "{shift:?}");
        let sick = BTreeSet::from([("cart".into(), "db".into())]);
        let quiet = structure(&Stretch::new(&baseline), &Stretch::new(&baseline), &[5], 1.0, &sick);
        assert!(quiet.scores.is_empty());
    }
}
