//! What the tests of several crates share: stand-ins for the real thing, a client's decoders, and how to wait.
//!
//! It lies low, so that a service's tests do not build the whole system as they would with `testkit`.

mod away;
mod disk;
mod fixture;
mod flaky;
mod speech;
mod until;

pub use away::Away;
pub use disk::Disk;
pub use fixture::fixture;
pub use flaky::Flaky;
pub use speech::{Reader, Speech, Transport};
pub use until::until;
