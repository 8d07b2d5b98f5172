//! What a session knows of its guilds.
//!
//! Of each guild that is open: where the session sits in the guild's audience, and up to where its GUILD_CREATE went; 16 bytes with the
//! guild's id. Nearly all sessions have few guilds, and one takes no memory of its own. The list is in one block, which the page of
//! the session in the presence book shares: the page reads ids alone, the numbers beside them are the shard's. A guild
//! that is opened or left makes it anew.

use std::iter::once;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use model::GuildId;

mod list;
#[cfg(test)]
mod tests;

pub(crate) use list::GuildList;

/// What a session knows of a guild.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GuildState {
    /// It is being opened; events wait with the opening.
    Opening,
    Open(Place),
}

/// Of an open guild.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The row of the guild's audience in which the session sits, if it does.
    pub row: Option<u32>,
    /// The number under which the guild's table has up to where GUILD_CREATE went.
    pub mark: u32,
}

/// The guilds of one session.
#[derive(Debug, Default)]
pub struct GuildStates {
    open: Open,
    /// Those that are being opened, in ascending order.
    #[expect(clippy::box_collection, reason = "there are none for nearly all of the time")]
    opening: Option<Box<Vec<GuildId>>>,
}

#[derive(Debug, Default)]
enum Open {
    #[default]
    None,
    One(Entry),
    Many(Arc<[Entry]>),
}

#[derive(Debug)]
struct Entry {
    guild: GuildId,
    row: AtomicU32,
    mark: AtomicU32,
}

// === impl Entry ===

impl Entry {
    fn new(guild: GuildId, place: Place) -> Self {
        let row = place.row.unwrap_or(NO_ROW);
        Self { guild, row: AtomicU32::new(row), mark: AtomicU32::new(place.mark) }
    }

    /// Nobody but the session's shard reads or writes it.
    fn place(&self) -> Place {
        let row = Some(self.row.load(Ordering::Relaxed)).filter(|row| *row != NO_ROW);
        Place { row, mark: self.mark.load(Ordering::Relaxed) }
    }

    fn set(&self, place: Place) {
        self.row.store(place.row.unwrap_or(NO_ROW), Ordering::Relaxed);
        self.mark.store(place.mark, Ordering::Relaxed);
    }

    fn copy(&self) -> Self {
        Self::new(self.guild, self.place())
    }
}

// === impl GuildStates ===

impl GuildStates {
    pub fn get(&self, guild: GuildId) -> Option<GuildState> {
        if let Some(entry) = self.open.find(guild) {
            return Some(GuildState::Open(entry.place()));
        }
        self.opening().binary_search(&guild).is_ok().then_some(GuildState::Opening)
    }

    pub fn contains(&self, guild: GuildId) -> bool {
        self.get(guild).is_some()
    }

    /// What is known of a guild that is open.
    pub fn place(&self, guild: GuildId) -> Option<Place> {
        self.open.find(guild).map(Entry::place)
    }

    pub fn is_open(&self, guild: GuildId) -> bool {
        self.open.find(guild).is_some()
    }

    /// The guild is being opened.
    pub fn begin(&mut self, guild: GuildId) {
        let opening = self.opening.get_or_insert_default();
        if let Err(at) = opening.binary_search(&guild) {
            opening.insert(at, guild);
        }
    }

    /// The guild is open, or something else is known of it now.
    pub fn open(&mut self, guild: GuildId, place: Place) {
        self.end_opening(guild);
        match self.open.find(guild) {
            Some(entry) => entry.set(place),
            None => self.open.insert(Entry::new(guild, place)),
        }
    }

    pub fn remove(&mut self, guild: GuildId) -> Option<GuildState> {
        let state = self.get(guild)?;
        match state {
            GuildState::Opening => self.end_opening(guild),
            GuildState::Open(_) => self.open.remove(guild),
        }
        Some(state)
    }

    fn end_opening(&mut self, guild: GuildId) {
        let Some(opening) = &mut self.opening else { return };
        if let Ok(at) = opening.binary_search(&guild) {
            opening.remove(at);
        }
        if opening.is_empty() {
            self.opening = None;
        }
    }

    fn opening(&self) -> &[GuildId] {
        self.opening.as_deref().map_or(&[], Vec::as_slice)
    }

    pub fn opening_count(&self) -> usize {
        self.opening().len()
    }

    /// Those that are open, in ascending order, and then those that are being opened.
    pub fn iter(&self) -> impl Iterator<Item = (GuildId, GuildState)> + '_ {
        let open = self.open.entries().iter().map(|entry| (entry.guild, GuildState::Open(entry.place())));
        open.chain(self.opening().iter().map(|guild| (*guild, GuildState::Opening)))
    }

    pub fn ids(&self) -> impl Iterator<Item = GuildId> + '_ {
        self.iter().map(|(guild, _)| guild)
    }

    /// Those that are open.
    pub fn open_ids(&self) -> impl Iterator<Item = GuildId> + '_ {
        self.open.entries().iter().map(|entry| entry.guild)
    }

    /// The same, to be shared.
    pub(crate) fn list(&self) -> GuildList {
        match &self.open {
            Open::None => GuildList::default(),
            Open::One(entry) => GuildList::one(entry.guild),
            Open::Many(entries) => GuildList::of(entries.clone()),
        }
    }
}

// === impl Open ===

impl Open {
    fn entries(&self) -> &[Entry] {
        match self {
            Self::None => &[],
            Self::One(entry) => std::slice::from_ref(entry),
            Self::Many(entries) => entries,
        }
    }

    fn find(&self, guild: GuildId) -> Option<&Entry> {
        let entries = self.entries();
        Some(&entries[entries.binary_search_by_key(&guild, |entry| entry.guild).ok()?])
    }

    /// Of one that is not there.
    fn insert(&mut self, new: Entry) {
        let entries = self.entries();
        let (before, after) = entries.split_at(entries.partition_point(|entry| entry.guild < new.guild));
        *self = match entries {
            [] => Self::One(new),
            _ => Self::Many(
                before
                    .iter()
                    .map(Entry::copy)
                    .chain(once(new))
                    .chain(after.iter().map(Entry::copy))
                    .collect(),
            ),
        };
    }

    fn remove(&mut self, guild: GuildId) {
        let entries = self.entries();
        let Ok(at) = entries.binary_search_by_key(&guild, |entry| entry.guild) else { return };
        let (before, after) = (&entries[..at], &entries[at + 1..]);
        *self = match (before, after) {
            ([], []) => Self::None,
            ([one], []) | ([], [one]) => Self::One(one.copy()),
            _ => Self::Many(before.iter().chain(after).map(Entry::copy).collect()),
        };
    }
}

/// No audience has so many rows.
const NO_ROW: u32 = u32::MAX;
