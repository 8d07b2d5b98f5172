//! What this pod has told, and has yet to tell, the presence service about its sessions.
//!
//! Shards write into the book and never wait; one task sends what changed in batches, renews the pod's lease, and sends
//! everything again when the service asks for it. While the service is away the book is the queue: the last word of
//! each session counts, so it is bounded by the number of sessions.

use std::sync::Arc;
use std::time::Duration;

use model::presence::{Platform, Status};
use model::{GuildId, UserId, limits};
use parking_lot::Mutex;
use proto::{Failure, FailureKind, convert, v1};
use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::services::Services;
use crate::session::SessionId;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct PresenceBook {
    pages: Mutex<Pages>,
    changed: Notify,
}

/// What one session says. In the form of the call it would take four times as much.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) user_id: UserId,
    pub(crate) status: Status,
    pub(crate) platform: Platform,
    /// A JSON array, or empty.
    pub(crate) activities_json: Box<str>,
    /// Guilds that the session has open.
    pub(crate) guild_ids: Vec<GuildId>,
}

impl Page {
    fn wire(&self, id: SessionId) -> v1::SessionPresence {
        v1::SessionPresence {
            session_id: id.to_string(),
            owner_epoch: OWNER_EPOCH,
            user_id: self.user_id.get(),
            status: v1::Status::from(self.status).into(),
            platform: self.platform as u32,
            activities_json: self.activities_json.to_string(),
            guild_ids: convert::numbers(&self.guild_ids),
        }
    }
}

#[derive(Debug, Default)]
struct Pages {
    sessions: FxHashMap<SessionId, Page>,
    dirty: FxHashSet<SessionId>,
    gone: FxHashMap<SessionId, v1::SessionGone>,
}

impl PresenceBook {
    /// A session's presence, from now on.
    pub(crate) fn set(&self, id: SessionId, presence: Page) {
        let mut pages = self.pages.lock();
        pages.sessions.insert(id, presence);
        pages.dirty.insert(id);
        self.changed.notify_one();
    }

    /// Changes what is there of a session.
    pub(crate) fn update(&self, id: SessionId, change: impl FnOnce(&mut Page)) {
        let mut pages = self.pages.lock();
        if let Some(presence) = pages.sessions.get_mut(&id) {
            change(presence);
            pages.dirty.insert(id);
            self.changed.notify_one();
        }
    }

    /// The session has ended.
    pub(crate) fn remove(&self, id: SessionId) {
        let mut pages = self.pages.lock();
        pages.dirty.remove(&id);
        if pages.sessions.remove(&id).is_some() {
            let gone = v1::SessionGone { session_id: id.to_string(), owner_epoch: OWNER_EPOCH };
            pages.gone.insert(id, gone);
            self.changed.notify_one();
        }
    }

    fn batch(&self, pod: &str, complete: bool) -> v1::UpdateSessionsRequest {
        let mut pages = self.pages.lock();
        let dirty: Vec<SessionId> = match complete {
            true => pages.dirty.drain().collect(),
            false => pages.dirty.iter().copied().take(limits::PRESENCE_BATCH_MAX).collect(),
        };
        for id in &dirty {
            pages.dirty.remove(id);
        }
        if pages.dirty.is_empty() {
            pages.dirty = FxHashSet::default();
        }
        if !pages.dirty.is_empty() {
            self.changed.notify_one();
        }
        let gone = std::mem::take(&mut pages.gone).into_values().collect();
        let sessions = if complete {
            pages.sessions.iter().map(|(id, page)| page.wire(*id)).collect()
        } else {
            dirty.iter().filter_map(|id| pages.sessions.get(id).map(|page| page.wire(*id))).collect()
        };
        v1::UpdateSessionsRequest { pod: pod.to_owned(), sessions, gone, complete }
    }

    /// The batch was not taken: it is to be told again, except what has changed since.
    fn put_back(&self, batch: v1::UpdateSessionsRequest) {
        let mut pages = self.pages.lock();
        for session in &batch.sessions {
            if let Ok(id) = session.session_id.parse::<SessionId>()
                && pages.sessions.contains_key(&id)
            {
                pages.dirty.insert(id);
            }
        }
        for gone in batch.gone {
            if let Ok(id) = gone.session_id.parse() {
                pages.gone.entry(id).or_insert(gone);
            }
        }
    }

    fn count(&self) -> u64 {
        self.pages.lock().sessions.len() as u64
    }
}

/// Keeps the presence service informed until it is told to stop.
pub(crate) async fn keep(services: Arc<Services>, stop: CancellationToken) {
    let mut renew = tokio::time::interval(Duration::from_millis(limits::PRESENCE_RENEW_MS));
    let mut complete = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = renew.tick() => complete |= renew_lease(&services).await,
            () = services.book.changed.notified() => {
                tokio::time::sleep(Duration::from_millis(limits::PRESENCE_BATCH_MS)).await;
            }
        }
        complete = !send(&services, complete).await && complete;
    }
}

/// Whether the service wants everything again.
async fn renew_lease(services: &Services) -> bool {
    let request =
        v1::RenewLeaseRequest { pod: services.pod.as_str().to_owned(), session_count: services.book.count() };
    match services.presence.clone().renew_lease(request).await {
        Ok(reply) => reply.into_inner().resync,
        Err(status) => {
            warn!(%status, "presence lease was not renewed, it is tried again");
            false
        }
    }
}

async fn send(services: &Services, complete: bool) -> bool {
    let batch = services.book.batch(services.pod.as_str(), complete);
    if batch.sessions.is_empty() && batch.gone.is_empty() && !complete {
        return true;
    }
    match services.presence.clone().update_sessions(batch.clone()).await {
        Ok(_) => true,
        // The same batch would be refused for ever, and hold up all others.
        Err(status) if Failure::from(status.clone()).kind == FailureKind::Invalid => {
            error!(%status, "presence changes were refused");
            true
        }
        Err(status) => {
            warn!(%status, "presence changes were not taken, they wait for the next batch");
            services.book.put_back(batch);
            services.book.changed.notify_one();
            false
        }
    }
}

/// Sessions do not move between pods yet, so each has its first owner.
const OWNER_EPOCH: u64 = 1;
