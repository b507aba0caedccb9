//! The one place that reads a clock: limits of processes are about real time, which no batch or tick carries.

use std::time::Instant;

/// Now, on a clock that never goes back.
#[expect(clippy::disallowed_methods, reason = "wall-clock limits of foreign processes need the machine's own clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}
