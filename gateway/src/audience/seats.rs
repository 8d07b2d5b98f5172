//! Where sessions sit. The table lists sessions by row; which row is a session's own is kept by the session, so that neither a user
//! nor a session has to be looked for in each guild.

use model::UserId;

use super::SessionKey;

/// The row of a session in a guild's table.
pub type RowIndex = u32;

/// What the sessions of a shard remember of one guild.
pub trait Seats {
    /// `None` of a session that does not sit in the guild.
    fn row_of(&self, session: SessionKey) -> Option<RowIndex>;

    fn put(&mut self, session: SessionKey, row: RowIndex);

    /// The sessions of a user that sit in the guild.
    fn sessions_of(&self, user_id: UserId) -> Vec<SessionKey>;
}
