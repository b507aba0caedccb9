//! backtrail-spool
