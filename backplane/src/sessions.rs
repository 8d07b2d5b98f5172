//! Who owns a session, and what a session has left for whoever takes it.
//!
//! A session has one owner at a time, a pod, in an *epoch* that every taking raises by one. Whoever takes it says which
//! epoch he knows; if that is no longer the present one, he is told who has it. So of two pods that a client resumes at,
//! one wins. What an owner says of a session carries its epoch, and a lower one is refused everywhere.
//!
//! Losing all of this loses no epoch: an owner knows his own and makes the entry anew when he renews it, and a taker who
//! learned of an epoch elsewhere (from the old pod, from a record) goes on from there.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use model::limits::SESSION_RECORD_BYTES_MAX;

use crate::port::Unavailable;
use crate::registry::PodName;

/// The owners and records of sessions. Entries end by themselves unless they are renewed.
#[async_trait]
pub trait Sessions: Send + Sync + 'static {
    /// The pod becomes the owner in the epoch after `from_epoch` (0 for a new session), unless the session is in a later
    /// one. A pod that is told that it has the epoch which it asked for has taken it before: the answer got lost.
    async fn take(&self, session: &str, pod: &PodName, from_epoch: u64) -> Result<Taken, Unavailable>;

    /// What is known of the session.
    async fn look(&self, session: &str) -> Result<Option<SessionEntry>, Unavailable>;

    /// Keeps the entries of sessions that the pod owns for `REGISTRY_ENTRY_MS`, and makes those anew that are not there.
    /// Answers the sessions that are in a later epoch: others own them now.
    async fn renew(&self, pod: &PodName, sessions: &[OwnedSession])
    -> Result<Vec<OwnedSession>, Unavailable>;

    /// Leaves a record for the next owner, in place of an earlier one, for at least `lifetime`.
    async fn park(
        &self,
        session: &OwnedSession,
        pod: &PodName,
        record: Record,
        lifetime: Duration,
    ) -> Result<Parked, Unavailable>;

    /// The session is over. In a later epoch it goes on elsewhere, and stays.
    async fn end(&self, session: &OwnedSession) -> Result<(), Unavailable>;
}

/// A session, and the epoch in which somebody owns it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OwnedSession {
    pub id: String,
    pub epoch: u64,
}

/// Who owns a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub pod: PodName,
    pub epoch: u64,
}

/// What became of a taking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// The caller owns it, in this epoch.
    Ours(u64),
    /// It is in a later epoch than the caller knew.
    Held(Owner),
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parked {
    Stored,
    /// The session is in a later epoch.
    Overtaken(Owner),
}

/// What an owner leaves of a session: of at most [`SESSION_RECORD_BYTES_MAX`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record(Bytes);

/// There is more to leave of a session than a record takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the record of a session has {0} bytes, {SESSION_RECORD_BYTES_MAX} are allowed")]
pub struct RecordTooLong(pub usize);

impl Record {
    pub fn new(bytes: Bytes) -> Result<Self, RecordTooLong> {
        if bytes.len() > SESSION_RECORD_BYTES_MAX { Err(RecordTooLong(bytes.len())) } else { Ok(Self(bytes)) }
    }

    pub fn into_bytes(self) -> Bytes {
        self.0
    }
}

/// A session as the registry knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionEntry {
    pub owner: Owner,
    /// What an owner left, in this epoch or an earlier one.
    pub record: Option<Bytes>,
}
