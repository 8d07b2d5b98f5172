//! The guilds of a session, and of its page, against maps and sets.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn guild(id: u64) -> GuildId {
    GuildId::new(id).unwrap()
}

proptest! {
    #[test]
    fn they_are_a_map_and_the_page_has_those_that_are_open(
        steps in proptest::collection::vec((0_u8..5, 1_u64..8, any::<u32>()), 0..60),
    ) {
        let mut states = GuildStates::default();
        let mut model: BTreeMap<u64, GuildState> = BTreeMap::new();
        let mut page = GuildList::default();
        for (what, id, number) in steps {
            let place = Place { row: Some(number).filter(|row| row % 3 != 0 && *row != NO_ROW), mark: number };
            match what {
                0 | 1 => {
                    states.open(guild(id), place);
                    model.insert(id, GuildState::Open(place));
                    page = page.with(guild(id), states.list());
                }
                2 => {
                    if !states.contains(guild(id)) {
                        states.begin(guild(id));
                        model.insert(id, GuildState::Opening);
                    }
                }
                _ => {
                    prop_assert_eq!(states.remove(guild(id)), model.remove(&id));
                    page = page.without(guild(id), states.list());
                }
            }
            let known: BTreeMap<u64, GuildState> = states.iter().map(|(id, state)| (id.get(), state)).collect();
            prop_assert_eq!(&known, &model);
            for id in 1..8 {
                prop_assert_eq!(states.get(guild(id)), model.get(&id).copied());
                prop_assert_eq!(states.is_open(guild(id)), matches!(model.get(&id), Some(GuildState::Open(_))));
            }
            let open: Vec<GuildId> = states.open_ids().collect();
            prop_assert!(open.is_sorted() && page.iter().eq(open.iter().copied()) && page.shares(&states.list()));
            prop_assert_eq!((page.len(), states.opening_count()), (open.len(), model.len() - open.len()));
        }
    }

    /// The page of a session that has come from elsewhere has all of its guilds before they are open here.
    #[test]
    fn a_page_that_has_more_keeps_it(
        before in proptest::collection::btree_set(1_u64..8, 0..6),
        steps in proptest::collection::vec((any::<bool>(), 1_u64..8), 0..30),
    ) {
        let mut states = GuildStates::default();
        let mut page: GuildList = before.iter().map(|id| guild(*id)).collect();
        let mut model: BTreeSet<u64> = before;
        for (is_opened, id) in steps {
            if is_opened {
                states.open(guild(id), Place { row: None, mark: 0 });
                model.insert(id);
                page = page.with(guild(id), states.list());
            } else {
                states.remove(guild(id));
                model.remove(&id);
                page = page.without(guild(id), states.list());
            }
            prop_assert!(page.iter().map(GuildId::get).eq(model.iter().copied()));
            let is_same = page.iter().eq(states.open_ids());
            prop_assert_eq!(is_same, page.shares(&states.list()));
        }
    }
}
