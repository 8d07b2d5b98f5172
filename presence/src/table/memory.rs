//! What a user with one session in one guild takes here, part by part: `cargo test -p presence memory -- --nocapture`.
//!
//! Sizes are those of the types and of what they ask the allocator for; hash maps count with the load at which they are
//! fullest on average (three quarters).

use super::*;

/// The counters of an `Arc`.
const SHARED: usize = 2 * size_of::<usize>();
/// A session's id as text.
const ID_CHARS: usize = 32;

/// Of one entry of a hash map at average load.
fn in_map<K, V>() -> usize {
    (size_of::<(K, V)>() + 1) * 4 / 3
}

#[test]
fn memory_of_a_user_stays_small() {
    let parts = [
        ("session: its key", SHARED + ID_CHARS),
        ("session by key", in_map::<SessionKey, Held>()),
        ("session of its pod", in_map::<SessionKey, u64>()),
        ("user", Users::entry_bytes() * 4 / 3),
        ("what the session says", size_of::<(u64, Part)>()),
        ("its guilds, shared with what is shown", SHARED + size_of::<GuildId>()),
        ("what is shown", SHARED + size_of::<Presence>()),
        ("user of the guild", size_of::<UserId>() * 4 / 3),
    ];
    for (part, bytes) in parts {
        println!("{bytes:5}  {part}");
    }
    let total: usize = parts.iter().map(|(_, bytes)| bytes).sum();
    println!("{total:5}  together");
    assert!(total <= BYTES_MAX, "{total}");
}

/// Raise it knowingly: it is multiplied with every user who is online.
const BYTES_MAX: usize = 500;
