//! The state machine of presence: pods with leases, their sessions, and what others see. No I/O and no clock: it is driven
//! with the time (monotonic milliseconds), and what is to be published is taken from it.
//!
//! Nobody becomes offline because of a message that is late or repeated, or because a link is broken:
//! - A session carries an owner epoch that every taking raises. A lower one is refused, an equal one too from another pod.
//! - An ended session's epoch is remembered, so a late update does not revive it.
//! - What is missing in a list is not ended before the pod's next claim is one without it: a list that comes late would end
//!   sessions that began after it.
//! - A lease ends only if the roster agrees that the pod is gone. Then its sessions are released at a bounded rate, and each
//!   only if no other pod has taken it and its own pod has not come back by then.
//! - A table that begins in the middle of things is *unsettled* until it has read the roster and heard every pod that lives.
//!   So long it says of nobody that they are offline, and its readers are told that it may not know everything.

mod batch;
mod ended;
#[cfg(test)]
mod memory;
mod pods;
#[cfg(test)]
mod tests;
mod users;
mod voices;

use std::sync::Arc;

use model::presence::Presence;
use model::voice::VoiceState;
use model::{GuildId, Member, UserId};
use rustc_hash::FxHashMap;

pub use batch::{
    Applied, Batch, Bounds, Claim, Counts, Full, HeldVoice, ListPart, PodKey, SessionGone, SessionKey,
    SessionUpdate, VoiceRefused,
};
use ended::Ended;
use pods::{Pods, Verdict};
pub use users::{Part, PresenceChange};
use users::{Users, Word};
use voices::Voices;
pub use voices::{VoiceChange, VoiceOutcome};

/// Everything that presence knows.
#[derive(Debug, Default)]
pub struct Table {
    bounds: Bounds,
    /// Until then the roster may name pods that have not been able to call; `None` once everything is known.
    settles_from_ms: Option<u64>,
    pods: Pods,
    sessions: FxHashMap<SessionKey, Held>,
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
    /// A table at the beginning of things: nobody knows more than it does.
    pub fn new(bounds: Bounds) -> Self {
        Self { bounds, ..Self::default() }
    }

    /// A table in the place of one that has ended. From `settles_from_ms` on every pod that lives is in the roster.
    pub fn unsettled(bounds: Bounds, settles_from_ms: u64) -> Self {
        let mut table = Self { bounds, settles_from_ms: Some(settles_from_ms), ..Self::default() };
        table.users.set_unsettled(true);
        table
    }

    /// Lets time pass: windows close, leases end, sessions of ended leases are released.
    pub fn advance(&mut self, now_ms: u64) {
        self.ended.advance(now_ms);
        for session in self.pods.advance(now_ms, &self.bounds) {
            self.end(now_ms, &session);
        }
        self.users.advance(now_ms);
    }

    /// When [`Table::advance`] has something to do again.
    pub fn next_deadline(&self, now_ms: u64) -> Option<u64> {
        self.pods.next_deadline(now_ms).into_iter().chain(self.users.next_deadline()).min()
    }

    /// Takes what the roster says: the pods that live, and the time that is left to each.
    pub fn read_roster(&mut self, now_ms: u64, living: impl IntoIterator<Item = (PodKey, u64)>) {
        self.pods.read_roster(now_ms, living);
        self.settle();
        self.advance(now_ms);
    }

    /// The roster could not be read.
    pub fn roster_failed(&mut self) {
        self.pods.roster_failed();
    }

    /// Whether a reader has to know that somebody who is not shown may be online, or somebody who is shown may not.
    pub fn is_stale(&self, now_ms: u64) -> bool {
        self.settles_from_ms.is_some() || self.pods.unheard() > 0 || self.pods.held(now_ms) > 0
    }

    /// Whether a lease has ended as far as calls go, and the roster has to be asked.
    pub fn needs_roster(&self, now_ms: u64) -> bool {
        self.pods.held(now_ms) > 0
    }

    /// Keeps the pod's sessions for another lease. Answers whether it shall send all of them again, because it believes
    /// others to be known than are.
    pub fn renew(&mut self, now_ms: u64, pod: &PodKey, claim: Option<Claim>) -> Result<bool, Full> {
        self.advance(now_ms);
        self.pods.renew(now_ms, pod, &self.bounds)?;
        let Some(claim) = claim else { return Ok(false) };
        match self.pods.judge(pod, claim) {
            Verdict::Same => Ok(false),
            Verdict::Different => Ok(true),
            Verdict::SameWithout(missing) => {
                missing.iter().for_each(|session| self.end(now_ms, session));
                Ok(false)
            }
        }
    }

