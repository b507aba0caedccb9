//! backtrail-wire
