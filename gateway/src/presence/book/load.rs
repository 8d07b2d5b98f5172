//! How much goes into one batch: so many sessions, and so many guilds of theirs, for a bot can have very many.

use model::limits::{PRESENCE_BATCH_GUILDS_MAX, PRESENCE_BATCH_MAX};

use super::Page;

#[derive(Debug, Default)]
pub(super) struct Load {
    sessions: usize,
    guilds: usize,
}

impl Load {
    /// Of one session alone, which always goes.
    pub(super) fn of(page: &Page) -> Self {
        Self { sessions: 1, guilds: page.guilds.len() }
    }

    /// Whether one more session goes in; then it counts.
    pub(super) fn takes(&mut self, page: &Page) -> bool {
        let with = Self { sessions: self.sessions + 1, guilds: self.guilds + page.guilds.len() };
        let goes = self.sessions == 0
            || (with.sessions <= PRESENCE_BATCH_MAX && with.guilds <= PRESENCE_BATCH_GUILDS_MAX);
        if goes {
            *self = with;
        }
        goes
    }
}
