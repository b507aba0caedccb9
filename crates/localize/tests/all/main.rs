//! The judge as a whole: behaviour on a small shop, merge laws, documents.
#![allow(clippy::unwrap_used, reason = "tests may stop")]

mod behaviour;
mod documents;
mod laws;
mod oracle;
mod shop;
