//! The backplane: how events get from their writers to every pod that needs them, and how what was missed is found again.
//!
//! [`port`] has the traits, [`subject`] the names that events travel under.

pub mod chain;
pub mod fence;
pub mod follow;
pub mod in_process;
pub mod port;
pub mod position;
pub mod registry;
pub mod subject;

pub use chain::LostCause;
pub use follow::{FollowCounts, FollowStats, FollowStatus, Followed, FollowedEvent, Follower};
pub use in_process::{InMemoryRegistry, InProcess, Options};
pub use port::{Ack, Backplane, Delivery, Listener, ReadError, Stored, StreamState, Unavailable, UserEvent};
pub use position::{Position, PositionError};
pub use registry::{PodName, Registry};
pub use subject::{Ephemeral, Layout, Partition, Stream, Subject};
