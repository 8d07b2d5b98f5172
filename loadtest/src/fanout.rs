//! `fanout`: messages to all members of a guild, and whether all of them came.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{self, Instant};

use crate::cli::{FanoutOptions, TargetOptions};
use crate::progress;
use crate::receivers::{Receivers, histogram};
use crate::report::{Faults, Latency, Report, ServerUse};
use crate::senders::{self, Schedule, Sent};
use crate::target::{Target, Usage};

/// Members that send a message or less in a second stay below every default limit.
const SENDERS_PER_RATE: f64 = 1.25;
const SETTLE: Duration = Duration::from_secs(2);

/// What was read of the server at the turns of a run.
struct Readings {
    at_first: Option<Usage>,
    connected: Option<Usage>,
    sent: Option<Usage>,
}

pub async fn run(target: &TargetOptions, options: &FanoutOptions) -> anyhow::Result<Report> {
    let schedule = schedule(options);
    let wanted = options.senders.unwrap_or(match options.burst {
        Some(messages) => messages,
        None => (options.rate * SENDERS_PER_RATE).ceil() as usize,
    });
    let target = Arc::new(Target::find(target, options.receivers.max(1)).await?);
    let senders = wanted.clamp(1, target.seed.members.len());
    let at_first = target.usage();
    let receivers = Receivers::connect(&target, options.receivers).await?;
    time::sleep(SETTLE).await;
    let connected = target.usage();

    let started = Instant::now();
    let sent = {
        let sending = senders::send(&target, senders, schedule, receivers.began);
        let total = schedule.messages * options.receivers;
        watch(&receivers, total, sending).await
    };
    let expected = sent.order.len() * options.receivers;
    receivers.wait_for(expected, Duration::from_secs(options.patience)).await;
    let elapsed = started.elapsed();
    // What comes twice comes a little later.
    time::sleep(SETTLE).await;
    let readings = Readings { at_first, connected, sent: target.usage() };
    let lost = receivers.counters.lost_connections.load(Ordering::Relaxed);
    let received = receivers.finish()?;

    let mut to_all = histogram();
    let acknowledged = sent.order.iter().filter_map(|index| received.last_us.get(*index as usize));
    for last_us in acknowledged {
        to_all.saturating_record((*last_us).max(1));
    }
    let deliveries = received.orders.iter().map(Vec::len).sum();
    let seconds = elapsed.as_secs_f64();
    Ok(Report {
        kind: if options.burst.is_some() { "burst" } else { "fanout" },
        receivers: options.receivers,
        senders,
        seconds,
        acknowledged: sent.order.len(),
        limited: sent.limited,
        failed: sent.failed,
        messages_per_sec: sent.order.len() as f64 / seconds,
        deliveries,
        deliveries_per_sec: deliveries as f64 / seconds,
        faults: Faults { connections_lost: lost, ..Faults::find(&sent.order, &received.orders) },
        send: Latency::of(&sent.latency_us),
        delivery: Latency::of(&received.latency_us),
        to_all: Latency::of(&to_all),
        server: server_use(&readings, options.receivers, deliveries, sent.order.len()),
        first_failure: sent.first_failure,
    })
}

fn schedule(options: &FanoutOptions) -> Schedule {
    match options.burst {
        Some(messages) => Schedule { messages, gap: Duration::ZERO, size: options.size },
        None => Schedule {
            messages: (options.rate * options.seconds as f64).round() as usize,
            gap: Duration::from_secs_f64(1.0 / options.rate.max(0.001)),
            size: options.size,
        },
    }
}

/// Shows how far it is while the messages are sent.
async fn watch(receivers: &Receivers, total: usize, sending: impl Future<Output = Sent>) -> Sent {
    let bar = progress::bar("delivered", total as u64);
    let mut ticks = time::interval(progress::INTERVAL);
    tokio::pin!(sending);
    loop {
        tokio::select! {
            sent = &mut sending => {
                bar.finish();
                return sent;
            }
            _ = ticks.tick() => {
                bar.set_position(receivers.counters.delivered.load(Ordering::Relaxed) as u64);
            }
        }
    }
}

fn server_use(
    readings: &Readings,
    receivers: usize,
    deliveries: usize,
    messages: usize,
) -> Option<ServerUse> {
    let (at_first, connected, sent) = (readings.at_first?, readings.connected?, readings.sent?);
    let (user_us, cpu_us) = ServerUse::cpu_us(connected, sent);
    let per_connection =
        |usage: Usage| (usage.anonymous_bytes as f64 - at_first.anonymous_bytes as f64) / receivers as f64;
    let per = |value: f64, count: usize| (count > 0).then(|| value / count as f64);
    Some(ServerUse {
        user_us_per_delivery: per(user_us, deliveries),
        cpu_us_per_delivery: per(cpu_us, deliveries),
        cpu_us_per_message: per(cpu_us, messages),
        cpu_us_per_connect: per(ServerUse::cpu_us(at_first, connected).1, receivers),
        cpu_percent_idle: None,
        bytes_per_connection: Some(per_connection(connected)),
        bytes_per_connection_after_traffic: Some(per_connection(sent)),
        anonymous_bytes: sent.anonymous_bytes,
    })
}
