//! A session, without I/O: what outlives a connection and is resumed.
//!
//! A session numbers what it is given and remembers in its [`Ring`] what that was. A socket, when there is one, is served from the
//! ring through a *cursor*: while the cursor is at the end, an event goes straight to the outbox; while it is behind
//! (during a replay, or while the outbox is full of a large start) the events wait in the ring. So a replay, the start
//! of a session and its ordinary life are one thing, and `s` numbers exactly what a resume can replay.

use model::{GuildId, Intents, UserId, limits};
use rustc_hash::FxHashSet;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::link::command::Shard;
use crate::live::LiveEvent;
use crate::made::Content;
use crate::parcel::Item;
use crate::shared_ring::SharedRings;

mod guilds;
mod id;
mod private;
mod ring;

pub(crate) use guilds::GuildList;
pub use guilds::{GuildState, GuildStates, Place};
pub use id::{PodTag, SessionId};
pub use private::PrivateChannels;
pub use ring::{About, Entry, Found, Ring};

/// The hash of the token that a session was identified with.
#[derive(Debug, Clone, Copy)]
pub struct TokenHash([u8; 32]);

impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other)
    }
}

impl TokenHash {
    /// Of a token with or without its prefix.
    pub fn of(token: &str) -> Self {
        let token = token.strip_prefix("Bot ").or_else(|| token.strip_prefix("Bearer ")).unwrap_or(token);
        Self(Sha256::digest(token.as_bytes()).into())
    }

    pub(crate) fn of_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Compares without telling by its time how much is equal.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// What a session was identified as.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    pub id: SessionId,
    pub user_id: UserId,
    pub is_bot: bool,
    pub token_id: u64,
    pub token_hash: TokenHash,
    pub intents: Intents,
    pub large_threshold: u32,
    pub shard: Shard,
    /// Large payloads may come compressed, on a connection that is not.
    pub compress: bool,
}

/// A session.
#[derive(Debug)]
pub struct Session {
    pub profile: Profile,
    pub guilds: GuildStates,
    /// Guilds that the user has joined since READY, which does not list them.
    pub joined: FxHashSet<GuildId>,
    /// Of people's sessions.
    pub private: PrivateChannels,
    ring: Ring,
    /// The sequence of what is sent next; without a socket, of what the last one was not sent.
    cursor: u64,
    is_attached: bool,
    /// RESUMED goes out when the cursor has reached the end.
    owes_resumed: bool,
}

/// Why a resume is not possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResumeRefusal {
    /// Another token than the session's.
    WrongToken,
    /// A sequence that the session never reached.
    SeqAhead,
    /// Something that is to be replayed is no longer there.
    SeqTooOld,
}

/// The next thing to send to a session's socket.
#[derive(Debug)]
pub enum Next {
    Entry {
        seq: u32,
        entry: Found,
    },
    Resumed {
        seq: u32,
    },
    /// What is next is no longer there: the socket can't be served any more.
    Overrun,
    /// The cursor is at the end.
    Nothing,
}

impl Session {
    pub fn new(profile: Profile) -> Self {
        Self {
            profile,
            guilds: GuildStates::default(),
            joined: FxHashSet::default(),
            private: PrivateChannels::default(),
            ring: Ring::default(),
            cursor: 1,
            is_attached: false,
            owes_resumed: false,
        }
    }

    /// A session that has come from elsewhere, with what is kept of its last numbers, the oldest first; nobody is attached.
    pub(crate) fn restored(
        profile: Profile,
        seq: u64,
        entries: Vec<Entry>,
        now_ms: u64,
        rings: &SharedRings,
    ) -> Self {
        let first = seq + 1 - entries.len() as u64;
        let mut ring = Ring::beginning_at(first);
        for entry in entries {
            ring.push(now_ms, entry, rings);
        }
        Self { ring, cursor: first, ..Self::new(profile) }
    }

    /// What was given above this number, as another pod can find it. Nothing of it may be gone.
    pub(crate) fn items(&self, above: u64, rings: &SharedRings) -> Option<Vec<Item>> {
        let found = (above + 1..=self.ring.last_seq()).map(|seq| self.ring.find(seq, rings));
        found.map(|found| found.and_then(Found::item)).collect()
    }

    /// The sequence of the last numbered event.
    pub fn seq(&self) -> u32 {
        self.ring.last_seq() as u32
    }

    pub fn is_attached(&self) -> bool {
        self.is_attached
    }

    /// Whether sequences are used up: the session must end before they do not fit the clients' integers.
    pub fn is_exhausted(&self) -> bool {
        self.ring.last_seq() >= limits::SEQUENCE_MAX
    }

    /// Whether the intents ask for events of this kind.
    pub fn wants(&self, intent: Intents) -> bool {
        self.profile.intents.contains(intent)
    }

