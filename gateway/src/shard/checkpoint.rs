//! What a session leaves in case its pod dies: a checkpoint, in the registry of owners.
//!
//! A new session leaves its first one before READY, so that there is none that can't be resumed; then it leaves one when its
//! client has confirmed something. A checkpoint lies below everything that the client may lack. Whoever takes the session from it
//! gives what came since once more: repeats, of what came since the last heartbeat, and no loss.
//!
//! They are written once a second for all sessions that have something new, some at a time: a second portion waits until the
//! first is through, so a slow registry makes checkpoints older and nothing else.

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use backplane::{OwnedSession, Parked, Record};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use model::{GuildId, limits};
use rustc_hash::FxHasher;
use tokio::time::timeout;

use super::guild::Known;
use super::{Shard, ShardRef};
use crate::audience::SessionKey;
use crate::parcel::Parcel;
use crate::positions::Seen;
use crate::services::Services;
use crate::session::SessionId;
use crate::stats::Count;

/// Sessions whose checkpoint is to be written.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    waiting: VecDeque<(SessionKey, SessionId)>,
    is_writing: bool,
}

/// What a session has left so far. Every session has one, so it is small.
#[derive(Debug, Default)]
pub(super) struct Left {
    is_waiting: bool,
    /// Of what was written last; 0 of nothing, or where the outcome is not known.
    digest: u32,
    /// When, in seconds.
    written_at: u32,
    /// What came from elsewhere is of use until the client has confirmed everything that it was given when it arrived.
    until_confirmed: Until,
}

/// Up to where the client has to have confirmed before a checkpoint of this pod is better than what was left elsewhere.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Until {
    /// The session began here.
    #[default]
    Nothing,
    /// Its guilds are still arriving.
    Arrived,
    Number(u32),
}

/// A checkpoint on its way.
struct Writing {
    key: SessionKey,
    id: SessionId,
    epoch: u64,
    digest: u32,
    bytes: Bytes,
}

impl Checkpoints {
    /// Whether some are on their way.
    pub(super) fn is_writing(&self) -> bool {
        self.is_writing
    }
}

impl Left {
    /// Of a session that has come from elsewhere.
    pub(super) fn elsewhere() -> Self {
        Self { until_confirmed: Until::Arrived, ..Self::default() }
    }
}

impl Shard {
    /// The session's client has confirmed something.
    pub(super) fn checkpoint_soon(&mut self, key: SessionKey) {
        if self.services.neighbours.is_none() || self.is_draining() {
            return;
        }
        let Some(slot) = self.sessions.get_mut(key).filter(|slot| !slot.left.is_waiting) else { return };
        slot.left.is_waiting = true;
        let id = slot.session.profile.id;
        self.checkpoints.waiting.push_back((key, id));
    }

    /// Writes those that are waiting, unless the last portion is not through.
    pub(super) fn write_checkpoints(&mut self, me: &ShardRef) {
        if self.checkpoints.is_writing || self.checkpoints.waiting.is_empty() || self.is_draining() {
            return;
        }
        let waiting = std::mem::take(&mut self.checkpoints.waiting);
        let writings: Vec<Writing> =
            waiting.into_iter().filter_map(|(key, id)| self.next_checkpoint(key, id)).collect();
        self.checkpoints.is_writing = true;
        let (me, services) = (me.clone(), self.services.clone());
        self.tasks.spawn(async move {
            let lifetime = lifetime(&services);
            let written = stream::iter(writings).map(|writing| write(&services, lifetime, writing));
            let mut written = written.buffer_unordered(limits::CHECKPOINTS_AT_ONCE);
            while let Some((writing, outcome)) = written.next().await {
                me.borrow_mut().checkpoint_written(&writing, outcome);
            }
            me.borrow_mut().checkpoints.is_writing = false;
        });
    }

    /// The checkpoint of a session, if it says something new.
    fn next_checkpoint(&mut self, key: SessionKey, id: SessionId) -> Option<Writing> {
        let (now_ms, zombie_ms) = (self.services.now_ms(), self.services.zombie_ms());
        self.session(key, id)?.left.is_waiting = false;
        if !self.is_settled(key) {
            return None;
        }
        let parcel = self.checkpoint(key)?;
        let epoch = parcel.epoch;
        let bytes = parcel.encode().ok()?;
        let digest = digest(&bytes);
        let left = &self.sessions[key].left;
        // One that says nothing new is written for its lifetime alone, once in a while.
        if left.digest == digest && now_ms < u64::from(left.written_at) * 1_000 + zombie_ms {
            return None;
        }
        Some(Writing { key, id, epoch, digest, bytes })
    }

