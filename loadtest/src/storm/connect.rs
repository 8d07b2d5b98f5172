//! `storm connect`: so many new connections as fast as the server takes them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::bail;
use tokio::time::Instant;

use super::{JourneyCounts, StormReport};
use crate::cli::{ConnectOptions, TargetOptions};
use crate::receivers::{Crowd, Receivers, Returning};
use crate::report::Latency;
use crate::sampler::Sampler;
use crate::senders::{self, Schedule};
use crate::target::Target;
use crate::traffic;

/// One message at the end shows that those who came are really there.
const PROOF: Schedule = Schedule { messages: 1, gap: Duration::ZERO, size: 100 };

pub(super) async fn run(target: &TargetOptions, options: &ConnectOptions) -> anyhow::Result<StormReport> {
    let target = Arc::new(Target::find(target, options.receivers.max(1)).await?);
    let patience = Duration::from_secs(options.patience);
    let crowd = Crowd {
        connecting_max: options.at_once.unwrap_or(options.receivers).max(1),
        returning: Some(Returning { heeds_retry_after: !options.deaf }),
        ..Crowd::of(options.receivers, 1)
    };
    let receivers = Receivers::start(&target, crowd)?;
    let started = receivers.crowd.began;
    let sampler = Sampler::start(&target, &receivers.counters);
    let failure = receivers.all_open(Some(Instant::now() + patience)).await;
    let all_after_ms = started.elapsed().as_secs_f64() * 1000.0;
    if let Some(failure) = receivers.counters.failure() {
        bail!("{failure}");
    }
    let (samples, server) = sampler.finish().await;
    let sent = senders::send(&target, target.run, 1, PROOF, started, senders::never()).await?;
    let open = receivers.counters.open.load(Ordering::Relaxed);
    traffic::settle(&receivers, 0, sent.acknowledged() * open, patience).await;
    let stayed_away = options.receivers - receivers.counters.open.load(Ordering::Relaxed);
    let (mut received, journeys) = receivers.finish()?;
    let received = received.pop();
    let faults = received.as_ref().map(|received| received.faults(&target, &sent.orders, &journeys));
    Ok(StormReport {
        kind: "connect",
        receivers: options.receivers,
        forms: target.forms.clone(),
        all_after_ms: failure.is_none().then_some(all_after_ms),
        stayed_away,
        wait: Latency::of(&journeys.came_us),
        journeys: JourneyCounts::of(&journeys),
        acknowledged: sent.acknowledged(),
        failed: sent.failed + sent.limited,
        faults: faults.unwrap_or_default(),
        delivery: received.and_then(|received| Latency::of(&received.latency_us)),
        bystanders: None,
        server,
        samples,
    })
}
