//! The greatest of many scores, without sorting all of them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::stats::settle;

/// Keeps the places of the greatest scores above 0 of those that it is offered in order of place. Equal scores keep
/// their order, so the earlier ones stay.
///
/// n scores, of which k are kept, cost n comparisons and O(k log k ln(n/k)) more in any order but an ascending one;
/// sorting them costs n log n.
pub(crate) struct Best {
    most: usize,
    /// The least on top: the [`settle`]d score (as bits: above 0 they are in the order of the numbers) and the place.
    kept: BinaryHeap<Reverse<(u64, Reverse<usize>)>>,
    /// No score up to this one gets in any more.
    least: f64,
}

impl Best {
    /// Keeps `most`.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, kept: BinaryHeap::new(), least: if most == 0 { f64::INFINITY } else { 0.0 } }
    }

    /// Offers the score at a place, which is later than all before it.
    #[inline]
    pub(crate) fn offer(&mut self, at: usize, score: f64) {
        // Rounding is a call into libm on many machines, and most scores need none: `least` is a rounded score, and what
        // rounds to more than it is itself more.
        if score > self.least {
            self.take(at, settle(score));
        }
    }

    fn take(&mut self, at: usize, score: f64) {
        if score <= self.least {
            return;
        }
        self.kept.push(Reverse((score.to_bits(), Reverse(at))));
        if self.kept.len() > self.most {
            self.kept.pop();
        }
        if let Some(Reverse((least, _))) = self.kept.peek().filter(|_| self.kept.len() == self.most) {
            self.least = f64::from_bits(*least);
        }
    }

    /// The places, best first.
    pub(crate) fn places(self) -> Vec<usize> {
        self.kept.into_sorted_vec().into_iter().map(|Reverse((_, Reverse(at)))| at).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_best_are_those_that_a_stable_sort_puts_first(
            scores in proptest::collection::vec(prop_oneof![Just(0.0), 0.0..1.0_f64, (0..5_u8).prop_map(|n| f64::from(n) / 4.0)], 0..200),
            most in 0..20_usize,
        ) {
            let mut best = Best::new(most);
            scores.iter().enumerate().for_each(|(at, &score)| best.offer(at, score));
            let settled: Vec<f64> = scores.iter().map(|&score| settle(score)).collect();
            let mut sorted: Vec<usize> = (0..scores.len()).filter(|&at| settled[at] > 0.0).collect();
            sorted.sort_by(|&a, &b| settled[b].total_cmp(&settled[a]));
            sorted.truncate(most);
            prop_assert_eq!(best.places(), sorted);
        }
    }
}
