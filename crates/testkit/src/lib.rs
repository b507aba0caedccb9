//! backtrail-testkit
