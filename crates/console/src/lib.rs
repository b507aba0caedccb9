//! The admin listener: health, metrics and status of a running graph over plain HTTP, and what is told to it.
//!
//! | path | answer |
//! |---|---|
//! | `/livez` | 200 while the process answers |
//! | `/readyz` | 200 while the graph takes data; 503 while it starts or drains |
//! | `/metrics` | Prometheus text |
//! | `/status` | JSON: state, addresses and one row a node; `?pipeline=NAME` leaves the nodes of one pipeline |
//! | `POST /v1/changes` | takes changes (JSON or YAML): 200 with what was taken, 400 with the reason |
//! | `POST /v1/alerts` | takes alerts: the webhook of Alertmanager (version 4) |
//! | `POST /v1/feedback` | takes `{"verdict_id": "...", "culprit": "cart"}` or `{"verdict_id": "...", "wrong": true}` |
//! | `POST /v1/investigate` | takes `{"endpoint": "frontend GET /cart", "last": "15m"}`; answers the verdict on it |

mod feedback;
mod investigate;
mod listener;
pub mod metrics;
mod posts;
pub mod view;

pub use listener::{Listener, ListenerError};
pub use view::{Source, View};
