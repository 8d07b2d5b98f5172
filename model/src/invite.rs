//! Invites to a guild.

use crate::{ChannelId, GuildId, Timestamp, UserId};

/// An invite as it is stored; its JSON is made where guild, channel and inviter are at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    pub code: String,
    pub guild_id: GuildId,
    pub channel_id: ChannelId,
    pub inviter_id: UserId,
    pub created_at: Timestamp,
    /// Seconds; 0 never ends.
    pub max_age: u32,
    /// 0 has no bound.
    pub max_uses: u32,
    pub uses: u32,
    pub temporary: bool,
}

impl Invite {
    pub fn expires_at(&self) -> Option<Timestamp> {
        (self.max_age > 0).then(|| Timestamp::from_ms(self.created_at.ms() + u64::from(self.max_age) * 1000))
    }

    /// Whether it still lets somebody in.
    pub fn is_usable(&self, now: Timestamp) -> bool {
        self.expires_at().is_none_or(|end| now < end) && (self.max_uses == 0 || self.uses < self.max_uses)
    }
}
