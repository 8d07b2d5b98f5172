//! The vocabulary of Starling: ids, permissions, the objects that clients see, events, intents and limits.
//!
//! Nothing here does I/O or knows a runtime. Objects serialize to the JSON of Discord's public API (v10), so every
//! service that shows one to a client shows the same shape. The two places where the outside world is read at all are
//! [`clock`] and [`entropy`]: everything else takes time and randomness from them as arguments.

pub mod channel;
pub mod clock;
pub mod digest;
pub mod emoji;
pub mod entropy;
pub mod event;
pub mod guild;
pub mod id;
pub mod intents;
pub mod invite;
pub mod limits;
pub mod member;
pub mod message;
pub mod pair;
pub mod permissions;
pub mod presence;
pub mod role;
pub mod slots;
pub mod snowflake;
mod sorted_map;
pub mod timestamp;
pub mod user;
pub mod view;
pub mod voice;

pub use channel::{Channel, ChannelKind, Overwrite, OverwriteKind};
pub use digest::Digest;
pub use event::{Class, EventKind, Subject};
pub use guild::Guild;
pub use id::{ApplicationId, ChannelId, GuildId, Id, MessageId, RoleId, UserId};
pub use intents::Intents;
pub use invite::Invite;
pub use member::Member;
pub use message::Message;
pub use pair::Pair;
pub use permissions::Permissions;
pub use role::Role;
pub use slots::{Slot, SlotSet};
pub use sorted_map::SortedMap;
pub use timestamp::Timestamp;
pub use user::User;