    /// What this session may see of an event: not the content, unless it has the intent, wrote the message or
    /// is mentioned in it.
    pub(crate) fn content<'a>(&self, event: &'a LiveEvent) -> Content<'a> {
        let envelope = &event.envelope;
        let user = self.profile.user_id;
        let entitled = || envelope.user_id == Some(user) || envelope.mentions.contains(&user);
        if self.profile.intents.contains(Intents::MESSAGE_CONTENT) || !event.has_content() || entitled() {
            event.full()
        } else {
            event.without_content()
        }
    }

    /// Numbers READY, which goes straight to the socket. It is not kept: who has not received it can't know the session's
    /// id, and so can't resume.
    pub fn push_ready(&mut self) -> u32 {
        self.ring.skip();
        self.cursor = self.ring.first_seq();
        self.seq()
    }

    /// Numbers an event. Says whether it goes straight to the socket, with this sequence.
    pub fn push(&mut self, now_ms: u64, entry: Entry, rings: &SharedRings) -> Option<u32> {
        let at_end = self.is_at_end();
        let seq = self.ring.push(now_ms, entry, rings);
        if at_end {
            self.cursor = seq + 1;
            Some(seq as u32)
        } else {
            None
        }
    }

    /// A socket has identified as this session: it is served from the beginning.
    pub fn attach(&mut self) {
        self.cursor = self.ring.first_seq();
        self.is_attached = true;
    }

    pub fn detach(&mut self) {
        self.is_attached = false;
        self.owes_resumed = false;
    }

    /// Whether no RESUME can succeed any more: without a socket it has missed more than its ring holds.
    pub fn is_beyond_resume(&self) -> bool {
        !self.is_attached && self.cursor < self.ring.first_seq()
    }

    /// Whether a socket may take this session over at `seq`.
    pub fn check_resume(
        &self,
        token: &TokenHash,
        seq: u64,
        rings: &SharedRings,
    ) -> Result<(), ResumeRefusal> {
        if !self.profile.token_hash.matches(token) {
            Err(ResumeRefusal::WrongToken)
        } else if seq > self.ring.last_seq() {
            Err(ResumeRefusal::SeqAhead)
        } else if !self.ring.is_whole_from(seq + 1, rings) {
            Err(ResumeRefusal::SeqTooOld)
        } else {
            Ok(())
        }
    }

    /// A socket takes the session over; everything above `seq` is replayed, then RESUMED.
    pub fn resume(&mut self, seq: u64) {
        self.cursor = seq + 1;
        self.is_attached = true;
        self.owes_resumed = true;
    }

    /// What to send next. After sending it, call [`Self::advance`].
    pub fn next(&self, rings: &SharedRings) -> Next {
        if !self.is_attached {
            return Next::Nothing;
        }
        if self.cursor < self.ring.first_seq() {
            return Next::Overrun;
        }
        match self.ring.find(self.cursor, rings) {
            Some(Found::Gone) => Next::Overrun,
            Some(entry) => Next::Entry { seq: self.cursor as u32, entry },
            None if self.owes_resumed => Next::Resumed { seq: self.seq() },
            None => Next::Nothing,
        }
    }

    /// What [`Self::next`] gave has been sent.
    pub fn advance(&mut self) {
        if self.is_attached && self.cursor <= self.ring.last_seq() {
            self.cursor += 1;
        } else {
            self.owes_resumed = false;
        }
    }

    /// The sequence that the socket is at: unnumbered events may go out only at the end.
    pub fn is_at_end(&self) -> bool {
        self.is_attached && self.cursor > self.ring.last_seq() && !self.owes_resumed
    }

    /// The client has everything up to here; nonsense is ignored.
    pub fn confirmed(&mut self, seq: u64) {
        if self.is_attached && seq < self.cursor {
            self.ring.confirm(seq);
        }
    }

    /// The client has confirmed everything up to here, or it is gone for good.
    pub(crate) fn confirmed_seq(&self) -> u64 {
        self.ring.first_seq() - 1
    }

    /// The number above which nothing of what was given is gone.
    pub(crate) fn whole_above(&self, rings: &SharedRings) -> u64 {
        self.ring.whole_above(rings)
    }

    /// When the oldest event was given that the client has not confirmed: the end of time if there is none; `None` where that
    /// is no longer known.
    pub(crate) fn unconfirmed_since_ms(&self, rings: &SharedRings) -> Option<u64> {
        self.ring.oldest_at_ms(rings)
    }

    /// Guilds whose GUILD_CREATE the client has not confirmed.
    pub(crate) fn unconfirmed_guilds(&self) -> impl Iterator<Item = GuildId> + '_ {
        self.ring.guild_creates()
    }

    /// Bytes that the ring is accounted for.
    pub fn ring_bytes(&self) -> usize {
        self.ring.bytes()
    }
}

#[cfg(test)]
mod tests;
