//! Places where the tests kill the process.
//!
//! A build with the feature `crash-points` (only the tests have it) counts the points that it passes and, at the one
//! whose number stands in `BACKTRAIL_CRASH_AT`, ends as `kill -9` would. In any other build a point is nothing.

/// A place where a kill must do no harm.
#[cfg(not(feature = "crash-points"))]
#[inline]
pub const fn point() {}

/// A place where a kill must do no harm.
#[cfg(feature = "crash-points")]
pub fn point() {
    use std::sync::atomic::{AtomicU64, Ordering};

    static PASSED: AtomicU64 = AtomicU64::new(0);
    let Some(at) = std::env::var("BACKTRAIL_CRASH_AT").ok().and_then(|at| at.parse::<u64>().ok()) else { return };
    if PASSED.fetch_add(1, Ordering::SeqCst) + 1 == at {
        // SIGKILL and not `abort`: no handler, no destructor, no buffer is flushed.
        let killed = std::process::Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
        unreachable!("kill -9 on the own process returned {killed:?}");
    }
}
