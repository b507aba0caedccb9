//! The walk, OTLP/JSON and re-export against opentelemetry-proto and prost, on generated and on broken input.

mod generate;
mod json;
mod logs;
mod oracle;
mod traces;
