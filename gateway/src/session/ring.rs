//! What a session has been given, for a resume: eight bytes an event, in order of their sequence.
//!
//! A shared event is a reference into the shard's [`SharedRings`]; what was made for this session alone stands beside,
//! and only its place is marked. The ring is bounded by count and by the bytes of its own; age is that of the shared
//! rings, and of what stands beside. References to what is gone are dropped where that costs nothing: before the ring
//! would grow, and when the client confirms.

use std::collections::VecDeque;
use std::sync::Arc;

use model::{ChannelId, GuildId, limits};

use crate::live::LiveEvent;
use crate::made::OwnEvent;
use crate::parcel::Item;
use crate::shared_ring::{EventRef, SharedRings};

/// One numbered event that is kept. A GUILD_CREATE is a recipe, made anew from the present snapshot each time that it is
/// sent.
#[derive(Debug, Clone)]
pub enum Entry {
    Shared(EventRef),
    Own(OwnEvent, About),
    GuildCreate(GuildId),
}

/// What the user must have for a session's own event to be replayed: by then it may be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// Nothing: it is told in any case.
    User,
    /// The guild.
    Guild(GuildId),
    /// Sight of the channel.
    Channel(GuildId, ChannelId),
}

/// What an entry is when it is wanted.
#[derive(Debug)]
pub enum Found {
    Shared(Arc<LiveEvent>),
    Own(OwnEvent, About),
    GuildCreate(GuildId),
    /// The shared rings no longer have it.
    Gone,
}

impl Found {
    /// The same as another pod can find it.
    pub(super) fn item(self) -> Option<Item> {
        Some(match self {
            Self::Shared(event) => match event.envelope.guild_id {
                Some(guild) => Item::OfGuild(guild, event.sequence),
                None => Item::OfUser(event.sequence),
            },
            Self::Own(event, about) => Item::Own(event, about),
            Self::GuildCreate(guild) => Item::GuildCreate(guild),
            Self::Gone => return None,
        })
    }
}

#[derive(Debug)]
struct Beside {
    seq: u64,
    at_ms: u64,
    what: Own,
}

#[derive(Debug)]
enum Own {
    Event(OwnEvent, About),
    GuildCreate(GuildId),
}

/// The entries with the sequences `first_seq()..=last_seq()`. Without any it holds no heap memory.
#[derive(Debug, Default)]
pub struct Ring {
    /// How many entries are gone from the front.
    gone: u64,
    held: Option<Box<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    /// References; 0 for what stands beside.
    entries: VecDeque<u64>,
    beside: VecDeque<Beside>,
    /// Of what stands beside.
    bytes: usize,
}

impl Ring {
    /// A ring whose next entry has this sequence.
    pub(super) fn beginning_at(seq: u64) -> Self {
        Self { gone: seq - 1, held: None }
    }

    /// The sequence of the oldest entry that is still there: `last_seq() + 1` when none is.
    pub fn first_seq(&self) -> u64 {
        self.gone + 1
    }

    /// The sequence of the newest entry; 0 before the first.
    pub fn last_seq(&self) -> u64 {
        self.gone + self.held.as_ref().map_or(0, |held| held.entries.len() as u64)
    }

