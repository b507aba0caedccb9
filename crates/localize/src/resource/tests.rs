use backtrail_model::metrics::{Scrape, SeriesKey};
use backtrail_model::{Slice, UnixNano};
use proptest::prelude::*;

use super::*;

fn key(service: &str, node: &str, measure: Measure, name: &str) -> SeriesKey {
    SeriesKey {
        service: service.into(),
        instance: format!("{service}-1").into(),
        node: node.into(),
        part: "".into(),
        measure,
        name: name.into(),
    }
}

/// Quiet and sick scrapes of series, in slices of four scrapes.
#[derive(Default)]
struct Case {
    quiet: BTreeMap<u64, MetricSlice>,
    window: BTreeMap<u64, MetricSlice>,
}

impl Case {
    fn with(mut self, key: &SeriesKey, quiet: &[f64], window: &[f64]) -> Self {
        for (stretch, values, first) in [(&mut self.quiet, quiet, 0), (&mut self.window, window, 1000)] {
            for (time, &value) in (first..).zip(values) {
                let slice = stretch.entry(time / 4).or_insert_with(|| MetricSlice::new(Slice(time / 4)));
                slice.add(key.clone(), Scrape::new(UnixNano(time), value));
            }
        }
        self
    }

    fn judge(&self) -> Resource {
        resource(&self.quiet.values().collect::<Vec<_>>(), &self.window.values().collect::<Vec<_>>())
    }
}

const QUIET: [f64; 10] = [0.10, 0.11, 0.09, 0.10, 0.12, 0.10, 0.08, 0.11, 0.10, 0.09];

fn cpu(service: &str) -> SeriesKey {
    key(service, "n1", Measure::CpuUsage, "k8s.pod.cpu.usage")
}

#[test]
fn one_scrape_alone_is_not_believed() {
    let spike = Case::default().with(&cpu("a"), &QUIET, &[0.1, 5.0, 0.11]).judge();
    assert!(!spike.findings[0].sick && spike.scores.is_empty());
    let lone = Case::default().with(&cpu("a"), &QUIET, &[5.0]).judge();
    assert!(lone.scores.is_empty() && lone.tail["a"] > 0.9, "{lone:?}");
}

#[test]
fn one_scrape_of_a_service_that_is_slow_by_its_traces_does_not_stand_alone() {
    let judged = |window: &[f64], slow: &str| {
        let case = Case::default().with(&cpu("a"), &QUIET, window);
        let (quiet, window): (Vec<_>, Vec<_>) = (case.quiet.values().collect(), case.window.values().collect());
        resource_of(&quiet, &window, &BTreeSet::from([Arc::from(slow)]))
    };
    assert!(judged(&[5.0], "a").scores["a"] > 0.9);
    assert!(judged(&[5.0], "b").scores.is_empty());
    assert!(judged(&[0.1, 5.0, 0.11], "a").scores.is_empty(), "of several, one is still a spike");
}

#[test]
fn what_quiet_times_knew_is_not_sick() {
    let mut quiet = QUIET;
    (quiet[3], quiet[7]) = (0.9, 0.8);
    let known = Case::default().with(&cpu("a"), &quiet, &[0.7, 0.75, 0.72]).judge();
    assert!(known.findings[0].z > 10.0 && !known.findings[0].sick);
    // Of few quiet scrapes even one is enough.
    let few = Case::default().with(&cpu("a"), &quiet[..8], &[0.85, 0.86, 0.85]).judge();
    assert!(!few.findings[0].sick);
    assert!(Case::default().with(&cpu("a"), &quiet, &[0.85, 0.86, 0.85]).judge().findings[0].sick);
}

#[test]
fn a_steady_series_has_a_floor_and_a_short_past_is_not_judged() {
    let steady = Case::default().with(&cpu("a"), &[1.0; 6], &[1.03, 1.03]).judge();
    assert!((steady.findings[0].z - 1.5).abs() < 1e-9);
    assert!(Case::default().with(&cpu("a"), &[1.0; 3], &[9.0, 9.0]).judge().findings.is_empty());
}

#[test]
fn the_limit_decides_how_much_of_the_share_counts() {
    let limit = key("a", "n1", Measure::CpuUtilization, "k8s.pod.cpu_limit_utilization");
    let case = |share: f64| {
        let case = Case::default().with(&cpu("a"), &QUIET, &[0.9, 0.9, 0.9]);
        case.with(&limit, &[0.1; 6], &[share; 3]).judge()
    };
    let (full, empty) = (case(1.0), case(0.2));
    assert!((full.scores["a"] * 0.2 - empty.scores["a"]).abs() < 1e-9);
    // The share is the same processor again: it is no series of its own.
    assert_eq!((full.findings.len(), full.findings[0].gate), (1, universal_threshold(1)));
    let alone = Case::default().with(&limit, &[0.1; 6], &[0.8; 3]).judge();
    assert_eq!((alone.findings[0].measure, alone.findings[0].factor), (Measure::CpuUtilization, 0.8));
}

#[test]
fn a_service_without_a_limit_among_limited_ones_is_discounted() {
    let limit = key("b", "n1", Measure::CpuUtilization, "k8s.pod.cpu_limit_utilization");
    let case = Case::default().with(&cpu("a"), &QUIET, &[0.4; 3]).with(&limit, &[0.1; 6], &[0.1; 3]);
    let found = case.judge().findings.remove(0);
    assert_eq!((found.utilisation, found.factor), (None, 0.5 * (1.0 - 0.1 / 0.4)));
}

