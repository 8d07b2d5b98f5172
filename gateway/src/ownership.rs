//! Keeps the sessions of this pod in the registry of owners, and ends those that others have taken.
//!
//! A session is taken from its pod, which knows of it then. It may also be taken from a record, while its pod could not be
//! asked: of that the pod hears here, and within a heartbeat: a renewal that fails is tried again soon.

use std::sync::Arc;
use std::time::Duration;

use backplane::{OwnedSession, Unavailable};
use model::limits;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::services::Services;
use crate::session::SessionId;
use crate::shard::Input;

/// Runs until it is told to stop.
pub(crate) async fn keep(
    services: Arc<Services>,
    shards: Arc<[mpsc::Sender<Input>]>,
    stop: CancellationToken,
) {
    let keep = async {
        loop {
            let pause_ms = match renew_all(&services, &shards).await {
                Ok(()) => limits::REGISTRY_RENEW_MS,
                Err(error) => {
                    warn!(%error, "the owner of sessions was not renewed, it is tried again");
                    limits::REGISTRY_AWAY_READ_MS
                }
            };
            sleep(Duration::from_millis(pause_ms)).await;
        }
    };
    stop.run_until_cancelled(keep).await;
}

async fn renew_all(services: &Services, shards: &[mpsc::Sender<Input>]) -> Result<(), Unavailable> {
    let owned = services.book.owned();
    for chunk in owned.chunks(limits::REGISTRY_BATCH_MAX) {
        let sessions: Vec<OwnedSession> =
            chunk.iter().map(|(id, epoch)| OwnedSession { id: id.to_string(), epoch: *epoch }).collect();
        for lost in services.sessions.renew(&services.pod, &sessions).await? {
            let Ok(id) = lost.id.parse::<SessionId>() else { continue };
            // A shard that has ended has no sessions.
            let _ = shards[id.shard_of(shards.len())].send(Input::Overtaken(id, lost.epoch)).await;
        }
    }
    Ok(())
}
