//! A shard in virtual time: real shards, intake and sessions, on one thread, with fakes of everything around them.
//!
//! A [`rig::Sim`] has shards and an intake as a gateway has, an in-process backplane whose deliveries can be held and
//! dropped ([`gated`]), a directory that says what is true ([`world`]), services that answer from it and can be made to
//! wait or fail ([`fakes`]), and clients on sockets in memory ([`client`]). Time is tokio's, paused: it moves when nothing
//! else does, so every order of arrival can be written down, and a run repeats itself.

mod attendance;
mod client;
mod fakes;
mod gated;
mod links;
mod pods;
mod rig;
mod world;

mod batch;
mod bots;
mod closing;
mod drain;
mod forms;
mod gap;
mod left;
mod membership;
mod opening;
mod presence;
mod private;
mod registration;
mod replay;
mod resume;
mod revocation;
mod schedule;
mod sharing;
mod slow;
mod starts;
mod taking;
mod voice;

use model::{GuildId, UserId};

use super::Shard;
use crate::audience::SessionKey;
use crate::session::{GuildState, SessionId};

/// An opening that ended with a GUILD_CREATE: what it covers is exactly what the session gets no more.
#[derive(Debug, Clone, Copy)]
pub struct Admission {
    pub session: SessionId,
    pub guild: GuildId,
    pub user: UserId,
    pub at_ms: u64,
    /// The sequence of the GUILD_CREATE.
    pub seq: u32,
    pub revision: u64,
    pub after: u64,
}

impl Shard {
    pub(super) fn note_admission(&mut self, key: SessionKey, guild: GuildId) {
        let at_ms = self.services.now_ms();
        let session = &self.sessions[key].session;
        if let Some(GuildState::Open { revision, after }) = session.guilds.get(&guild).copied() {
            let (profile, seq) = (&session.profile, session.seq());
            let (session, user) = (profile.id, profile.user_id);
            self.admissions.push(Admission { session, guild, user, at_ms, seq, revision, after });
        }
    }
}
