//! The state machine of presence: pods with leases, their sessions, and what others see. No I/O and no clock: it is driven
//! with the time (monotonic milliseconds), and what is to be published is taken from it.
//!
//! Nobody becomes offline because of a message that is late or repeated:
//! - A session carries an owner epoch that every taking raises. A lower one is refused, an equal one too from another pod.
//! - An ended session's epoch is remembered, so a late update does not revive it.
//! - What is missing in a complete list is not ended before the pod's next renewal counts without it: a complete list that
//!   comes late would end sessions that began after it.
//! - When a lease ends, its sessions are released at a bounded rate, and each only if no other pod has taken it and its own
//!   pod has not come back by then.

mod ended;
#[cfg(test)]
mod memory;
mod pods;
#[cfg(test)]
mod tests;
mod users;
mod voices;

use std::collections::HashMap;
use std::sync::Arc;

use model::limits;
use model::presence::Presence;
use model::voice::VoiceState;
use model::{GuildId, Member, UserId};

use ended::Ended;
use pods::Pods;
use users::Users;
pub use users::{Part, PresenceChange};
use voices::Voices;
pub use voices::{VoiceChange, VoiceOutcome};

/// A session's id.
pub type SessionKey = Arc<str>;
/// A gateway pod's name, unique for ever.
pub type PodKey = Arc<str>;

/// A change of sessions, as one pod sends it.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    pub sessions: Vec<SessionUpdate>,
    pub gone: Vec<SessionGone>,
    /// `sessions` is everything that the pod has.
    pub complete: bool,
}

/// What a session says, from its owner in this epoch.
#[derive(Debug, Clone)]
pub struct SessionUpdate {
    pub owner_epoch: u64,
    pub user_id: UserId,
    pub part: Part,
}

/// A session has ended in this epoch.
#[derive(Debug, Clone)]
pub struct SessionGone {
    pub session_id: SessionKey,
    pub owner_epoch: u64,
}

/// How much the table holds at most. The defaults are those of `model::limits`.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub pods: usize,
    pub pod_sessions: usize,
    pub user_sessions: usize,
    pub ended: usize,
    pub voice_states: usize,
    pub releases_per_sec: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            pods: limits::PRESENCE_PODS_MAX,
            pod_sessions: limits::PRESENCE_POD_SESSIONS_MAX,
            user_sessions: limits::PRESENCE_USER_SESSIONS_MAX,
            ended: limits::PRESENCE_ENDED_MAX,
            voice_states: limits::VOICE_STATES_MAX,
            releases_per_sec: limits::PRESENCE_RELEASES_PER_SEC,
        }
    }
}

/// A bound that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    #[error("presence knows {0} pods, the most that it keeps: wait for the leases of old ones to end")]
    Pods(usize),
    #[error("the pod has {0} sessions, the most that presence keeps for one: start more pods")]
    PodSessions(usize),
    #[error("the user has {0} sessions, the most that presence keeps for one: end some")]
    UserSessions(usize),
    #[error("there are {0} voice states, the most that presence keeps: try again later")]
    VoiceStates(usize),
}

/// Why a voice state was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VoiceRefused {
    #[error(transparent)]
    Full(#[from] Full),
    #[error("the session is known of another pod: send its presence first, then try again")]
    OtherPod,
    #[error("the session is another user's")]
    OtherUser,
    #[error("the session has ended: join with another one")]
    Ended,
}

/// What became of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// Entries of an epoch that is over.
    pub refused: u64,
    /// The first bound that kept a session out; all others were taken.
    pub full: Option<Full>,
}

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub pods: usize,
    pub sessions: usize,
    pub users: usize,
    pub voice_states: usize,
    /// Sessions of ended leases that wait for their release.
    pub releases_pending: usize,
    pub ended: usize,
}

/// Everything that presence knows.
#[derive(Debug, Default)]
pub struct Table {
    bounds: Bounds,
    pods: Pods,
    sessions: HashMap<SessionKey, Held>,
    ended: Ended,
    users: Users,
    voices: Voices,
    voice_changes: Vec<VoiceChange>,
}

#[derive(Debug)]
struct Held {
    owner_epoch: u64,
    pod: PodKey,
    user_id: UserId,
}

