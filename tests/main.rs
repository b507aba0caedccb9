//! Black-box tests: they start the built binary, speak OTLP to it, kill it, and read back what it wrote.

mod abuse;
mod capsules;
mod cli;
mod consumer;
mod demo;
mod detect;
mod determinism;
mod discovery;
mod investigate;
mod null;
mod ownership;
mod restart;
mod scenarios;
mod sdk;
mod shutdown;
mod support;
mod tables;
mod tidy;
