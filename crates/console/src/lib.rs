//! backtrail-console
