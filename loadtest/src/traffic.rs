//! Messages for as long as something else goes on.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{self, Instant};

use crate::receivers::Receivers;
use crate::senders::{self, Schedule, Sent};
use crate::target::Target;

/// A schedule ends when it is told to, or after so many.
const MESSAGES_MAX: usize = 10_000_000;
/// Members that send a message or less in a second stay below every default limit.
const SENDERS_PER_RATE: f64 = 1.25;
const CONTENT_BYTES: usize = 100;
/// When nothing comes for so long, what is missing is missing.
const QUIET: Duration = Duration::from_secs(10);
/// What comes twice comes a little later.
const SETTLE: Duration = Duration::from_secs(2);

/// Sends so many messages a second as one run while `what` goes on, to all guilds in turn.
pub async fn during<T>(
    target: &Arc<Target>,
    run: u32,
    rate: f64,
    began: Instant,
    what: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<(Sent, T)> {
    let (stop, stopped) = watch::channel(false);
    let gap = Duration::from_secs_f64(1.0 / rate.max(0.001));
    let schedule = Schedule { messages: MESSAGES_MAX, gap, size: CONTENT_BYTES };
    let senders = ((rate * SENDERS_PER_RATE).ceil() as usize).max(target.guild_count());
    let sending = senders::send(target, run, senders.min(target.senders_max()), schedule, began, stopped);
    let doing = async {
        let outcome = what.await;
        stop.send_replace(true);
        outcome
    };
    let (sent, outcome) = tokio::join!(sending, doing);
    Ok((sent?, outcome?))
}

/// Waits until the receivers have got so many deliveries more than `delivered`, or nothing comes any more; and for what may
/// come twice.
pub async fn settle(receivers: &Receivers, delivered: usize, expected: usize, patience: Duration) {
    let deadline = Instant::now() + patience;
    let mut seen = receivers.counters.delivered.load(Ordering::Relaxed);
    while seen < delivered + expected && Instant::now() < deadline {
        receivers.wait_for(delivered + expected, QUIET).await;
        let now = receivers.counters.delivered.load(Ordering::Relaxed);
        if now == seen {
            break;
        }
        seen = now;
    }
    time::sleep(SETTLE).await;
}
