//! What is told to the table, and what it answers.

use std::sync::Arc;

use model::limits;
use model::voice::VoiceState;
use model::{Member, UserId};

use super::users::Part;

/// A session's id.
pub type SessionKey = Arc<str>;
/// A gateway pod's name, unique for ever.
pub type PodKey = Arc<str>;

/// A change of sessions, or a part of the list of all of them, as one pod sends it.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    pub sessions: Vec<SessionUpdate>,
    pub gone: Vec<SessionGone>,
    pub list: Option<ListPart>,
    /// In a list: voice states that sessions hold.
    pub voices: Vec<HeldVoice>,
}

/// Which part of a list a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListPart {
    pub is_first: bool,
    pub is_last: bool,
}

/// What a session says, from its owner in this epoch.
#[derive(Debug, Clone)]
pub struct SessionUpdate {
    pub owner_epoch: u64,
    pub user_id: UserId,
    pub part: Part,
    /// Of all of it.
    pub digest: u64,
}

/// A session has ended in this epoch.
#[derive(Debug, Clone)]
pub struct SessionGone {
    pub session_id: SessionKey,
    pub owner_epoch: u64,
}

/// Somebody is in a voice channel.
#[derive(Debug, Clone)]
pub struct HeldVoice {
    pub state: VoiceState,
    pub member: Member,
}

/// What a pod believes to be known of it: how many sessions, and the XOR of their digests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Claim {
    pub session_count: u64,
    pub digest: u64,
}

/// How much the table holds at most, and how long. The defaults are those of `model::limits`.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub pods: usize,
    pub pod_sessions: usize,
    pub user_sessions: usize,
    pub ended: usize,
    pub voice_states: usize,
    pub releases_per_sec: usize,
    /// How long a pod is believed to live that does not call.
    pub lease_ms: u64,
    /// How long the roster goes without naming such a pod before it is taken for gone: longer than all pods need to write
    /// themselves into one that is empty.
    pub absence_ms: u64,
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
            lease_ms: limits::PRESENCE_LEASE_MS,
            absence_ms: limits::PRESENCE_SETTLE_MS,
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
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// Nothing was known of the pod, or not the beginning of its list: it shall send a list.
    pub is_unknown: bool,
    /// Sessions that were not taken: their epoch is over, or there is no room. Ends that came too late are not among them.
    pub refused: Vec<SessionKey>,
    /// Ends of an epoch that is over.
    pub late_ends: u64,
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
    /// Pods that have not called for longer than their lease, and are kept because the roster has not confirmed it.
    pub pods_held: usize,
    /// Pods that live and whose sessions are not known yet.
    pub pods_unheard: usize,
}
