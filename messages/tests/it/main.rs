//! The message service through its contract, on the embedded store and the in-process backplane.

#![expect(clippy::unwrap_used, reason = "a test may fail at any line")]

mod changes;
mod doubt;
mod late;
mod order;
mod outcomes;
mod owner;
mod permissions;
mod private;
mod reading;
mod recovery;
mod rig;
mod sending;
mod store;
mod world;
