//! When to try again: exponential backoff with full jitter, and a budget.

use std::time::Duration;

use rand::Rng;

/// How often and how late work is tried again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retry {
    /// Attempts before the work becomes a dead letter.
    pub budget: u32,
    /// The longest wait after the first failure.
    pub base: Duration,
    /// The longest wait ever.
    pub cap: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { budget: 8, base: Duration::from_secs(1), cap: Duration::from_mins(5) }
    }
}

impl Retry {
    /// The longest wait after `attempts` failures: `min(cap, base * 2^(attempts - 1))`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use backtrail_consumer::retry::Retry;
    /// let retry = Retry::default();
    /// assert_eq!(retry.longest(1), Duration::from_secs(1));
    /// assert_eq!(retry.longest(4), Duration::from_secs(8));
    /// assert_eq!(retry.longest(60), Duration::from_secs(300));
    /// ```
    pub fn longest(&self, attempts: u32) -> Duration {
        let factor = 1_u32.checked_shl(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }

    /// The wait after `attempts` failures: anything from nothing to [`Self::longest`], so that what failed together does
    /// not come back together. Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog 2015.
    pub fn wait(&self, attempts: u32, random: &mut impl Rng) -> Duration {
        random.random_range(Duration::ZERO..=self.longest(attempts))
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn waits_fill_the_whole_range_below_the_cap() {
        let retry = Retry { budget: 3, base: Duration::from_millis(100), cap: Duration::from_secs(1) };
        let mut random = rand::rngs::StdRng::seed_from_u64(7);
        let waits: Vec<Duration> = (0..2000).map(|_| retry.wait(9, &mut random)).collect();
        assert!(waits.iter().all(|wait| *wait <= retry.cap));
        let below = waits.iter().filter(|wait| **wait < retry.cap / 10).count();
        assert!((120..280).contains(&below), "a tenth lies in the first tenth: {below}");
    }
}
