//! What users are told without its being stored: given once to the pods that hold their sessions, and no more.
//!
//! Nothing waits for it. What comes while the pods are being told gathers, so a pod that hangs delays what is of the moment
//! by a moment; a registry or a pod that does not answer loses it.

use std::collections::BTreeMap;
use std::time::Duration;

use backplane::port::Told;
use backplane::{PodName, UserEvent};
use futures_util::future::join_all;
use model::limits::{FANOUT_BACKOFF_MS_MAX, FANOUT_BATCH_EVENTS_MAX, FANOUT_TELL_MS};
use tokio::sync::mpsc::Receiver;
use tokio::time::{sleep, timeout};

use crate::plan::{Places, plan, users};
use crate::router::Config;

/// Tells for ever.
pub(crate) async fn run(config: Config) {
    loop {
        match config.backplane.told_users().await {
            Ok(told) => tell_all(&config, told).await,
            Err(error) => tracing::warn!(%error, "what users are told can't be taken"),
        }
        sleep(Duration::from_millis(FANOUT_BACKOFF_MS_MAX)).await;
    }
}

async fn tell_all(config: &Config, mut told: Receiver<Told>) {
    let mut batch = Vec::with_capacity(FANOUT_BATCH_EVENTS_MAX);
    while told.recv_many(&mut batch, FANOUT_BATCH_EVENTS_MAX).await > 0 {
        let event = |told: Told| UserEvent { user: told.user, sequence: 0, envelope: told.envelope };
        let events: Vec<UserEvent> = batch.drain(..).map(event).collect();
        let told = timeout(Duration::from_millis(FANOUT_TELL_MS), tell(config, events));
        if told.await.is_err() {
            tracing::debug!("pods were not told in time what users are told");
        }
    }
}

async fn tell(config: &Config, events: Vec<UserEvent>) {
    let users = users(&events);
    let places: Places = match config.registry.pods(&users).await {
        Ok(pods) => users.into_iter().zip(pods).collect(),
        Err(error) => {
            return tracing::debug!(%error, "nobody knows where users are who were to be told something");
        }
    };
    let batches: BTreeMap<PodName, Vec<UserEvent>> = plan(&events, &places);
    join_all(batches.into_iter().map(async |(pod, batch)| {
        if let Err(error) = config.backplane.deliver(&pod, batch).await {
            tracing::debug!(%pod, %error, "pod was not told what users are told");
        }
    }))
    .await;
}
