//! How many pieces of a product can be sold.

pub mod config;
pub mod levels;
pub mod warehouse;
pub mod web;
