//! The message service through its contract, on the embedded store and the in-process backplane.

mod changes;
mod flaky;
mod order;
mod permissions;
mod recovery;
mod rig;
mod sending;
mod store;
mod world;
