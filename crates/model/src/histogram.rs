//! A log-linear histogram of `u64` values (nanoseconds) with integer counts: mergeable by addition, cheap to record.

use serde::{Deserialize, Serialize};

/// Buckets a power of two is cut into: a relative error of at most 1/32 (3 %).
const SUB: u32 = 5;
const SUB_COUNT: u64 = 1 << SUB;

/// Bucket of a value. Values below 32 have a bucket each; above, every power of two has 32 buckets of equal width.
pub fn bucket(value: u64) -> u16 {
    if value < SUB_COUNT {
        return value as u16;
    }
    let exponent = value.ilog2();
    let shift = exponent - SUB;
    (((exponent - SUB + 1) << SUB) as u64 + ((value >> shift) - SUB_COUNT)) as u16
}

/// Least value of a bucket.
pub fn lower_bound(bucket: u16) -> u64 {
    let bucket = u64::from(bucket);
    if bucket < SUB_COUNT {
        return bucket;
    }
    let (exponent, part) = (bucket >> SUB, bucket & (SUB_COUNT - 1));
    (SUB_COUNT + part) << (exponent - 1)
}

/// Counts by bucket, sparse: sorted pairs of (bucket, count).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Histogram {
    buckets: Vec<(u16, u64)>,
}

impl Histogram {
    /// An empty histogram.
    pub const fn new() -> Self {
        Self { buckets: Vec::new() }
    }

    /// Adds `count` observations of `value`.
    pub fn record(&mut self, value: u64, count: u64) {
        self.add(bucket(value), count);
    }

    /// Adds `count` observations to a bucket.
    pub fn add(&mut self, bucket: u16, count: u64) {
        match self.buckets.binary_search_by_key(&bucket, |&(b, _)| b) {
            Ok(at) => self.buckets[at].1 += count,
            Err(at) => self.buckets.insert(at, (bucket, count)),
        }
    }

    /// Adds another histogram to this one.
    pub fn merge(&mut self, other: &Self) {
        for &(bucket, count) in &other.buckets {
            self.add(bucket, count);
        }
    }

    /// The sum of some histograms.
    ///
    /// ```
    /// # use backtrail_model::histogram::Histogram;
    /// let of = |value| { let mut one = Histogram::new(); one.record(value, 2); one };
    /// let sum = Histogram::sum([&of(9), &of(3), &of(9)]);
    /// assert_eq!(sum.buckets(), [(3, 2), (9, 4)]);
    /// ```
    pub fn sum<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut buckets: Vec<(u16, u64)> = parts.into_iter().flat_map(|part| &part.buckets).copied().collect();
        buckets.sort_unstable_by_key(|&(bucket, _)| bucket);
        buckets.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            kept.1 += if same { next.1 } else { 0 };
            same
        });
        Self { buckets }
    }

    /// The pairs (bucket, count) in order.
    pub fn buckets(&self) -> &[(u16, u64)] {
        &self.buckets
    }

    /// How many observations there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|&(_, count)| count).sum()
    }

    /// How many observations lie in buckets above the given one.
    pub fn count_above(&self, bucket: u16) -> u64 {
        self.buckets.iter().rev().take_while(|&&(b, _)| b > bucket).map(|&(_, count)| count).sum()
    }

    /// The bucket that holds the `q`-quantile (0..=1), none when empty: the first whose cumulated count exceeds `q * n`.
    pub fn quantile_bucket(&self, q: f64) -> Option<u16> {
        let total = self.count();
        let rank = ((q * total as f64) as u64).min(total.saturating_sub(1));
        let mut seen = 0;
        for &(bucket, count) in &self.buckets {
            seen += count;
            if seen > rank {
                return Some(bucket);
            }
        }
        None
    }

    /// The `q`-quantile as the middle of its bucket; 0 when empty.
    pub fn quantile(&self, q: f64) -> u64 {
        self.quantile_bucket(q).map_or(0, |b| u64::midpoint(lower_bound(b), lower_bound(b + 1)))
    }
}

