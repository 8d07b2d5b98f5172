//! How a gateway goes away: how fast its clients are told to leave, and what is said of it meanwhile.
//!
//! Whoever is told (op 7) is back within moments, at another gateway. So they are told one after the other: as fast as the
//! other gateways take them, and within a window in any case. Where there is no other gateway, nobody has to be spared, and
//! waiting would only put off the start of the next one: all are told at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use model::limits;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tracing::{info, warn};

use crate::config::Settings;
use crate::services::Services;
use crate::shard::Input;
use crate::stats::Count;

/// Tells everybody to leave, and answers when all have left or could have.
pub(crate) async fn run(services: &Services, shards: &[mpsc::Sender<Input>]) {
    let stats = &services.stats;
    let others = other_gateways(services).await;
    let (connections, sessions) = (read(&stats.connections), read(&stats.sessions));
    let spread = Duration::from_millis(spread_ms(&services.settings, others, connections.max(sessions)));
    info!(connections, sessions, others, ?spread, "the gateway tells its clients to leave");
    stats.drain_started_at.add(services.clock.now_ms() / 1000);
    let mut drained = Vec::new();
    for shard in shards {
        let (done, wait) = oneshot::channel();
        if shard.send(Input::Drain(spread, done)).await.is_ok() {
            drained.push(wait);
        }
    }
    let longest = spread + Duration::from_millis(limits::DRAIN_END_MS);
    let has_ended = tokio::select! {
        ended = timeout(longest, join_all(drained)) => ended.is_ok(),
        () = tell(services) => false,
    };
    let (left, sessions) = (read(&stats.connections), read(&stats.sessions));
    if has_ended {
        info!(drained = read(&stats.drained), sessions, "all clients have left");
    } else {
        warn!(connections = left, sessions, "not all clients have left, their sockets end");
    }
}

/// Over how long so many clients are told.
fn spread_ms(settings: &Settings, others: u64, clients: u64) -> u64 {
    let per_sec = others.saturating_mul(settings.drain_sessions_per_sec);
    clients.saturating_mul(1_000).checked_div(per_sec).unwrap_or(0).min(settings.drain_window_ms)
}

/// Gateways that can take clients of this one. Where that can't be found out, one is thought to be there.
async fn other_gateways(services: &Services) -> u64 {
    let asked = timeout(Duration::from_millis(limits::DRAIN_ASK_MS), services.roster.living()).await;
    match asked {
        Ok(Ok(living)) => living.iter().filter(|(pod, _)| *pod != services.pod).count() as u64,
        Ok(Err(_)) | Err(_) => 1,
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Says every few seconds how far it is.
async fn tell(services: &Services) {
    let period = Duration::from_millis(limits::DRAIN_TELL_MS);
    let mut tick = interval_at(Instant::now() + period, period);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tick.tick().await;
        let stats = &services.stats;
        let (waiting, drained) = (read(&stats.drain_waiting), read(&stats.drained));
        let (connections, sessions) = (read(&stats.connections), read(&stats.sessions));
        info!(waiting, drained, connections, sessions, "clients are leaving");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_told_as_fast_as_others_take_them_and_within_the_window() {
        let settings =
            Settings { drain_window_ms: 60_000, drain_sessions_per_sec: 1_000, ..Settings::default() };
        let rows = [
            (0, 100_000, 0),
            (1, 0, 0),
            (1, 10, 10),
            (1, 10_000, 10_000),
            (4, 10_000, 2_500),
            (1, 100_000, 60_000),
            (u64::MAX, u64::MAX, 1),
        ];
        for (others, clients, expected) in rows {
            assert_eq!(spread_ms(&settings, others, clients), expected, "{clients} clients, {others} others");
        }
    }
}
