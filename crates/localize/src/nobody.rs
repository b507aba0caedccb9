//! Who is nobody: names that stand where telemetry names no service.
//!
//! What nobody named comes together under one such name, whoever it was. There it stays a part of the graph, because its
//! calls and failures explain those of others; but it is no suspect, because nobody can be asked to mend it.

/// A resource without `service.name`, as the receivers and the SDKs write it.
const UNKNOWN_SERVICE: &str = "unknown_service";
/// The other end of a call that names no peer.
const UNKNOWN_PEER: &str = "(unknown)";

/// Whether the name stands for no service that one could know.
pub(crate) fn is_nobody(service: &str) -> bool {
    matches!(service, "" | UNKNOWN_SERVICE | UNKNOWN_PEER)
}
