//! Counting requests: per user over all routes and all pods ([`global`]), per user and route and per address in this
//! process ([`windows`]).

pub(crate) mod address;
mod gate;
mod global;
mod sliced;
mod turns;
mod windows;

pub(crate) use gate::{Gate, Subject};
pub use global::{Count, GlobalLimit, LocalLimit};
pub use sliced::SlicedLimit;
