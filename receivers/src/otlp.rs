//! `otlp`: an OTLP server for traces, logs and metrics over gRPC and HTTP, protobuf and JSON.
//!
//! ```yaml
//! receivers:
//!   otlp:
//!     protocols:
//!       grpc: { endpoint: 127.0.0.1:4317, max_recv_msg_size: 64MiB }
//!       http: { endpoint: 127.0.0.1:4318 }
//! ```
//!
//! Both protocols are thin layers over hyper. A generated gRPC server would decode each span into a tree of structs
//! (9 times the cost of the walk) and would read a whole body before anybody could ask the byte budget for it; here the
//! budget is asked with the length that the client announces, and the received bytes are what flows.
//!
//! Reading order: [`config`] (options), `listen` (ports and connections), `grpc` and `http` (the protocols), `body`
//! (collecting bytes within the limits), `intake` (walk, deliver, count), `status` (what a refusal looks like).

mod body;
pub mod config;
mod cors;
mod grpc;
mod http;
mod intake;
mod listen;
mod reply;
mod status;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use backtrail_model::signal::{Signal, Signals};
use backtrail_pipeline::context::{Outlet, Stop};
use backtrail_pipeline::{Component, Context, Finding, NodeError, Receiver, Scope};

pub use self::config::Config;
use self::intake::Intake;
use self::listen::{Port, Protocol};

/// What OTLP carries that backtrail takes; profiles are not among them.
const SIGNALS: Signals = Signals::of(&[Signal::Spans, Signal::Logs, Signal::Metrics]);

impl Component for Config {
    const NAME: &'static str = "otlp";
    const SUMMARY: &'static str = "Receives traces, logs and metrics over OTLP/gRPC and OTLP/HTTP (protobuf and JSON).";
    const SCOPE: Scope = Scope::Stateless;
    type Node = dyn Receiver;

    fn accepts(&self) -> Signals {
        Signals::NONE
    }

    fn emits(&self) -> Signals {
        SIGNALS
    }

    fn check(&self) -> Vec<Finding> {
        self.findings()
    }

    fn build(&self, cx: &Context) -> Result<Box<dyn Receiver>, NodeError> {
        Ok(Box::new(Otlp { config: self.clone(), cx: cx.clone(), ports: Vec::new() }))
    }
}

struct Otlp {
    config: Config,
    cx: Context,
    ports: Vec<Port>,
}

#[async_trait]
impl Receiver for Otlp {
    async fn bind(&mut self) -> Result<(), NodeError> {
        let wanted = [
            (Protocol::Grpc, self.config.protocols.grpc.as_ref().map(|grpc| &grpc.endpoint)),
            (Protocol::Http, self.config.protocols.http.as_ref().map(|http| &http.endpoint)),
        ];
        for (protocol, endpoint) in wanted {
            let Some(endpoint) = endpoint else { continue };
            self.ports.push(Port::bind(protocol, endpoint, &self.cx).await?);
        }
        Ok(())
    }

    async fn run(mut self: Box<Self>, out: Outlet, stop: Stop) -> Result<(), NodeError> {
        let ports = std::mem::take(&mut self.ports);
        // Built here and not in `build`: only now has every node asked for its attributes.
        let intake = Arc::new(Intake::new(self.config, self.cx, out));
        listen::serve(ports, intake, stop).await
    }
}