    /// Whether this pod can say better what the client lacks than what was left where the session came from.
    fn is_settled(&mut self, key: SessionKey) -> bool {
        let Some(slot) = self.sessions.get_mut(key) else { return false };
        if slot.left.until_confirmed == Until::Arrived && slot.arrivals.is_none() && slot.created.is_none() {
            slot.left.until_confirmed = Until::Number(slot.session.seq());
        }
        let confirmed = slot.session.confirmed_seq();
        match slot.left.until_confirmed {
            Until::Nothing => true,
            Until::Arrived => false,
            Until::Number(seq) if confirmed < u64::from(seq) => false,
            Until::Number(_) => {
                slot.left.until_confirmed = Until::Nothing;
                true
            }
        }
    }

    /// The session as its client has confirmed it, with a position below everything that it may lack.
    pub(super) fn checkpoint(&self, key: SessionKey) -> Option<Parcel> {
        let slot = self.sessions.get(key)?;
        let session = &slot.session;
        let seen = self.seen.before(session.unconfirmed_since_ms(&self.rings)?)?;
        let mut parcel = self.pack(key, session.seq().into(), seen)?;
        parcel.entries = None;
        parcel.seq = session.confirmed_seq();
        let of_user = self.services.backplane.layout().user(session.profile.user_id);
        parcel.position.user = slot.user_floor.max(seen.users(of_user));
        let unconfirmed: Vec<GuildId> = session.unconfirmed_guilds().collect();
        parcel.open.retain_mut(|guild| {
            if let Some(known) = self.known_at(key, guild.id, seen) {
                (guild.revision, guild.after) = (known.revision, known.after);
            }
            !unconfirmed.contains(&guild.id)
        });
        parcel.to_create.splice(0..0, unconfirmed);
        Some(parcel)
    }

    /// What a session that has the guild open had of it at an earlier position.
    fn known_at(&self, key: SessionKey, guild: GuildId, seen: &Seen) -> Option<Known> {
        let known = self.known(key, guild)?;
        let revised = self
            .guilds
            .get(&guild)?
            .marks
            .revision_at(seen.guilds(self.services.backplane.layout().guild(guild)));
        Some(Known { revision: known.revision.max(revised), ..known })
    }

    fn checkpoint_written(&mut self, writing: &Writing, outcome: Outcome) {
        let now_ms = self.services.now_ms();
        let stats = &self.services.stats;
        match outcome {
            Outcome::Written => stats.checkpoints.add(1),
            Outcome::Failed => stats.checkpoints_failed.add(1),
            Outcome::Overtaken => return self.overtaken(writing.id, writing.epoch),
        }
        let is_written = outcome == Outcome::Written;
        if let Some(slot) = self.session(writing.key, writing.id) {
            slot.left.digest = if is_written { writing.digest } else { 0 };
            slot.left.written_at = (now_ms / 1_000) as u32;
        } else if is_written {
            // It ended meanwhile, and nobody may take it any more. In a later epoch it goes on elsewhere, and stays.
            self.end_ownership(writing.id, writing.epoch);
        }
    }
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Written,
    Failed,
    Overtaken,
}

async fn write(services: &Services, lifetime: Duration, writing: Writing) -> (Writing, Outcome) {
    let owned = OwnedSession { id: writing.id.to_string(), epoch: writing.epoch };
    let outcome = leave(services, &owned, writing.bytes.clone(), lifetime).await;
    (writing, outcome)
}

async fn leave(services: &Services, owned: &OwnedSession, bytes: Bytes, lifetime: Duration) -> Outcome {
    let Ok(record) = Record::new(bytes) else { return Outcome::Failed };
    let parked = services.sessions.park(owned, &services.pod, record, lifetime);
    match timeout(Duration::from_millis(limits::CHECKPOINT_MS), parked).await {
        Ok(Ok(Parked::Stored)) => Outcome::Written,
        Ok(Ok(Parked::Overtaken(_))) => Outcome::Overtaken,
        Ok(Err(_)) | Err(_) => Outcome::Failed,
    }
}

/// Leaves the checkpoint of a session that has not begun. A registry that is away holds nobody up for longer than a moment.
pub(super) async fn leave_first(services: &Services, parcel: &Parcel) {
    if services.neighbours.is_none() {
        return;
    }
    let owned = OwnedSession { id: parcel.profile.id.to_string(), epoch: parcel.epoch };
    let Ok(bytes) = parcel.encode() else { return services.stats.checkpoints_failed.add(1) };
    match leave(services, &owned, bytes, lifetime(services)).await {
        Outcome::Written => services.stats.checkpoints.add(1),
        Outcome::Failed | Outcome::Overtaken => services.stats.checkpoints_failed.add(1),
    }
}

/// As long as a client can be silent and then still resume, and for one more time between two checkpoints.
pub(super) fn lifetime(services: &Services) -> Duration {
    Duration::from_millis(services.settings.resume_ms + 3 * services.zombie_ms())
}

fn digest(bytes: &[u8]) -> u32 {
    let mut hasher = FxHasher::default();
    bytes.hash(&mut hasher);
    ((hasher.finish() >> 32) as u32).max(1)
}
