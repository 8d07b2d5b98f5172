//! The seats of a shard's sessions in one guild, as its audience sees them.

use model::{GuildId, UserId};
use rustc_hash::FxHashMap;
use slab::Slab;

use crate::audience::{RowIndex, Seats, SessionKey};
use crate::session::Place;
use crate::shard::session::SessionSlot;

pub(in crate::shard) struct GuildSeats<'a> {
    pub(in crate::shard) guild: GuildId,
    pub(in crate::shard) sessions: &'a mut Slab<SessionSlot>,
    pub(in crate::shard) by_user: &'a FxHashMap<UserId, Vec<SessionKey>>,
}

impl Seats for GuildSeats<'_> {
    fn row_of(&self, session: SessionKey) -> Option<RowIndex> {
        self.sessions.get(session)?.session.guilds.place(self.guild)?.row
    }

    fn put(&mut self, session: SessionKey, row: RowIndex) {
        let guilds = self.sessions.get_mut(session).map(|slot| &mut slot.session.guilds);
        if let Some((guilds, place)) =
            guilds.and_then(|guilds| guilds.place(self.guild).map(|place| (guilds, place)))
        {
            guilds.open(self.guild, Place { row: Some(row), ..place });
        }
    }

    fn sessions_of(&self, user_id: UserId) -> Vec<SessionKey> {
        let sessions = self.by_user.get(&user_id).into_iter().flatten().copied();
        sessions.filter(|session| self.row_of(*session).is_some()).collect()
    }
}
