//! Collects spans until their trace is complete, and sends whole traces on.
//!
//! A trace is decided `decision_wait` after its first span arrived (or `decision_wait_after_root_received` after its
//! root), in the order of first arrival. Nothing is lost when a limit is reached: the oldest traces are decided early
//! then (noted as `decided_early_*`). Spans that come after the decision travel as a fragment of their own, marked as
//! late. Spans that are the same in id, start and duration are one span (`duplicate_span`).
//!
//! Spans are copied into slabs that are given back when the trace is decided, so their batch is acknowledged here: with
//! `wait_for: memory` a sender hears "delivered" after the copy. The limits hold for all shards together.
//!
//! Log records pass at once. Of those that name their trace, time, span, service, statement and severity are kept and
//! travel with the trace; no trace waits for them. Records whose trace was decided before them (`late_logs`), or of
//! which no span came (`logs_without_spans`), are in no trace.
//!
//! A few traces of each entry operation and slice are kept a little longer (`evidence`): when an incident opens, copies
//! of them are sent, so that `tail_sampling`'s policy `suspect` can keep what happened before anybody looked.
//!
//! ```yaml
//! processors:
//!   trace_assembly:
//!     decision_wait: 10s
//!     decision_wait_after_root_received: 3s
//!     num_traces: 200000
//!     max_bytes: 2GiB
//!     max_logs_per_trace: 2000
//!     evidence: { per_operation: 5, max_bytes: 16MiB, keep_for: 2m }
//! ```

mod arena;
mod assembly;
mod building;
mod config;
mod evidence;
mod logs;
mod origins;
mod pending;
mod store;
#[cfg(test)]
mod tests;

pub use config::{Config, Evidence};
