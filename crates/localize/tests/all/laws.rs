//! Laws: order and partition of the input change nothing, names change only names, volume changes no spectrum.

use backtrail_localize::rank::{floor, sorted};
use backtrail_model::spectra::SpectraSlice;
use proptest::prelude::*;

use crate::shop::{Case, Fault, NAMES, judge, shards};

fn faults() -> impl Strategy<Value = Fault> {
    prop_oneof![Just(Fault::SlowDb), Just(Fault::NetworkToAds), Just(Fault::CartThrows), Just(Fault::DbGone)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn shards_in_any_order_change_nothing(fault in faults(), parts in 1..4_usize, seed in any::<u64>()) {
        let case = Case::new(&NAMES, fault);
        let (mut baseline, mut window) = (shards(&case.baseline, parts), shards(&case.window, parts));
        shuffle(&mut baseline, seed);
        shuffle(&mut window, seed.rotate_left(9));
        prop_assert_eq!(judge(&baseline, &window), case.judge());
    }

    #[test]
    fn another_name_is_only_another_name(fault in faults()) {
        // The order of the names is reversed, so nothing may come from sorting.
        let names = ["a-web", "z-cart", "m-db", "q-ads"];
        let (left, right) = (Case::new(&NAMES, fault).judge(), Case::new(&names, fault).judge());
        for (old, new) in NAMES.iter().zip(names) {
            prop_assert_eq!(left.services.get(*old), right.services.get(new));
        }
        prop_assert_eq!(&left.confidence, &right.confidence);
    }

    #[test]
    fn volume_changes_no_rank_of_the_spectrum(fault in faults(), factor in 2..50_u64) {
        let case = Case::new(&NAMES, fault);
        let scale = |slices: &[(SpectraSlice, _)]| -> Vec<SpectraSlice> {
            let mut slices: Vec<SpectraSlice> = slices.iter().map(|slice| slice.0.clone()).collect();
            slices.iter_mut().flat_map(|slice| slice.groups.values_mut()).for_each(|count| *count *= factor);
            slices
        };
        let plain = |slices: &[(SpectraSlice, _)]| slices.iter().map(|slice| slice.0.clone()).collect::<Vec<_>>();
        let ranks = |baseline: &[SpectraSlice], window: &[SpectraSlice]| {
            let scores = floor(&baseline.iter().collect::<Vec<_>>(), &window.iter().collect::<Vec<_>>(), 0.95);
            sorted(&scores).into_iter().map(|(service, _)| service).collect::<Vec<_>>()
        };
        let (once, often) = (ranks(&plain(&case.baseline), &plain(&case.window)), ranks(&scale(&case.baseline), &scale(&case.window)));
        prop_assert_eq!(once, often);
    }
}

/// More traffic of the same kind makes significant what was, and moves no service past another.
#[test]
fn twice_the_traffic_keeps_the_order_of_the_accused() {
    for fault in [Fault::SlowDb, Fault::NetworkToAds, Fault::CartThrows] {
        let case = Case::new(&NAMES, fault);
        let twice = |slices: &[_]| slices.iter().chain(slices).cloned().collect::<Vec<_>>();
        let (once, doubled) = (case.judge(), judge(&twice(&case.baseline), &twice(&case.window)));
        let accused = |judgement: &backtrail_localize::Judgement| {
            let list = judgement
                .suspects
                .iter()
                .filter(|suspect| suspect.entity.kind == "service" && suspect.score.total > 0.1);
            list.map(|suspect| suspect.entity.service.clone()).collect::<Vec<_>>()
        };
        assert_eq!(accused(&once), accused(&doubled));
    }
}

fn shuffle<T>(list: &mut [T], mut seed: u64) {
    for i in (1..list.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        list.swap(i, (seed >> 33) as usize % (i + 1));
    }
}
