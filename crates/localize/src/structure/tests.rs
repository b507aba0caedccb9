use std::collections::BTreeSet;
use std::sync::Arc;

use backtrail_model::Slice;
use backtrail_model::paths::{Chain, Event, PathCount, Step};
use backtrail_model::spectra::{Entry, SpectraSlice, TraceGroup};

use super::*;
use crate::blocks::Stretch;

const CUTS: [usize; 2] = [5, 8];

fn event(name: &str, callee: Option<&str>) -> Event {
    Event { name: name.into(), callee: callee.map(|service| Entry { service: service.into(), route: "op".into() }) }
}

/// A step: service, previous and next event.
type Taken<'a> = (&'a str, Event, Event);

/// A slice whose traces take the given paths: steps as (service, previous, next), and how many traces.
fn slice(at: u64, paths: &[(&[Taken<'_>], u64)]) -> SpectraSlice {
    let mut slice = SpectraSlice::new(Slice(at));
    for (number, (steps, traces)) in (1..).zip(paths) {
        let mut hashes = Vec::new();
        for (service, previous, next) in *steps {
            let step = Step {
                service: (*service).into(),
                entry: "op".into(),
                chain: Chain::Calls,
                previous: previous.clone(),
                next: next.clone(),
            };
            // Any identity will do as long as equal steps share it.
            let hash = format!("{step:?}").bytes().fold(7_u64, |h, b| h.wrapping_mul(0x100_0000_01B3) ^ u64::from(b));
            slice.paths.steps.insert(hash, Arc::new(step));
            hashes.push(hash);
        }
        let group = TraceGroup {
            entry: Entry { service: "web".into(), route: "op".into() },
            signature: number,
            error: false,
            latency: 9,
        };
        *slice.groups.entry(group).or_default() += traces * 256;
        let path = hashes.iter().fold(3_u64, |h, step| h.wrapping_mul(0x100_0000_01B3) ^ step);
        slice.paths.paths.insert(path, PathCount { steps: hashes.into(), traces: traces * 256 });
    }
    slice
}

/// `web` calls `cart`, which calls `db`; in `broken` traces `cart` stops before the call and `web` skips `ads`.
fn shop(at: u64, whole: u64, broken: u64) -> SpectraSlice {
    let (begin, end) = (event(Event::BEGIN, None), event(Event::END, None));
    let (cart, db, ads) = (event("add", Some("cart")), event("SELECT", Some("db")), event("show", Some("ads")));
    let good = [
        ("web", begin.clone(), cart.clone()),
        ("cart", begin.clone(), db.clone()),
        ("cart", db, end.clone()),
        ("web", cart.clone(), ads.clone()),
        ("web", ads, end.clone()),
    ];
    let bad = [("web", begin.clone(), cart.clone()), ("cart", begin, end.clone()), ("web", cart, end)];
    slice(at, &[(&good, whole), (&bad, broken)])
}

fn judged(window: &[SpectraSlice], sick: &SickEdges) -> Structure {
    judged_with(window, sick, &Silent::new())
}

fn judged_with(window: &[SpectraSlice], sick: &SickEdges, silent: &Silent) -> Structure {
    let baseline: Vec<_> = (0..20).map(|at| shop(at, 20, 0)).collect();
    let (baseline, window) = (baseline.iter().collect::<Vec<_>>(), window.iter().collect::<Vec<_>>());
    let (baseline, window) = (Stretch::new(&baseline), Stretch::new(&window));
    let all = baseline.followed_by(&window);
    let split = all.split(|cell| cell >= baseline.cells.len(), &CUTS);
    structure(&Forms::new(&all, 1.0, &[Chain::Calls]), &split, sick, silent)
}

#[test]
fn a_service_that_stops_early_is_blamed_and_its_caller_only_echoes() {
    let found = judged(&(20..25).map(|at| shop(at, 10, 10)).collect::<Vec<_>>(), &BTreeSet::new());
    assert!(found.scores["cart"] > 0.69, "{:?}", found.scores);
    assert!(found.scores.get("web").copied().unwrap_or(0.0) < 0.1, "{:?}", found.scores);
    let shift = found.shifts.iter().find(|shift| &*shift.service == "cart").expect("found");
    assert_eq!((&*shift.step.next.name, &*shift.expected.name), (Event::END, "SELECT"));
    assert!((shift.before, shift.now) == (0.0, 0.5), "{shift:?}");
    let of_cart: Vec<_> = found.regions.keys().filter(|region| &*region.service == "cart").collect();
    assert_eq!(of_cart.len(), 1, "{of_cart:?}");
    assert_eq!((&*of_cart[0].before.name, &*of_cart[0].expected.name), (Event::BEGIN, "SELECT"));
}

#[test]
fn a_quiet_window_has_no_score() {
    let found = judged(&(20..25).map(|at| shop(at, 20, 0)).collect::<Vec<_>>(), &BTreeSet::new());
    assert!(found.scores.is_empty() && found.shifts.is_empty() && found.regions.is_empty());
}

#[test]
fn what_diverges_after_a_sick_call_is_the_callees_doing() {
    let (begin, end) = (event(Event::BEGIN, None), event(Event::END, None));
    let cart = event("add", Some("cart"));
    // `web` gives up after the call to `cart`; `cart` itself does all it used to.
    let path = [
        ("web", begin.clone(), cart.clone()),
        ("cart", begin, event("SELECT", Some("db"))),
        ("cart", event("SELECT", Some("db")), end.clone()),
        ("web", cart, end),
    ];
    let window: Vec<_> = (20..25).map(|at| slice(at, &[(&path, 20)])).collect();
    let sick = BTreeSet::from([(Arc::from("web"), Arc::from("cart"))]);
    assert_eq!(judged(&window, &BTreeSet::new()).scores.keys().map(|s| &**s).collect::<Vec<_>>(), ["web"]);
    assert_eq!(judged(&window, &sick).scores.keys().map(|s| &**s).collect::<Vec<_>>(), ["cart"]);
}

#[test]
fn the_same_call_without_an_answer_is_the_doing_of_who_fell_silent() {
    let (begin, end) = (event(Event::BEGIN, None), event(Event::END, None));
    let unanswered = event("add", None);
    let path = [("web", begin, unanswered.clone()), ("web", unanswered, end)];
    let window: Vec<_> = (20..25).map(|at| slice(at, &[(&path, 20)])).collect();
    let silent = Silent::from([((Arc::from("web"), Arc::from("cart")), 100.0)]);
    let charged = |silent: &Silent| {
        let found = judged_with(&window, &BTreeSet::new(), silent);
        found.scores.keys().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!((charged(&Silent::new()), charged(&silent)), (vec!["web".to_owned()], vec!["cart".to_owned()]));
}

#[test]
fn traces_past_the_cap_of_paths_still_count() {
    let mut window: Vec<_> = (20..25).map(|at| shop(at, 10, 10)).collect();
    for slice in &mut window {
        for (_, count) in std::mem::take(&mut slice.paths.paths) {
            slice.paths.overflow += count.traces;
            for hash in count.steps.iter() {
                *slice.paths.loose.entry(*hash).or_default() += count.traces * 256;
            }
        }
    }
    let found = judged(&window, &BTreeSet::new());
    assert!((found.unordered - 100.0).abs() < 1e-9);
    let (cart, web) = (found.scores["cart"], found.scores["web"]);
    assert!((cart - web).abs() < 1e-9 && cart > 0.45, "without order the echo cannot be told apart: {cart} {web}");
}

#[test]
fn one_bad_stretch_of_the_past_hides_nothing_but_a_past_that_always_varies_does() {
    let dispersion = |past: &dyn Fn(u64) -> SpectraSlice| {
        let (baseline, window): (Vec<_>, Vec<_>) =
            ((0..18).map(past).collect(), (18..20).map(|at| shop(at, 20, 20)).collect());
        let (baseline, window) = (baseline.iter().collect::<Vec<_>>(), window.iter().collect::<Vec<_>>());
        let (baseline, window) = (Stretch::new(&baseline), Stretch::new(&window));
        let all = baseline.followed_by(&window);
        let split = all.split(|cell| cell >= baseline.cells.len(), &[8, 9]);
        let (steps, _) = risen(&Forms::new(&all, 1.0, &[Chain::Calls]), &split, &BTreeSet::new());
        let stops = |risen: &&Risen| &*risen.shift.step.service == "cart" && &*risen.shift.step.next.name == Event::END;
        steps.iter().find(stops).expect("it rose").dispersion
    };
    let one_bad = dispersion(&|at| if at / 2 == 3 { shop(at, 0, 40) } else { shop(at, 40, 0) });
    assert!((one_bad - 1.0).abs() < 1e-9, "{one_bad}");
    let always = dispersion(&|at| shop(at, 40 - at / 2 % 3 * 8, at / 2 % 3 * 8));
    assert!(always > 3.0, "{always}");
}
