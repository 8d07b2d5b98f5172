//! Writes this pod into the roster again and again, so that nobody takes it for dead who can't be reached by it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use model::limits;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::services::Services;

/// Runs until it is told to stop. It says no goodbye: most sessions are resumed elsewhere before the lease ends, and nobody
/// shall see them go offline in between.
pub(crate) async fn keep(services: Arc<Services>, stop: CancellationToken) {
    let mut renew = interval(Duration::from_millis(limits::PRESENCE_RENEW_MS));
    renew.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let lifetime = Duration::from_millis(limits::PRESENCE_LEASE_MS);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = renew.tick() => {}
        }
        let address = services.neighbours.as_ref().map(|neighbours| neighbours.address.as_str());
        if let Err(error) = services.roster.renew(&services.pod, address, lifetime).await {
            warn!(%error, "roster was not renewed, it is tried again");
        }
        if let Ok(living) = services.roster.living().await {
            services.bot_starts.set_pods(living.len());
        }
        services.presences.copies.retain(|guild| !services.interest.guild(guild).is_empty());
        let copies = services.presences.copies.count() as u64;
        services.stats.presence_copies.store(copies, Ordering::Relaxed);
    }
}
