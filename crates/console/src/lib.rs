//! The admin listener: health, metrics and status of a running graph over plain HTTP.
//!
//! | path | answer |
//! |---|---|
//! | `/livez` | 200 while the process answers |
//! | `/readyz` | 200 while the graph takes data; 503 while it starts or drains |
//! | `/metrics` | Prometheus text |
//! | `/status` | JSON: state, addresses and one row a node; `?pipeline=NAME` leaves the nodes of one pipeline |

mod listener;
pub mod metrics;
pub mod view;

pub use listener::{Listener, ListenerError};
pub use view::{Source, View};
