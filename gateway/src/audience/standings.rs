//! Standings: what members have of which their permissions follow. Members with the same roles share one, so roles take memory
//! once. Whom an overwrite names has a standing of their own, and so has the owner.

use std::hash::{Hash, Hasher};
use std::ops::Index;

use model::{Intents, RoleId, UserId};
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};
use slab::Slab;

use super::class::ClassIndex;
use super::seats::RowIndex;
use crate::growth::{make_room, reserve_some};

pub(super) type StandingIndex = u32;

/// See the module. There is none without sessions.
#[derive(Debug)]
pub(super) struct Standing {
    /// In ascending order.
    pub(super) roles: Box<[RoleId]>,
    /// The one member who has it, if it is one's own.
    pub(super) user: Option<UserId>,
    pub(super) class: ClassIndex,
    /// Another one with the same hash.
    next: Option<StandingIndex>,
    /// The first row of each kind.
    first_rows: Vec<(Intents, RowIndex)>,
}

/// The standings of one guild.
#[derive(Debug, Default)]
pub(super) struct Standings {
    list: Slab<Standing>,
    by_hash: FxHashMap<u32, StandingIndex>,
    /// Which standings have a role.
    holders: FxHashMap<RoleId, FxHashSet<StandingIndex>>,
}

impl Standing {
    pub(super) fn first_rows(&self) -> impl Iterator<Item = RowIndex> + '_ {
        self.first_rows.iter().map(|(_, row)| *row)
    }

    pub(super) fn first_row(&self, intents: Intents) -> Option<RowIndex> {
        self.first_rows.iter().find(|(known, _)| *known == intents).map(|(_, row)| *row)
    }
}

impl Standings {
    pub(super) fn find(&self, user: Option<UserId>, roles: &[RoleId]) -> Option<StandingIndex> {
        let first = self.by_hash.get(&hash(user, roles)).copied();
        let mut same = std::iter::successors(first, |index| self[*index].next);
        same.find(|index| self[*index].user == user && *self[*index].roles == *roles)
    }

    pub(super) fn insert(
        &mut self,
        user: Option<UserId>,
        roles: Box<[RoleId]>,
        class: ClassIndex,
    ) -> StandingIndex {
        let hash = hash(user, &roles);
        reserve_some(&mut self.list);
        let index = self.list.vacant_key() as StandingIndex;
        for role in &roles {
            self.holders.entry(*role).or_default().insert(index);
        }
        let next = self.by_hash.insert(hash, index);
        self.list.insert(Standing { roles, user, class, next, first_rows: Vec::new() });
        index
    }

    pub(super) fn contains(&self, index: StandingIndex) -> bool {
        self.list.contains(index as usize)
    }

    pub(super) fn set_class(&mut self, index: StandingIndex, class: ClassIndex) {
        self.list[index as usize].class = class;
    }

    /// Without a row of these intents the standing may be left to nobody; then it goes.
    pub(super) fn set_first_row(&mut self, index: StandingIndex, intents: Intents, row: Option<RowIndex>) {
        let rows = &mut self.list[index as usize].first_rows;
        let place = rows.iter().position(|(known, _)| *known == intents);
        match (place, row) {
            (Some(place), Some(row)) => rows[place].1 = row,
            (Some(place), None) => drop(rows.swap_remove(place)),
            (None, Some(row)) => {
                make_room(rows);
                rows.push((intents, row));
            }
            (None, None) => {}
        }
        if self[index].first_rows.is_empty() {
            self.remove(index);
        }
    }

    fn remove(&mut self, index: StandingIndex) {
        let gone = self.list.remove(index as usize);
        for role in &gone.roles {
            if let Some(holders) = self.holders.get_mut(role) {
                holders.remove(&index);
                if holders.is_empty() {
                    self.holders.remove(role);
                }
            }
        }
        let hash = hash(gone.user, &gone.roles);
        match self.by_hash.get(&hash).copied() {
            Some(first) if first != index => {
                let mut same = std::iter::successors(Some(first), |other| self[*other].next);
                if let Some(before) = same.find(|other| self[*other].next == Some(index)) {
                    self.list[before as usize].next = gone.next;
                }
            }
            _ => match gone.next {
                Some(next) => drop(self.by_hash.insert(hash, next)),
                None => drop(self.by_hash.remove(&hash)),
            },
        }
    }

    /// Those that have one of the roles, each once.
    pub(super) fn with(&self, roles: impl IntoIterator<Item = RoleId>) -> FxHashSet<StandingIndex> {
        let holders = roles.into_iter().filter_map(|role| self.holders.get(&role)).flatten();
        holders.copied().collect()
    }

    pub(super) fn all(&self) -> FxHashSet<StandingIndex> {
        self.list.iter().map(|(index, _)| index as StandingIndex).collect()
    }
}

impl Index<StandingIndex> for Standings {
    type Output = Standing;

    fn index(&self, index: StandingIndex) -> &Standing {
        &self.list[index as usize]
    }
}

fn hash(user: Option<UserId>, roles: &[RoleId]) -> u32 {
    let mut hasher = FxHasher::default();
    (user, roles).hash(&mut hasher);
    hasher.finish() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(id: u64) -> Box<[RoleId]> {
        Box::new([RoleId::new(id).unwrap()])
    }

    /// Two standings with one hash, as there are among a hundred thousand.
    fn twins() -> [u64; 2] {
        let mut known = FxHashMap::default();
        let ids =
            (1..1_000_000_u64).map(|id| id.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29) ^ (id << 40));
        let mut twins = ids.filter_map(|id| Some([known.insert(hash(None, &roles(id)), id)?, id]));
        twins.next().expect("two of a million")
    }

    #[test]
    fn those_with_the_same_hash_are_told_apart() {
        for is_first_to_go in [true, false] {
            let mut standings = Standings::default();
            let ids = twins();
            let indexes = ids.map(|id| standings.insert(None, roles(id), 0));
            let found = |standings: &Standings| ids.map(|id| standings.find(None, &roles(id)));
            assert_eq!(found(&standings), indexes.map(Some));
            assert_eq!(standings.find(UserId::new(9), &roles(ids[0])), None);
            standings.remove(indexes[usize::from(is_first_to_go)]);
            let kept = usize::from(!is_first_to_go);
            assert_eq!(found(&standings)[kept], Some(indexes[kept]));
            assert_eq!(found(&standings)[1 - kept], None);
            standings.remove(indexes[kept]);
            assert_eq!(
                (found(&standings), standings.by_hash.len(), standings.holders.len()),
                ([None; 2], 0, 0)
            );
        }
    }
}
