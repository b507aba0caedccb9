//! backtrail-receivers
