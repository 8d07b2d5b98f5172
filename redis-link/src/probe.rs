//! Asks a Redis that is away whether it is back.

use std::time::Duration;

use model::{entropy, limits};
use tokio::time::{Instant, sleep};
use tracing::info;

use crate::link::Wire;

/// Pings while the link is down, for ever.
pub(crate) async fn keep(wire: Wire) {
    loop {
        wire.down().await;
        let went = Instant::now();
        let mut pause_ms = limits::REDIS_PROBE_MS_MIN;
        while !wire.ping().await {
            sleep(Duration::from_millis(pause_ms / 2 + entropy::below(pause_ms / 2 + 1))).await;
            pause_ms = (pause_ms * 2).min(limits::REDIS_PROBE_MS_MAX);
        }
        wire.set_up(true);
        info!(away_ms = went.elapsed().as_millis() as u64, "Redis answers again");
    }
}
