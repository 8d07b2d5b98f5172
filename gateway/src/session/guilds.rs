//! What a session knows of its guilds: a sorted list, since a hash map takes five times as much for one guild, and nearly
//! all sessions have few.

use model::GuildId;

use super::GuildState;

/// The guilds of one session.
#[derive(Debug, Default)]
pub struct GuildStates(Vec<(GuildId, GuildState)>);

impl GuildStates {
    pub fn get(&self, guild: &GuildId) -> Option<&GuildState> {
        self.find(guild).ok().map(|index| &self.0[index].1)
    }

    pub fn contains_key(&self, guild: &GuildId) -> bool {
        self.find(guild).is_ok()
    }

    pub fn insert(&mut self, guild: GuildId, state: GuildState) {
        match self.find(&guild) {
            Ok(index) => self.0[index].1 = state,
            Err(index) => {
                if self.0.len() == self.0.capacity() {
                    self.0.reserve_exact((self.0.len() / 4).max(1));
                }
                self.0.insert(index, (guild, state));
            }
        }
    }

    pub fn remove(&mut self, guild: &GuildId) -> Option<GuildState> {
        let index = self.find(guild).ok()?;
        Some(self.0.remove(index).1)
    }

    pub fn keys(&self) -> impl Iterator<Item = &GuildId> {
        self.0.iter().map(|(guild, _)| guild)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (GuildId, GuildState)> + '_ {
        self.0.iter().copied()
    }

    /// Those that are open.
    pub fn open(&self) -> impl Iterator<Item = GuildId> + '_ {
        let open = self.0.iter().filter(|(_, state)| matches!(state, GuildState::Open { .. }));
        open.map(|(guild, _)| *guild)
    }

    /// What the allocator was asked for.
    #[cfg(test)]
    pub(crate) fn heap_bytes(&self) -> usize {
        self.0.capacity() * size_of::<(GuildId, GuildState)>()
    }

    fn find(&self, guild: &GuildId) -> Result<usize, usize> {
        self.0.binary_search_by_key(guild, |(known, _)| *known)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_map(steps in proptest::collection::vec((any::<bool>(), 1_u64..20, 0_u64..5), 0..100)) {
            let (mut states, mut model) = (GuildStates::default(), BTreeMap::new());
            for (is_insert, id, revision) in steps {
                let (guild, state) = (GuildId::new(id).unwrap(), GuildState::Open { revision, after: 0 });
                if is_insert {
                    states.insert(guild, state);
                    model.insert(guild, state);
                } else {
                    prop_assert_eq!(states.remove(&guild), model.remove(&guild));
                }
                prop_assert_eq!(states.get(&guild), model.get(&guild));
                prop_assert_eq!(states.contains_key(&guild), model.contains_key(&guild));
            }
            prop_assert!(states.keys().eq(model.keys()));
        }
    }
}
