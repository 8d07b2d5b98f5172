//! Tasks with an owner who sees them end.
//!
//! A task that dies is silent: its work is just not done any more. A watermark that stands still, or a view of
//! permissions that is not fed, shows hours later and elsewhere. So a service starts every task through its [`Tasks`]:
//!
//! - *Seen.* A task that must not end is spawned by a name. The first that ends by itself, by returning or by a panic, is
//!   what [`Tasks::ended`] answers with; whoever started the service waits for that and ends the process.
//! - *Ended, in two steps.* First the service stops: its tasks finish what is under way and return. What has not returned
//!   after a grace is killed: dropped where it waits. Dropping [`Tasks`] kills, so nothing outlives its service. Tasks
//!   that end at different times belong to different [`Tasks`].
//!
//! A shard of the gateway is a thread with a runtime of its own and thousands of tasks. [`Spawner::run_thread`] watches
//! the thread, and [`LocalTasks`] watches its tasks, at no cost in memory.

mod ended;
pub mod fail_point;
mod local;
mod owner;
mod watch;

pub use ended::{Ended, How};
pub use local::LocalTasks;
pub use owner::{Spawner, Tasks};
