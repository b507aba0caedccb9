//! Plain data that flows through backtrail: spans, traces, logs, edges, spectra, log motifs, incidents, suspects, verdicts, patch
//! requests, changes, alerts, owners, with time and identifiers. No I/O and no component logic; everything else depends on this crate.

pub mod ack;
pub mod alert;
pub mod change;
pub mod columns;
pub mod data;
pub mod edges;
pub mod feedback;
pub mod histogram;
pub mod ids;
pub mod incident;
pub mod lead;
pub mod log;
pub mod log_motifs;
pub mod metrics;
pub mod moment;
pub mod ownership;
pub mod patch_request;
pub mod paths;
pub mod signal;
pub mod span;
pub mod spectra;
pub mod symbols;
pub mod time;
pub mod trace;
pub mod verdict;

pub use ack::{Ack, Outcome};
pub use data::{Batch, Data};
pub use ids::{SpanId, TraceId};
pub use signal::{Signal, Signals};
pub use symbols::{Symbol, SymbolKind, Symbols};
pub use time::{Slice, SliceGrid, Tick, UnixNano};
