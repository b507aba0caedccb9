//! backtrail-localize
