//! Every limit of the system, by name. A limit that an operator can change has its default here.
//!
//! Names carry their unit last. The windows in time fit together; [`windows_fit`] says how, and is checked at start.

mod admission;
mod calls;
mod cassandra;
mod directory;
mod encoding;
mod gateway;
mod nats;
mod objects;
mod presence;
mod process;
mod queues;
mod redis;
mod requests;
mod slots;
mod storage;
mod takings;
mod windows;

pub use admission::*;
pub use calls::*;
pub use cassandra::*;
pub use directory::*;
pub use encoding::*;
pub use gateway::*;
pub use nats::*;
pub use objects::*;
pub use presence::*;
pub use process::*;
pub use queues::*;
pub use redis::*;
pub use requests::*;
pub use slots::*;
pub use storage::*;
pub use takings::*;
pub use windows::*;
