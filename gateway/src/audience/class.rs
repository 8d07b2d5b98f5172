//! Visibility classes: interned sets of visible channels, and the rows of the sessions whose members have them.

use std::sync::Arc;

use model::{ChannelId, GuildId, Intents, RoleId, SortedMap, UserId};
use rustc_hash::FxHashSet;
use slab::Slab;

use super::seats::RowIndex;
use crate::growth::{make_room, reserve_some};

pub(super) type ClassIndex = u32;

/// All that a member's visible channels follow from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Signature {
    is_owner: bool,
    roles: Box<[RoleId]>,
    named: Option<UserId>,
}

impl Signature {
    /// `roles` are those that matter; `named` is the member if an overwrite names it.
    pub(super) fn new(is_owner: bool, mut roles: Vec<RoleId>, named: Option<UserId>) -> Self {
        if is_owner {
            return Self { is_owner, roles: Box::default(), named: None };
        }
        roles.sort_unstable();
        roles.dedup();
        Self { is_owner, roles: roles.into(), named }
    }

    pub(super) fn roles(&self) -> &[RoleId] {
        &self.roles
    }

    pub(super) fn names(&self, user: UserId) -> bool {
        self.named == Some(user)
    }

    /// A user to compute permissions for: the owner, the named member, or one that nothing names (the guild's own id,
    /// which is no user's).
    pub(super) fn user(&self, owner: UserId, guild: GuildId) -> UserId {
        if self.is_owner { owner } else { self.named.unwrap_or(guild.cast()) }
    }
}

/// Members who see the same channels.
#[derive(Debug)]
struct Class {
    /// In ascending order of their intents; none is empty.
    groups: Vec<Group>,
    visible: Arc<[ChannelId]>,
}

/// Rows of a class whose sessions ask for the same events: an event that they do not want passes them all by at once.
#[derive(Debug)]
struct Group {
    intents: Intents,
    rows: Vec<RowIndex>,
}

/// The classes of one guild.
#[derive(Debug, Default)]
pub(super) struct Classes {
    classes: Slab<Class>,
    by_signature: SortedMap<Signature, ClassIndex>,
    by_visible: SortedMap<Arc<[ChannelId]>, ClassIndex>,
    by_channel: SortedMap<ChannelId, Vec<ClassIndex>>,
    /// How often it was worked out what a signature sees: all channels, or one.
    #[cfg(test)]
    pub(super) sights: std::cell::Cell<[usize; 2]>,
}

impl Classes {
    pub(super) fn len(&self) -> usize {
        self.classes.len()
    }

    /// The class of a signature; `visible` is asked, in ascending order, when it is a new one.
    pub(super) fn of(
        &mut self,
        signature: Signature,
        visible: impl Fn(&Signature) -> Vec<ChannelId>,
    ) -> ClassIndex {
        if let Some(class) = self.by_signature.get(&signature) {
            return *class;
        }
        #[cfg(test)]
        self.sights.update(|[all, one]| [all + 1, one]);
        let class = self.intern(visible(&signature).into());
        self.by_signature.insert(signature, class);
        class
    }

    fn intern(&mut self, visible: Arc<[ChannelId]>) -> ClassIndex {
        if let Some(class) = self.by_visible.get(&visible) {
            return *class;
        }
        reserve_some(&mut self.classes);
        let entry = self.classes.vacant_entry();
        let class = entry.key() as ClassIndex;
        for channel in &*visible {
            let classes = self.by_channel.get_or_insert_with(*channel, Vec::new);
            make_room(classes);
            classes.push(class);
        }
        entry.insert(Class { groups: Vec::new(), visible: visible.clone() });
        self.by_visible.insert(visible, class);
        class
    }

