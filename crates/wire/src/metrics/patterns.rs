//! Metrics that nobody standardised and everybody names alike: pools, queues, errors.

use backtrail_model::metrics::Measure;

/// What a name says by the words in it. `base` is the name without the suffixes of unit and kind.
///
/// * errors: `*_errors_total`, `*_failures_total`;
/// * queues: the word `queue` with size, depth or length; capacity or max is the limit; `consumer` with `lag`;
/// * pools: the word `pool` with active, used, busy or in use; max, limit or capacity; pending or waiting.
///
/// Names and units that say time, bytes or shares are none of the last two.
pub(super) fn find(name: &str, base: &str, unit: &str) -> Option<Measure> {
    let name = name.to_ascii_lowercase();
    if ["errors_total", "error_total", "failures_total", "failed_total"].iter().any(|end| name.ends_with(end)) {
        return Some(Measure::ErrorRate);
    }
    let base = base.to_ascii_lowercase();
    let words: Vec<&str> = base.split(['.', '_', '-']).collect();
    let any = |list: &[&str]| words.iter().any(|word| list.contains(word));
    // What the name counts is neither waiting nor in use.
    let other = ["time", "duration", "latency", "age", "rate", "created", "timeout", "timeouts", "min", "idle", "free"];
    let counted = ["_seconds", "_ms", "_milliseconds", "_bytes", "_total"].iter().any(|end| name.ends_with(end));
    let measured = matches!(unit, "s" | "ms" | "us" | "ns" | "%") || unit.ends_with("By");
    if any(&other) || counted || measured {
        return None;
    }
    if any(&["queue", "queues"]) {
        return if any(&["capacity", "max", "limit"]) {
            Some(Measure::QueueLimit)
        } else if any(&["size", "depth", "length", "pending", "messages"]) {
            Some(Measure::QueueDepth)
        } else {
            None
        };
    }
    if any(&["consumer", "consumergroup"]) && any(&["lag"]) {
        return Some(Measure::QueueDepth);
    }
    if !any(&["pool"]) {
        return None;
    }
    if any(&["max", "limit", "capacity"]) {
        Some(Measure::PoolLimit)
    } else if any(&["pending", "waiting", "waiters", "queued"]) {
        Some(Measure::PoolPending)
    } else if any(&["active", "used", "busy", "usage", "use", "acquired"]) {
        Some(Measure::PoolUsage)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pools_queues_and_errors_are_known_by_their_words() {
        for (name, expected) in [
            ("worker_pool_active", Some(Measure::PoolUsage)),
            ("redis.pool.in_use", Some(Measure::PoolUsage)),
            ("thread_pool_max_threads", Some(Measure::PoolLimit)),
            ("pgx_pool_waiting_requests", Some(Measure::PoolPending)),
            ("pool_wait_time", None),
            ("pool_idle", None),
            ("memory_pool_used_bytes", None),
            ("request_queue_depth", Some(Measure::QueueDepth)),
            ("otelcol_exporter_queue_size", Some(Measure::QueueDepth)),
            ("otelcol_exporter_queue_capacity", Some(Measure::QueueLimit)),
            ("queue_oldest_message_age", None),
            ("orders.consumer.lag", Some(Measure::QueueDepth)),
            ("db_missing_table_errors_total", Some(Measure::ErrorRate)),
            ("carpool.used", None),
        ] {
            assert_eq!(find(name, name, "1"), expected, "{name}");
        }
        assert_eq!(find("jvm.memory.pool.used", "jvm.memory.pool.used", "By"), None);
    }
}
