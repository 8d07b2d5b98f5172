//! What is known of few members, and of most guilds' of none.

use model::{Timestamp, UserId};
use rustc_hash::FxHashMap;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Noted(Option<Box<Notes>>);

#[derive(Debug, Default)]
struct Notes {
    /// Up to which revision a member is known.
    recent: FxHashMap<UserId, u64>,
    timed_out: FxHashMap<UserId, Timestamp>,
}

impl Noted {
    pub(super) fn recent(&self, user_id: UserId) -> Option<u64> {
        self.0.as_ref()?.recent.get(&user_id).copied()
    }

    pub(super) fn set_recent(&mut self, user_id: UserId, revision: u64) {
        self.0.get_or_insert_default().recent.insert(user_id, revision);
    }

    /// Forgets what lies below a revision.
    pub(super) fn forget_below(&mut self, revision: u64) {
        if let Some(notes) = &mut self.0 {
            notes.recent.retain(|_, known| *known >= revision);
            self.forget_if_empty();
        }
    }

    pub(super) fn timed_out_until(&self, user_id: UserId) -> Option<Timestamp> {
        self.0.as_ref()?.timed_out.get(&user_id).copied()
    }

    pub(super) fn set_timed_out(&mut self, user_id: UserId, until: Option<Timestamp>) {
        match (until, &mut self.0) {
            (Some(until), notes) => drop(notes.get_or_insert_default().timed_out.insert(user_id, until)),
            (None, Some(notes)) => {
                notes.timed_out.remove(&user_id);
                self.forget_if_empty();
            }
            (None, None) => {}
        }
    }

    fn forget_if_empty(&mut self) {
        if self.0.as_ref().is_some_and(|notes| notes.recent.is_empty() && notes.timed_out.is_empty()) {
            self.0 = None;
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}