/// A histogram while it is recorded: one dense array over the powers of two that occurred so far, so that an observation
/// is one look-up. (A sorted sparse list, as [`Histogram`], cost the hot path a binary search and often a shift of the
/// list.)
#[derive(Clone, Debug, Default)]
pub struct OpenHistogram {
    /// Bucket of the first count: a multiple of 32.
    first: u16,
    counts: Vec<u32>,
    /// Counts that did not fit in 32 bits.
    carried: Vec<(u16, u64)>,
}

impl OpenHistogram {
    /// Adds `count` observations of `value`.
    #[inline]
    pub fn record(&mut self, value: u64, count: u64) {
        let bucket = bucket(value);
        // A bucket below `first` becomes a huge index.
        if let Some(sum) = self.counts.get_mut(usize::from(bucket.wrapping_sub(self.first)))
            && let Ok(count) = u32::try_from(count)
            && let Some(more) = sum.checked_add(count)
        {
            *sum = more;
            return;
        }
        self.record_first(bucket, count);
    }

    /// The first observation in a power of two, or one that does not fit.
    #[cold]
    fn record_first(&mut self, bucket: u16, count: u64) {
        const OCTAVE: u16 = SUB_COUNT as u16;
        let octave = bucket / OCTAVE * OCTAVE;
        if self.counts.is_empty() {
            self.first = octave;
        }
        if octave < self.first {
            let more = usize::from(self.first - octave);
            self.counts.splice(..0, std::iter::repeat_n(0, more));
            self.first = octave;
        }
        let end = usize::from(octave + OCTAVE - self.first);
        if self.counts.len() < end {
            self.counts.resize(end, 0);
        }
        let sum = &mut self.counts[usize::from(bucket - self.first)];
        match u32::try_from(u64::from(*sum) + count) {
            Ok(fits) => *sum = fits,
            Err(_) => self.carried.push((bucket, count)),
        }
    }

    /// What was recorded.
    pub fn close(&self) -> Histogram {
        let filled = self.counts.iter().zip(self.first..).filter(|&(&count, _)| count > 0);
        let mut closed = Histogram { buckets: filled.map(|(&count, bucket)| (bucket, u64::from(count))).collect() };
        for &(bucket, count) in &self.carried {
            closed.add(bucket, count);
        }
        closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_in_order_and_within_three_percent() {
        let mut last = 0;
        for exponent in 0..63 {
            for step in 0..64_u64 {
                let value = (1_u64 << exponent) + step * ((1_u64 << exponent) / 64);
                let b = bucket(value);
                assert!(b >= last || value < 64, "{value}");
                last = last.max(b);
                assert!(lower_bound(b) <= value && value < lower_bound(b + 1), "{value} {b}");
                assert!((value - lower_bound(b)) as f64 <= value as f64 / 32.0);
            }
        }
        assert!(bucket(u64::MAX) < 2000);
    }

    #[test]
    fn an_open_histogram_closes_to_what_a_sparse_one_records() {
        let (mut open, mut sparse) = (OpenHistogram::default(), Histogram::new());
        for step in 0..200_u64 {
            let value = if step % 7 == 0 { u64::MAX - step } else { step * step * step * 1_000_003 };
            open.record(value, step % 3);
            if step % 3 > 0 {
                sparse.record(value, step % 3);
            }
        }
        for count in [u64::from(u32::MAX), 1, u64::MAX >> 8, 5] {
            open.record(77, count);
            sparse.record(77, count);
        }
        assert_eq!(open.close(), sparse);
        assert_eq!(OpenHistogram::default().close(), Histogram::new());
    }

    #[test]
    fn quantiles_and_merging_agree_with_the_sorted_values() {
        let (mut a, mut b) = (Histogram::new(), Histogram::new());
        for value in 1..=1000_u64 {
            if value % 2 == 0 { &mut a } else { &mut b }.record(value * 1000, 1);
        }
        a.merge(&b);
        assert_eq!(a.count(), 1000);
        let median = a.quantile(0.5) as f64;
        assert!((median / 500_500.0 - 1.0).abs() < 0.03, "{median}");
        assert_eq!(a.count_above(a.quantile_bucket(1.0).expect("not empty")), 0);
        assert_eq!(Histogram::new().quantile(0.5), 0);
    }
}
