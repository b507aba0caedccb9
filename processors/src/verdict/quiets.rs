//! What quiet times look like, remembered from one revision of an incident to the next.
//!
//! It follows from the baseline, a length and the options alone, so a verdict is the same with and without the memory:
//! what is remembered counts only as long as the baseline consists of the very same slices.

use std::collections::BTreeMap;
use std::sync::Arc;

use backtrail_localize::{Options, Quiet};

use super::ring::Parts;

/// The memory of one incident.
#[derive(Default)]
pub(super) struct Quiets {
    baseline: Parts,
    options: Option<Options>,
    by_length: BTreeMap<usize, Arc<Quiet>>,
}

impl Quiets {
    /// What stretches of so many slices of the baseline look like.
    pub(super) fn of(&mut self, baseline: &Parts, length: usize, options: &Options) -> Arc<Quiet> {
        if self.options.as_ref() != Some(options) || !self.baseline.is(baseline) {
            *self = Self { baseline: baseline.clone(), options: Some(options.clone()), by_length: BTreeMap::new() };
        }
        let judged = || Arc::new(Quiet::new(&baseline.slices(), length, options));
        Arc::clone(self.by_length.entry(length).or_insert_with(judged))
    }
}

#[cfg(test)]
mod tests {
    use backtrail_model::spectra::SpectraSlice;
    use backtrail_model::time::Slice;

    use super::*;

    #[test]
    fn what_is_remembered_counts_for_the_same_slices_and_options_only() {
        let slices = |n: u64| (0..n).map(|at| Arc::new(SpectraSlice::new(Slice(at)))).collect();
        let baseline = Parts { spectra: slices(20), ..Parts::default() };
        let (mut quiets, options) = (Quiets::default(), Options::default());
        let first = quiets.of(&baseline, 4, &options);
        assert!(Arc::ptr_eq(&first, &quiets.of(&baseline.clone(), 4, &options)));
        assert!(!Arc::ptr_eq(&first, &quiets.of(&baseline, 6, &options)));
        assert!(Arc::ptr_eq(&first, &quiets.of(&baseline, 4, &options)), "lengths stand beside each other");
        let late = Parts { spectra: slices(20), ..Parts::default() };
        assert_eq!(late, baseline);
        let other = quiets.of(&late, 4, &options);
        assert!(!Arc::ptr_eq(&first, &other), "equal slices are compared by nobody");
        let sampled = Options { sampled_share: 0.5, ..options };
        assert!(!Arc::ptr_eq(&other, &quiets.of(&late, 4, &sampled)));
    }
}