#[test]
fn memory_counts_by_usage_over_limit() {
    let usage = key("a", "n1", Measure::MemoryUsage, "container.memory.usage");
    let limit = key("a", "n1", Measure::MemoryLimit, "k8s.container.memory.limit");
    let case = Case::default().with(&usage, &[100.0, 101.0, 99.0, 100.0], &[900.0, 950.0]);
    let found = case.with(&limit, &[1000.0; 4], &[1000.0; 2]).judge();
    assert_eq!(found.findings[0].utilisation, Some(0.9));
    assert!(found.scores["a"] > 0.8, "{:?}", found.scores);
}

#[test]
fn a_queue_for_a_full_pool_counts_and_one_without_a_limit_at_most_by_half() {
    let pending = key("a", "", Measure::PoolPending, "db.client.connection.pending_requests");
    let usage = key("a", "", Measure::PoolUsage, "db.client.connection.count");
    let limit = key("a", "", Measure::PoolLimit, "db.client.connection.max");
    let waiting = Case::default().with(&pending, &[0.0; 6], &[40.0, 50.0]);
    let alone = waiting.judge();
    assert!(alone.scores["a"] <= 0.5 && alone.findings[0].utilisation.is_none());
    let waiting = Case::default().with(&pending, &[0.0; 6], &[40.0, 50.0]).with(&usage, &[2.0; 6], &[10.0, 10.0]);
    let full = waiting.with(&limit, &[10.0; 6], &[10.0; 2]).judge();
    assert!((full.scores["a"] - 1.0).abs() < 1e-9, "{:?}", full.scores);
    // One more than none is no sign: counts have a step.
    let one = Case::default().with(&pending, &[0.0; 6], &[1.0, 1.0]).judge();
    assert!((one.findings[0].z - 1.0).abs() < 1e-12 && !one.findings[0].sick);
}

#[test]
fn measures_do_not_add_up_and_the_greatest_counts() {
    let memory = |service| key(service, "n1", Measure::MemoryUsage, "k8s.pod.memory.usage");
    let case = Case::default().with(&cpu("a"), &QUIET, &[0.9; 3]);
    let alone = case.judge().scores["a"];
    // A gigabyte more elsewhere takes nothing from the share of a core here.
    let both = Case::default()
        .with(&cpu("a"), &QUIET, &[0.9; 3])
        .with(&memory("b"), &[1e9, 1.1e9, 0.9e9, 1e9], &[3e9, 3e9])
        .judge();
    assert!((both.scores["a"] - alone).abs() < 1e-12 && both.scores["b"] > 0.0);
}

#[test]
fn a_resource_that_several_metrics_report_is_judged_once() {
    let case = Case::default().with(&cpu("a"), &QUIET, &[0.9; 3]);
    let process = key("a", "n1", Measure::CpuUsage, "process.cpu.time");
    let found = case.with(&process, &QUIET.map(|value| value / 2.0), &[0.45; 3]).judge();
    let names: Vec<&str> = found.findings.iter().map(|finding| &*finding.name).collect();
    assert_eq!(names, ["k8s.pod.cpu.usage"]);
}

#[test]
fn sick_neighbours_on_a_node_are_named_and_blamed_for_their_own_gain() {
    let other = key("c", "n2", Measure::CpuUsage, "k8s.pod.cpu.usage");
    let case = Case::default().with(&cpu("a"), &QUIET, &[2.0; 3]).with(&cpu("b"), &QUIET, &[0.4; 3]);
    let found = case.with(&other, &QUIET, &[0.5; 3]).judge();
    let shared: Vec<_> = found.findings.iter().map(|finding| finding.shared_node.join(",")).collect();
    assert_eq!(shared, ["b", "a", ""]);
    assert!(found.scores["a"] > 2.0 * found.scores["b"], "{:?}", found.scores);
    assert!(says(&found.findings[1]).ends_with("; a runs short of CPU on the same node n1"));
}

#[test]
fn nothing_says_nothing() {
    assert_eq!(resource(&[], &[]), Resource::default());
    assert_eq!(Case::default().with(&cpu("a"), &QUIET, &[]).judge(), Resource::default());
}

proptest! {
    #[test]
    fn order_and_partition_of_the_slices_change_nothing(
        values in prop::collection::vec(0.0..2.0_f64, 24),
        turn in 0..5_usize,
    ) {
        let case = Case::default()
            .with(&cpu("a"), &values[..8], &values[8..12])
            .with(&cpu("b"), &values[12..20], &values[20..]);
        let (mut quiet, window): (Vec<_>, Vec<_>) = (case.quiet.values().collect(), case.window.values().collect());
        quiet.rotate_left(turn % 2);
        // A part that repeats what another has is the same part.
        quiet.push(case.quiet.values().next().expect("a slice"));
        prop_assert_eq!(resource(&quiet, &window), case.judge());
    }

    #[test]
    fn scores_lie_between_0_and_1_and_names_are_only_names(values in prop::collection::vec(0.0..2.0_f64, 24)) {
        let judge = |a: &str, b: &str| {
            let case = Case::default().with(&cpu(a), &values[..8], &values[8..12]);
            case.with(&cpu(b), &values[12..20], &values[20..]).judge()
        };
        let (left, right) = (judge("a", "b"), judge("z", "b"));
        prop_assert!(left.scores.values().chain(left.tail.values()).all(|score| (0.0..=1.0).contains(score)));
        prop_assert_eq!(left.scores.get("a"), right.scores.get("z"));
        prop_assert_eq!(left.tail.get("b"), right.tail.get("b"));
    }
}