    /// Bytes of what the session holds alone, without references.
    pub fn bytes(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.bytes)
    }

    /// What the allocator was asked for, without the events that stand beside.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        self.held.as_ref().map_or(0, |held| {
            size_of::<Held>()
                + held.entries.capacity() * size_of::<u64>()
                + held.beside.capacity() * size_of::<Beside>()
        })
    }

    /// Uses up a sequence, before there is any entry, for what is never given again.
    pub fn skip(&mut self) {
        debug_assert!(self.held.is_none(), "only the first event is not kept");
        self.gone += 1;
    }

    /// Keeps an entry and answers its sequence.
    pub fn push(&mut self, now_ms: u64, entry: Entry, rings: &SharedRings) -> u64 {
        let seq = self.last_seq() + 1;
        let held = self.held.get_or_insert_default();
        if held.entries.len() == held.entries.capacity() {
            self.gone += held.drop_expired(now_ms, rings);
        }
        if held.entries.len() >= limits::RING_EVENTS_MAX {
            self.gone += held.drop_oldest();
        }
        let what = match entry {
            Entry::Shared(place) => {
                held.entries.push_back(place.bits());
                return seq;
            }
            Entry::Own(event, about) => Own::Event(event, about),
            Entry::GuildCreate(guild) => Own::GuildCreate(guild),
        };
        held.entries.push_back(BESIDE);
        held.bytes += what.bytes();
        if held.beside.is_empty() {
            // The GUILD_CREATE of somebody who is in one guild.
            held.beside.reserve_exact(1);
        }
        held.beside.push_back(Beside { seq, at_ms: now_ms, what });
        // The newest entry is always kept.
        while held.bytes > limits::RING_BYTES_MAX && held.entries.len() > 1 {
            self.gone += held.drop_oldest();
        }
        seq
    }

    /// The entry with this sequence; `None` if the ring has none.
    pub fn find(&self, seq: u64, rings: &SharedRings) -> Option<Found> {
        let held = self.held.as_ref()?;
        let index = usize::try_from(seq.checked_sub(self.first_seq())?).ok()?;
        let place = EventRef::from_bits(*held.entries.get(index)?);
        Some(match place {
            Some(place) => rings.get(place).cloned().map_or(Found::Gone, Found::Shared),
            None => held.beside(seq),
        })
    }

    /// Whether everything from this sequence on can still be given.
    pub fn is_whole_from(&self, seq: u64, rings: &SharedRings) -> bool {
        let Some(skip) = seq.checked_sub(self.first_seq()) else { return false };
        let Some(held) = &self.held else { return true };
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        let shared = held.entries.iter().skip(skip).filter_map(|bits| EventRef::from_bits(*bits));
        shared.into_iter().all(|place| rings.has(place))
    }

    /// The number above which everything can still be given.
    pub(super) fn whole_above(&self, rings: &SharedRings) -> u64 {
        let Some(held) = &self.held else { return self.gone };
        let is_gone = |bits: &u64| EventRef::from_bits(*bits).is_some_and(|place| !rings.has(place));
        let last_gone = held.entries.iter().rposition(is_gone);
        self.gone + last_gone.map_or(0, |index| index as u64 + 1)
    }

    /// When the oldest entry was given: the end of time if there is none; `None` where the shared rings no longer know.
    pub(super) fn oldest_at_ms(&self, rings: &SharedRings) -> Option<u64> {
        let Some((held, bits)) = self.held.as_ref().and_then(|held| Some((held, held.entries.front()?)))
        else {
            return Some(u64::MAX);
        };
        match EventRef::from_bits(*bits) {
            Some(place) => rings.taken_at_ms(place),
            None => held.beside.front().map(|beside| beside.at_ms),
        }
    }

    /// The recipes that are kept.
    pub(super) fn guild_creates(&self) -> impl Iterator<Item = GuildId> + '_ {
        let beside = self.held.iter().flat_map(|held| &held.beside);
        beside.filter_map(|beside| match beside.what {
            Own::GuildCreate(guild) => Some(guild),
            Own::Event(..) => None,
        })
    }

    /// The client has everything up to here.
    pub fn confirm(&mut self, seq: u64) {
        let Some(held) = &mut self.held else { return };
        while self.gone < seq && !held.entries.is_empty() {
            self.gone += held.drop_oldest();
        }
        if held.entries.is_empty() {
            self.held = None;
        } else if held.entries.len() < held.entries.capacity() / 4 {
            held.entries.shrink_to(held.entries.len() * 2);
        }
    }
}

impl Held {
    fn beside(&self, seq: u64) -> Found {
        let index = self.beside.binary_search_by_key(&seq, |beside| beside.seq);
        match index.ok().map(|index| &self.beside[index].what) {
            Some(Own::Event(event, about)) => Found::Own(event.clone(), *about),
            Some(Own::GuildCreate(guild)) => Found::GuildCreate(*guild),
            None => Found::Gone,
        }
    }

    /// Drops the front as long as nobody could be given it; answers how many entries that were.
    fn drop_expired(&mut self, now_ms: u64, rings: &SharedRings) -> u64 {
        let mut dropped = 0;
        while let Some(bits) = self.entries.front() {
            let is_expired = match EventRef::from_bits(*bits) {
                Some(place) => !rings.has(place),
                None => self.beside.front().is_none_or(|beside| beside.at_ms + limits::RING_AGE_MS < now_ms),
            };
            if !is_expired {
                break;
            }
            dropped += self.drop_oldest();
        }
        dropped
    }

    /// Answers how many entries that were.
    fn drop_oldest(&mut self) -> u64 {
        let Some(bits) = self.entries.pop_front() else { return 0 };
        if bits == BESIDE
            && let Some(beside) = self.beside.pop_front()
        {
            self.bytes -= beside.what.bytes();
        }
        1
    }
}

impl Own {
    fn bytes(&self) -> usize {
        match self {
            Self::Event(event, _) => event.bytes(),
            Self::GuildCreate(_) => 0,
        }
    }
}

/// No reference is zero, since indexes begin at 1.
const BESIDE: u64 = 0;
