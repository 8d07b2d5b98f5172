//! The backplane: how events get from their writers to every pod that needs them, and how what was missed is found again.
//!
//! [`port`] has the traits, [`subject`] the names that events travel under.

pub mod port;
pub mod registry;
pub mod subject;

pub use port::{Ack, Backplane, Delivery, Listener, ReadError, Stored, StreamState, Unavailable, UserEvent};
pub use registry::{PodName, Registry};
pub use subject::{Ephemeral, Layout, Partition, Stream, Subject};
