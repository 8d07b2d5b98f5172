//! What a session knows of its guilds. Nearly all sessions have few.

use model::{GuildId, SortedMap};

use super::GuildState;

/// The guilds of one session.
#[derive(Debug, Default)]
pub struct GuildStates(SortedMap<GuildId, GuildState>);

impl GuildStates {
    pub fn get(&self, guild: &GuildId) -> Option<&GuildState> {
        self.0.get(guild)
    }

    pub fn contains_key(&self, guild: &GuildId) -> bool {
        self.0.contains_key(guild)
    }

    pub fn insert(&mut self, guild: GuildId, state: GuildState) {
        self.0.insert(guild, state);
    }

    pub fn remove(&mut self, guild: &GuildId) -> Option<GuildState> {
        self.0.remove(guild)
    }

    pub fn keys(&self) -> impl Iterator<Item = &GuildId> {
        self.0.keys()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (GuildId, GuildState)> + '_ {
        self.0.iter().map(|(guild, state)| (*guild, *state))
    }

    /// Those that are open.
    pub fn open(&self) -> impl Iterator<Item = GuildId> + '_ {
        let open = self.0.iter().filter(|(_, state)| matches!(state, GuildState::Open { .. }));
        open.map(|(guild, _)| *guild)
    }
}