impl Table {
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, ..Self::default() }
    }

    /// Lets time pass: windows close, leases end, sessions of ended leases are released.
    pub fn advance(&mut self, now_ms: u64) {
        self.ended.advance(now_ms);
        for session in self.pods.advance(now_ms, self.bounds.releases_per_sec) {
            self.end(now_ms, &session);
        }
        self.users.advance(now_ms);
    }

    /// When [`Table::advance`] has something to do again.
    pub fn next_deadline(&self) -> Option<u64> {
        self.pods.next_deadline().into_iter().chain(self.users.next_deadline()).min()
    }

    /// Keeps the pod's sessions for another lease. Answers whether it shall send all of them again, because it counts
    /// others than are known here.
    pub fn renew(&mut self, now_ms: u64, pod: &PodKey, session_count: u64) -> Result<bool, Full> {
        self.advance(now_ms);
        self.pods.renew(now_ms, pod, self.bounds.pods)?;
        let known = self.pods.sessions(pod) as u64;
        let missing = self.pods.missing(pod) as u64;
        if missing > 0 && session_count == known - missing {
            for session in self.pods.take_missing(pod) {
                self.end(now_ms, &session);
            }
        } else if session_count == known {
            self.pods.take_missing(pod);
        } else {
            return Ok(true);
        }
        Ok(false)
    }

    /// Takes a pod's changes; they keep its lease as well.
    pub fn apply(&mut self, now_ms: u64, pod: &PodKey, batch: Batch) -> Result<Applied, Full> {
        self.advance(now_ms);
        self.pods.renew(now_ms, pod, self.bounds.pods)?;
        if batch.complete {
            self.pods.mark_all_missing(pod);
        }
        let mut applied = Applied::default();
        for update in batch.sessions {
            self.pods.unmark_missing(pod, &update.part.session_id);
            match self.update(now_ms, pod, update) {
                Ok(true) => {}
                Ok(false) => applied.refused += 1,
                Err(full) => applied.full = applied.full.or(Some(full)),
            }
        }
        for gone in batch.gone {
            applied.refused += u64::from(!self.gone(now_ms, pod, gone));
        }
        Ok(applied)
    }

    /// Joins, moves, leaves or changes flags, for a session of this pod. Only who leaves may come without a member. It may come before the session's presence does.
    pub fn set_voice(
        &mut self,
        now_ms: u64,
        pod: &PodKey,
        state: VoiceState,
        member: impl Into<Option<Member>>,
    ) -> Result<VoiceOutcome, VoiceRefused> {
        self.advance(now_ms);
        self.pods.renew(now_ms, pod, self.bounds.pods)?;
        let session: SessionKey = state.session_id.as_str().into();
        let is_new = !self.voices.holds(state.guild_id, state.user_id);
        match self.sessions.get(&session) {
            Some(held) if held.user_id != state.user_id => return Err(VoiceRefused::OtherUser),
            Some(held) if held.pod != *pod => return Err(VoiceRefused::OtherPod),
            // A late message: what it would change belongs to another session by now, or has ended.
            None if self.ended.covers(&session, 0) => return Err(VoiceRefused::Ended),
            _ if state.channel_id.is_some() && is_new && self.voices.count() >= self.bounds.voice_states => {
                return Err(Full::VoiceStates(self.bounds.voice_states).into());
            }
            None if state.channel_id.is_some() => {
                // Epoch 0: whatever the session's presence says later is newer.
                self.pods.add(pod, &session, self.bounds.pod_sessions)?;
                let held = Held { owner_epoch: 0, pod: pod.clone(), user_id: state.user_id };
                self.sessions.insert(session.clone(), held);
            }
            _ => {}
        }
        Ok(self.voices.set(session, state, member.into().map(Arc::new)))
    }

    pub fn take_presences(&mut self) -> Vec<PresenceChange> {
        self.users.take_changes()
    }

    /// The voice states that ended because their sessions did.
    pub fn take_voices(&mut self) -> Vec<VoiceChange> {
        std::mem::take(&mut self.voice_changes)
    }

    /// What was published last of the user; `None` when that is offline.
    pub fn presence(&self, user: UserId) -> Option<&Presence> {
        self.users.shown(user)
    }

    /// Those who are seen in the guild and are not offline, at most `limit`.
    pub fn presences_in(&self, guild: GuildId, limit: usize) -> impl Iterator<Item = &Presence> {
        self.users.in_guild(guild, limit)
    }

    pub fn voices_in(&self, guild: GuildId) -> impl Iterator<Item = &VoiceState> {
        self.voices.list(guild)
    }

    pub fn counts(&self) -> Counts {
        Counts {
            pods: self.pods.len(),
            sessions: self.sessions.len(),
            users: self.users.count(),
            voice_states: self.voices.count(),
            releases_pending: self.pods.releases_pending(),
            ended: self.ended.len(),
        }
    }

    fn update(&mut self, now_ms: u64, pod: &PodKey, update: SessionUpdate) -> Result<bool, Full> {
        let SessionUpdate { owner_epoch, user_id, part } = update;
        let session = part.session_id.clone();
        if self.ended.covers(&session, owner_epoch) {
            return Ok(false);
        }
        let before = self.sessions.get(&session);
        if let Some(held) = before {
            let is_late =
                owner_epoch < held.owner_epoch || (owner_epoch == held.owner_epoch && held.pod != *pod);
            if is_late || held.user_id != user_id {
                return Ok(false);
            }
        }
        if before.is_none() && self.users.sessions_of(user_id) >= self.bounds.user_sessions {
            return Err(Full::UserSessions(self.bounds.user_sessions));
        }
        self.pods.add(pod, &session, self.bounds.pod_sessions)?;
        let held = Held { owner_epoch, pod: pod.clone(), user_id };
        if let Some(old) = self.sessions.insert(session.clone(), held).filter(|old| old.pod != *pod) {
            self.pods.remove(&old.pod, &session);
        }
        self.users.put(now_ms, user_id, part);
        Ok(true)
    }

    fn gone(&mut self, now_ms: u64, pod: &PodKey, gone: SessionGone) -> bool {
        let SessionGone { session_id, owner_epoch } = gone;
        if let Some(held) = self.sessions.get(&session_id) {
            let is_late =
                owner_epoch < held.owner_epoch || (owner_epoch == held.owner_epoch && held.pod != *pod);
            if is_late {
                return false;
            }
            self.end(now_ms, &session_id);
        }
        self.ended.remember(now_ms, session_id, owner_epoch, self.bounds.ended);
        true
    }

    fn end(&mut self, now_ms: u64, session: &SessionKey) {
        let Some(held) = self.sessions.remove(session) else { return };
        self.pods.remove(&held.pod, session);
        self.users.remove(now_ms, held.user_id, session);
        self.voice_changes.extend(self.voices.end_session(session));
    }
}