    /// The rows whose sessions see a channel and ask for events of this intent.
    pub(super) fn viewers(&self, channel: ChannelId, intent: Intents) -> impl Iterator<Item = RowIndex> + '_ {
        let classes = self.by_channel.get(&channel).into_iter().flatten();
        classes.flat_map(move |class| self.classes[*class as usize].wanting(intent))
    }

    /// The rows whose sessions ask for events of this intent.
    pub(super) fn wanting(&self, intent: Intents) -> impl Iterator<Item = RowIndex> + '_ {
        self.classes.iter().flat_map(move |(_, class)| class.wanting(intent))
    }

    pub(super) fn rows(&self, class: ClassIndex) -> impl Iterator<Item = RowIndex> + '_ {
        self.classes[class as usize].wanting(Intents::NONE)
    }

    /// In ascending order.
    pub(super) fn visible(&self, class: ClassIndex) -> &[ChannelId] {
        &self.classes[class as usize].visible
    }

    pub(super) fn sees(&self, class: ClassIndex, channel: ChannelId) -> bool {
        self.classes[class as usize].visible.binary_search(&channel).is_ok()
    }

    /// Adds a row and answers its place among those with the same intents.
    pub(super) fn enter(&mut self, class: ClassIndex, intents: Intents, row: RowIndex) -> u32 {
        let groups = &mut self.classes[class as usize].groups;
        let index = position(groups, intents).unwrap_or_else(|index| {
            make_room(groups);
            groups.insert(index, Group { intents, rows: Vec::new() });
            index
        });
        let rows = &mut groups[index].rows;
        make_room(rows);
        rows.push(row);
        rows.len() as u32 - 1
    }

    /// Removes the row at a place; answers the one that has moved there, if one has.
    pub(super) fn exit(&mut self, class: ClassIndex, intents: Intents, place: u32) -> Option<RowIndex> {
        let groups = &mut self.classes[class as usize].groups;
        let index = position(groups, intents).expect("a group lives as long as it has rows");
        let rows = &mut groups[index].rows;
        rows.swap_remove(place as usize);
        let moved = rows.get(place as usize).copied();
        if rows.is_empty() {
            groups.remove(index);
        }
        moved
    }

    /// The channels that are visible in `after` only, and in `before` only.
    pub(super) fn difference(
        &self,
        before: ClassIndex,
        after: ClassIndex,
    ) -> (Vec<ChannelId>, Vec<ChannelId>) {
        let (before, after) = (&self.classes[before as usize].visible, &self.classes[after as usize].visible);
        let only = |these: &[ChannelId], those: &[ChannelId]| {
            these.iter().filter(|channel| those.binary_search(channel).is_err()).copied().collect()
        };
        (only(after, before), only(before, after))
    }

    /// Forgets what signatures stand for, so that it is worked out again.
    pub(super) fn forget(&mut self, is_stale: impl Fn(&Signature) -> bool) {
        self.by_signature.retain(|signature, _| !is_stale(signature));
    }

    /// Signatures whose sight of one channel is no longer what their class has are forgotten; answers the classes that
    /// they were in, whose members are to be put where they belong.
    pub(super) fn recheck(
        &mut self,
        channel: ChannelId,
        sees: impl Fn(&Signature) -> bool,
    ) -> Vec<ClassIndex> {
        let mut stale = FxHashSet::default();
        let classes = &self.classes;
        self.by_signature.retain(|signature, class| {
            #[cfg(test)]
            self.sights.update(|[all, one]| [all, one + 1]);
            let saw = classes[*class as usize].visible.binary_search(&channel).is_ok();
            let is_stale = saw != sees(signature);
            if is_stale {
                stale.insert(*class);
            }
            !is_stale
        });
        stale.into_iter().collect()
    }

    /// Forgets classes without members.
    pub(super) fn prune(&mut self) {
        let empty: FxHashSet<ClassIndex> = self
            .classes
            .iter()
            .filter(|(_, class)| class.groups.is_empty())
            .map(|(index, _)| index as ClassIndex)
            .collect();
        if empty.is_empty() {
            return;
        }
        self.by_signature.retain(|_, class| !empty.contains(class));
        for index in empty {
            let class = self.classes.remove(index as usize);
            self.by_visible.remove(&class.visible);
            for channel in &*class.visible {
                if let Some(classes) = self.by_channel.get_mut(channel) {
                    classes.retain(|class| *class != index);
                    if classes.is_empty() {
                        self.by_channel.remove(channel);
                    }
                }
            }
        }
    }
}

impl Class {
    fn wanting(&self, intent: Intents) -> impl Iterator<Item = RowIndex> + '_ {
        let groups = self.groups.iter().filter(move |group| group.intents.contains(intent));
        groups.flat_map(|group| &group.rows).copied()
    }
}

fn position(groups: &[Group], intents: Intents) -> Result<usize, usize> {
    groups.binary_search_by_key(&intents.bits(), |group| group.intents.bits())
}
