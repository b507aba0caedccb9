//! Where telemetry enters backtrail: one module a component, named as its key in `pipeline.yaml`.

use backtrail_pipeline::node::{Kind, Receiver, receiver};

mod decode;
#[cfg(test)]
mod fake;
mod inflate;
mod latest;
pub mod otlp;
pub mod replay;

/// All receivers, in alphabetical order.
pub const RECEIVERS: &[Kind<dyn Receiver>] = &[receiver::<otlp::Config>(), receiver::<replay::Config>()];