    /// Takes a pod's changes, or a part of its list; they keep its lease as well.
    pub fn apply(&mut self, now_ms: u64, pod: &PodKey, batch: Batch) -> Result<Applied, Full> {
        self.advance(now_ms);
        let is_new = self.pods.renew(now_ms, pod, &self.bounds)?;
        let is_known = batch.list.map_or(!is_new, |part| self.pods.list(pod, part.is_first));
        let mut applied = Applied { is_unknown: !is_known, ..Applied::default() };
        let word = if batch.list.is_some() { Word::Listed } else { Word::News };
        for update in batch.sessions {
            let session = update.part.session_id.clone();
            self.pods.unmark_missing(pod, &session);
            match self.update(now_ms, pod, update, word) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(full) => applied.full = applied.full.or(Some(full)),
            }
            applied.refused.push(session);
        }
        for gone in batch.gone {
            applied.late_ends += u64::from(!self.gone(now_ms, pod, gone));
        }
        self.restore_voices(pod, batch.voices);
        if is_known && batch.list.is_some_and(|part| part.is_last) {
            self.pods.end_list(pod);
            self.settle();
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
        self.pods.renew(now_ms, pod, &self.bounds)?;
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
                self.pods.add(pod, &session, 0, self.bounds.pod_sessions)?;
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

    /// Those who are seen in the guild and are not offline.
    pub fn presences_in(&self, guild: GuildId) -> impl Iterator<Item = &Presence> {
        self.users.in_guild(guild)
    }

    /// The XOR of the digests of those.
    pub fn digest_of(&self, guild: GuildId) -> u64 {
        self.users.digest_of(guild)
    }

    pub fn voices_in(&self, guild: GuildId) -> impl Iterator<Item = &VoiceState> {
        self.voices.list(guild)
    }

    pub fn counts(&self, now_ms: u64) -> Counts {
        Counts {
            pods: self.pods.len(),
            sessions: self.sessions.len(),
            users: self.users.count(),
            voice_states: self.voices.count(),
            releases_pending: self.pods.releases_pending(),
            ended: self.ended.len(),
            pods_held: self.pods.held(now_ms),
            pods_unheard: self.pods.unheard(),
        }
    }

    /// Whether everybody who lives has been heard.
    fn settle(&mut self) {
        let has_read =
            self.settles_from_ms.is_some_and(|from_ms| self.pods.roster_read_at_ms() >= Some(from_ms));
        if has_read && self.pods.unheard() == 0 {
            self.settles_from_ms = None;
            self.users.set_unsettled(false);
        }
    }

    /// Puts voice states back that a list tells of. Whoever listens knows them already, unless they were ended here.
    fn restore_voices(&mut self, pod: &PodKey, voices: Vec<HeldVoice>) {
        for HeldVoice { state, member } in voices {
            let session: SessionKey = state.session_id.as_str().into();
            let is_theirs = self
                .sessions
                .get(&session)
                .is_some_and(|held| held.pod == *pod && held.user_id == state.user_id);
            let is_held = self.voices.holds(state.guild_id, state.user_id);
            if !is_theirs || is_held || self.voices.count() >= self.bounds.voice_states {
                continue;
            }
            let outcome = self.voices.set(session, state, Some(Arc::new(member)));
            if self.settles_from_ms.is_none() {
                self.voice_changes.extend(outcome.change);
            }
        }
    }

    fn update(&mut self, now_ms: u64, pod: &PodKey, update: SessionUpdate, word: Word) -> Result<bool, Full> {
        let SessionUpdate { owner_epoch, user_id, part, digest } = update;
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
        self.pods.add(pod, &session, digest, self.bounds.pod_sessions)?;
        let held = Held { owner_epoch, pod: pod.clone(), user_id };
        if let Some(old) = self.sessions.insert(session.clone(), held).filter(|old| old.pod != *pod) {
            self.pods.remove(&old.pod, &session);
        }
        self.users.put(now_ms, user_id, part, word);
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
