//! backtrail-pipeline
