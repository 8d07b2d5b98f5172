//! Keeps one replica of the presence service informed: renews the pod's lease there, sends changes in batches, and sends
//! everything again when that is asked for.
//!
//! While the replica can't be reached, nothing is sent but a renewal from time to time, and changes wait in the book.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use model::limits;
use proto::{Failure, FailureKind, v1};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tracing::{error, info, warn};

use super::book::{Claim, Sent};
use crate::services::Services;
use crate::stats::Count;

struct Keeper {
    services: Arc<Services>,
    place: usize,
    wants_list: bool,
    /// Renewals that have failed in a row.
    failures: u32,
    renew_at: Instant,
}

/// Runs until it is told to stop.
pub(crate) async fn keep(services: Arc<Services>, place: usize, stop: CancellationToken) {
    let renew_at = Instant::now();
    let mut keeper = Keeper { services, place, wants_list: false, failures: 0, renew_at };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = sleep_until(keeper.renew_at) => keeper.renew().await,
            () = keeper.services.book.changed(place), if keeper.failures == 0 => {
                // Shards say many things at once, such as the guilds that a session opens.
                sleep(Duration::from_millis(limits::PRESENCE_BATCH_MS)).await;
            }
        }
        if keeper.failures == 0 {
            keeper.send_all().await;
        }
    }
}

impl Keeper {
    fn pod(&self) -> &str {
        self.services.pod.as_str()
    }

    async fn renew(&mut self) {
        let claim = self.services.book.claim(self.place);
        let Claim { session_count, digest } = claim.unwrap_or_default();
        let session_count = claim.map(|_| session_count);
        let request = v1::RenewLeaseRequest { pod: self.pod().to_owned(), session_count, digest };
        let mut client = self.services.presences.replicas.at(self.place);
        match client.renew_lease(request).await {
            Ok(reply) => {
                let reply = reply.into_inner();
                self.wants_list |= reply.resync;
                self.heard(reply.standing);
            }
            Err(status) => self.failed(&status),
        }
    }

    /// Tells the replica everything that it has yet to be told.
    async fn send_all(&mut self) {
        if self.wants_list && self.send_list().await.is_break() {
            return;
        }
        while let Some((request, sent)) = self.services.book.batch(self.place, self.pod()) {
            if self.send(request, sent).await.is_break() || self.wants_list {
                return;
            }
        }
    }

    async fn send_list(&mut self) -> ControlFlow<()> {
        let parts = self.services.book.parts_of(self.place);
        info!(replica = self.place, parts = parts.len(), "presence is told all sessions");
        self.wants_list = false;
        for (index, part) in parts.iter().enumerate() {
            let kind = match (index == 0, index + 1 == parts.len()) {
                (true, true) => v1::ListPart::Whole,
                (true, false) => v1::ListPart::First,
                (false, false) => v1::ListPart::Next,
                (false, true) => v1::ListPart::Last,
            };
            let (request, sent) = self.services.book.list_part(self.place, self.pod(), part, kind);
            let sent = self.send(request, sent).await;
            if sent.is_break() || self.wants_list {
                self.wants_list = true;
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    /// Breaks off when it was not answered.
    async fn send(&mut self, request: v1::UpdateSessionsRequest, sent: Sent) -> ControlFlow<()> {
        let book = &self.services.book;
        let reply = self.services.presences.replicas.at(self.place).update_sessions(request).await;
        match reply {
            Ok(reply) => {
                let reply = reply.into_inner();
                book.taken(self.place, sent, &reply.refused);
                self.wants_list |= reply.resync;
                self.heard(reply.standing);
                ControlFlow::Continue(())
            }
            // The same batch would be refused for ever, and hold up all others.
            Err(status) if Failure::from(status.clone()).kind == FailureKind::Invalid => {
                error!(%status, "presence changes were refused");
                ControlFlow::Continue(())
            }
            Err(status) => {
                book.put_back(self.place, sent);
                self.failed(&status);
                ControlFlow::Break(())
            }
        }
    }

    fn heard(&mut self, standing: Option<v1::PresenceStanding>) {
        let presences = &self.services.presences;
        let contact = &presences.contacts[self.place];
        if self.failures > 0 {
            info!(replica = self.place, failures = self.failures, "presence can be reached again");
        }
        self.failures = 0;
        self.wants_list |= contact.hear(standing);
        if contact.needs_comparison() {
            presences.suspicion.notify_one();
        }
        let next_ms = match self.wants_list || contact.is_unsettled() {
            true => limits::PRESENCE_UNSETTLED_RENEW_MS,
            false => limits::PRESENCE_RENEW_MS,
        };
        self.renew_at = Instant::now() + Duration::from_millis(next_ms);
    }

    fn failed(&mut self, status: &Status) {
        self.services.stats.presence_failures.add(1);
        if self.services.presences.contacts[self.place].lose() {
            warn!(%status, replica = self.place, "presence can't be reached: copies are shown, changes wait");
        }
        self.renew_at = Instant::now() + self.services.backoff(self.failures.min(RETRIES_MAX));
        self.failures = self.failures.saturating_add(1);
    }
}

/// From here on the pauses do not grow: about a second and a half.
const RETRIES_MAX: u32 = 6;
