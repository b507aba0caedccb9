//! backtrail-processors
