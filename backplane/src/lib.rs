//! The backplane: how events get from their writers to every pod that needs them, and how what was missed is found again.
//!
//! # Classes
//!
//! An event's class ([`model::Class`]) says what is promised for it. *Guild* events are stored in one of P streams, by the
//! guild's id, and told at once to everybody who listens to that partition. *User* events are stored in one of Q streams
//! and consumed by one router at a time until it acknowledges them. *Ephemeral* events are told to whoever listens just
//! now. The first two may be late but are never lost silently; the last may be lost.
//!
//! # Chain, `seen` and repair
//!
//! A stream gives each event a sequence, without holes. A reader's `seen` is the sequence up to which it lacks nothing:
//! the next event has to be `seen + 1`. Anything higher means that something is missing, and so do a [`Delivery::Gap`],
//! a [`Delivery::Reconnected`], and a tail that stays above `seen` although nothing comes. While something is missing,
//! nothing behind it is given: a permission that was taken away must not be overtaken by a message. Repair reads the
//! missing range from the stream and asks for the stream's bounds *afterwards*. What the stream no longer has is given as
//! [`Followed::Lost`]; a stream that is another one than before is given as [`Followed::NewIncarnation`]. In both cases
//! the reader builds anew what it had built from events.
//!
//! Who needs few guilds of a partition listens to these alone (*guild mode*): then each guild has its own chain, and
//! `seen` moves by checks. [`OpenGuilds`] says which guilds a pod needs.
//!
//! [`Follower`] does all of this: use it, and not [`Backplane::listen`]. [`chain`] and [`chains`] are its state machines
//! in partition mode and in guild mode, free of I/O;
//! [`fence`] drops what a replaced writer sent and what was published twice. [`Position`] is how far a session is, in
//! a form that another pod can take up.
//!
//! # Publishing
//!
//! What is stored is published with [`publish()`], which repeats it until it is acknowledged.
//!
//! # Sessions and pods
//!
//! Beside the events stand four small ports for what pods tell each other and may lose at any time: [`Registry`] (which
//! pods hold sessions of a user), [`Sessions`] (who owns a session), [`Roster`] (which gateway pods live) and [`Starts`] (how
//! often bots have begun sessions). [`redis`] has them for a cluster.
//!
//! # To add an adapter
//!
//! Implement [`Backplane`] beside [`in_process`] and [`nats`], then run `testkit`'s conformance suite on it:
//! `testkit::backplane_conformance!(make)`. The places where adapters go wrong: an acknowledgement before the event is
//! stored; a subscription that drops without a gap; a `listen` that answers before the subscription stands; a tail of an
//! earlier incarnation.

pub mod chain;
pub mod chains;
pub mod fence;
pub mod follow;
pub mod in_process;
pub mod kept;
pub mod nats;
pub mod open_guilds;
mod outlet;
pub mod port;
pub mod position;
pub mod publish;
pub mod redis;
pub mod registry;
pub mod roster;
pub mod sessions;
pub mod starts;
pub mod subject;

pub use chain::LostCause;
pub use follow::{FollowCounts, FollowStats, FollowStatus, Followed, FollowedEvent, Follower};
pub use in_process::{
    InMemoryRegistry, InMemoryRoster, InMemorySessions, InMemoryStarts, InProcess, Options,
};
pub use kept::Kept;
pub use nats::Nats;
pub use open_guilds::{GuildMode, Mode, OpenGuilds};
pub use port::{Ack, Backplane, Delivery, Listener, ReadError, Stored, StreamState, Unavailable, UserEvent};
pub use position::{Position, PositionError};
pub use publish::publish;
pub use redis::{RedisRegistry, RedisRoster, RedisSessions, RedisStarts};
pub use registry::{PodName, Registry};
pub use roster::Roster;
pub use sessions::{OwnedSession, Owner, Parked, Record, RecordTooLong, SessionEntry, Sessions, Taken};
pub use starts::{Lane, StartCount, Starts};
pub use subject::{Ephemeral, Layout, Partition, Stream, Subject};
