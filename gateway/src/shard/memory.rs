//! What an idle connection takes in the gateway, part by part: `cargo test -p gateway memory -- --nocapture`.
//!
//! Sizes are those of the types and of what they ask the allocator for; hash maps count with the load at which they are
//! fullest on average (three quarters). A connection
//! has no task and no place in the runtime; what the kernel adds is not ours to count.

use model::{GuildId, Id};

use super::conn::{Conn, ConnId};
use super::*;
use crate::audience::Audience;
use crate::presence::book::Page;
use crate::session::{GuildState, GuildStates, Session};

/// Of one entry of a hash map at average load.
fn in_map<K, V>() -> usize {
    (size_of::<(K, V)>() + 1) * 4 / 3
}

#[test]
fn memory_of_an_idle_connection_stays_small() {
    let mut guilds = GuildStates::default();
    guilds.insert(Id::new(1).expect("one is an id"), GuildState::Open { revision: 1, after: 1 });
    let audience = Audience::member_bytes() + in_map::<UserId, usize>() + size_of::<usize>();
    let parts = [
        ("connection: socket, outbox, protocol", size_of::<Conn>()),
        ("timer of the connection", size_of::<(u32, ConnId)>()),
        ("session", size_of::<SessionSlot>()),
        ("session: one guild", guilds.heap_bytes()),
        ("session by id", in_map::<SessionId, SessionKey>()),
        ("sessions by user", in_map::<UserId, Vec<SessionKey>>() + size_of::<SessionKey>()),
        ("interest in the user", in_map::<UserId, u64>()),
        ("member in the guild's audience", audience),
        ("page in the presence book", in_map::<SessionId, Page>() + size_of::<GuildId>()),
    ];
    for (part, bytes) in parts {
        println!("{bytes:5}  {part}");
    }
    let total: usize = parts.iter().map(|(_, bytes)| bytes).sum();
    println!("{total:5}  together");
    assert_eq!(size_of::<Session>() - size_of::<crate::session::Profile>(), 24 + 32 + 8 + 16 + 8 + 8);
    assert!(total <= BYTES_MAX, "{total}");
}

/// Raise it knowingly: it is multiplied with every connection.
const BYTES_MAX: usize = 1_150;
