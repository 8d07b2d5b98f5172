//! The guilds that a session has open, as the presence book keeps them: mostly the session's own list.

use std::iter::once;
use std::sync::Arc;

use model::GuildId;

use super::{Entry, Place};

/// In ascending order.
#[derive(Debug, Default, Clone)]
pub(crate) struct GuildList(Listed);

#[derive(Debug, Default, Clone)]
enum Listed {
    #[default]
    None,
    One(GuildId),
    Many(Arc<[Entry]>),
}

impl GuildList {
    pub(super) fn one(guild: GuildId) -> Self {
        Self(Listed::One(guild))
    }

    pub(super) fn of(entries: Arc<[Entry]>) -> Self {
        Self(Listed::Many(entries))
    }

    pub(crate) fn len(&self) -> usize {
        match &self.0 {
            Listed::None => 0,
            Listed::One(_) => 1,
            Listed::Many(entries) => entries.len(),
        }
    }

    fn contains(&self, guild: GuildId) -> bool {
        match &self.0 {
            Listed::None => false,
            Listed::One(one) => *one == guild,
            Listed::Many(entries) => entries.binary_search_by_key(&guild, |entry| entry.guild).is_ok(),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = GuildId> + '_ {
        let (one, many): (_, &[Entry]) = match &self.0 {
            Listed::None => (None, &[]),
            Listed::One(guild) => (Some(*guild), &[]),
            Listed::Many(entries) => (None, entries),
        };
        one.into_iter().chain(many.iter().map(|entry| entry.guild))
    }

    /// The same with a guild: `own` itself, if that is it.
    pub(crate) fn with(&self, guild: GuildId, own: Self) -> Self {
        let has = self.contains(guild);
        let others = own.iter().filter(|other| has || *other != guild);
        if own.contains(guild) && self.iter().eq(others) {
            return own;
        }
        if has { self.clone() } else { self.iter().chain(once(guild)).collect() }
    }

    /// The same without a guild: `own` itself, if that is it.
    pub(crate) fn without(&self, guild: GuildId, own: Self) -> Self {
        let rest = || self.iter().filter(|other| *other != guild);
        if rest().eq(own.iter()) { own } else { rest().collect() }
    }

    #[cfg(test)]
    pub(crate) fn shares(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Listed::Many(one), Listed::Many(other)) => Arc::ptr_eq(one, other),
            _ => self.iter().eq(other.iter()),
        }
    }
}

impl FromIterator<GuildId> for GuildList {
    fn from_iter<I: IntoIterator<Item = GuildId>>(guilds: I) -> Self {
        let mut guilds: Vec<GuildId> = guilds.into_iter().collect();
        guilds.sort_unstable();
        guilds.dedup();
        let nowhere = Place { row: None, mark: 0 };
        Self(match guilds[..] {
            [] => Listed::None,
            [one] => Listed::One(one),
            _ => Listed::Many(guilds.into_iter().map(|guild| Entry::new(guild, nowhere)).collect()),
        })
    }
}
