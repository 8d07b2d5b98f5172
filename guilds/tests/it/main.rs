//! The directory on the real embedded store and the in-process backplane.

#![expect(clippy::unwrap_used, reason = "tests")]

mod accounts;
mod channels;
mod crash;
mod guilds;
mod invites;
mod limits;
mod members;
mod private;
mod resumed;
mod rig;
mod roles;
mod seed;
mod sync;
