//! backtrail-exporters
