//! Questions to a stub endpoint over real TCP: good answers, hostile ones, a hostile network, and what may not leave.

mod fixture;
mod good;
mod hostile;
mod network;
mod privacy;
mod stub;
mod tls;
