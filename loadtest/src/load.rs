//! A load: receivers that stay connected, and phases of messages to all of them, each with a report of its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use testkit::proc;
use tokio::time::{self, Instant};

use crate::progress;
use crate::receivers::{Received, Receivers, histogram};
use crate::report::{Faults, Latency, Report, ServerUse};
use crate::senders::{self, Schedule, Sent};
use crate::syscalls::{self, Counted};
use crate::target::{Target, Usage};

/// For the server to come to rest.
const SETTLE: Duration = Duration::from_secs(1);

/// What is to be done.
#[derive(Debug)]
pub struct Plan {
    pub receivers: usize,
    pub phases: Vec<Phase>,
    /// How long to wait for the last messages of a phase.
    pub patience: Duration,
    /// Whether the server's system calls are counted, which costs it a little.
    pub counts_syscalls: bool,
}

/// Messages of one kind.
#[derive(Debug, Clone, Copy)]
pub struct Phase {
    pub kind: &'static str,
    pub schedule: Schedule,
    /// Members that send, at most.
    pub senders: usize,
}

/// What a phase was, before what came of it is known.
struct Past {
    sent: Sent,
    senders: usize,
    seconds: f64,
    before: Option<Usage>,
    after: Option<Usage>,
    syscalls: Option<Counted>,
    generator_percent: f64,
}

/// Memory and CPU of the server before and after the receivers came.
struct Arrival {
    at_first: Usage,
    connected: Usage,
}

/// Connects the receivers, goes through the phases, disconnects; a report for each phase.
pub async fn run(target: &Arc<Target>, plan: &Plan) -> anyhow::Result<Vec<Report>> {
    let at_first = target.usage();
    let receivers = Receivers::connect(target, plan.receivers, plan.phases.len()).await?;
    time::sleep(SETTLE).await;
    let arrival = at_first.zip(target.usage()).map(|(at_first, connected)| Arrival { at_first, connected });
    let mut pasts = Vec::new();
    for (run, phase) in (target.run..).zip(&plan.phases) {
        pasts.push(go_through(target, plan, &receivers, run, phase).await?);
        // What comes twice comes a little later.
        time::sleep(SETTLE).await;
    }
    let connections_lost = receivers.counters.lost_connections.load(Ordering::Relaxed);
    let received = receivers.finish()?;
    let reports = plan.phases.iter().zip(pasts).zip(received).map(|((phase, past), received)| {
        let mut report = report(plan, phase, past, &received, arrival.as_ref());
        report.faults.connections_lost = connections_lost;
        report
    });
    Ok(reports.collect())
}

async fn go_through(
    target: &Arc<Target>,
    plan: &Plan,
    receivers: &Receivers,
    run: u32,
    phase: &Phase,
) -> anyhow::Result<Past> {
    let counting = match target.server_pid {
        Some(pid) if plan.counts_syscalls => Some(syscalls::count(pid).await?),
        _ => None,
    };
    let senders = phase.senders.clamp(1, target.senders_max());
    let delivered = receivers.counters.delivered.load(Ordering::Relaxed);
    let (before, generator) = (target.usage(), proc::cpu_time(std::process::id())?);
    let started = Instant::now();
    let sending = senders::send(target, run, senders, phase.schedule, receivers.began);
    let sent = watch(receivers, delivered, phase.schedule.messages * plan.receivers, sending).await?;
    receivers.wait_for(delivered + sent.order.len() * plan.receivers, plan.patience).await;
    let (elapsed, after) = (started.elapsed(), target.usage());
    let generator = proc::cpu_time(std::process::id())?.since(generator);
    let syscalls = match counting {
        Some(counting) => Some(counting.finish().await?),
        None => None,
    };
    Ok(Past {
        sent,
        senders,
        seconds: elapsed.as_secs_f64(),
        before,
        after,
        syscalls,
        generator_percent: generator.total_ms() as f64 / elapsed.as_millis().max(1) as f64 * 100.0,
    })
}

/// Shows how far it is while the messages are sent.
async fn watch(
    receivers: &Receivers,
    earlier: usize,
    total: usize,
    sending: impl Future<Output = anyhow::Result<Sent>>,
) -> anyhow::Result<Sent> {
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
                let delivered = receivers.counters.delivered.load(Ordering::Relaxed);
                bar.set_position((delivered - earlier) as u64);
            }
        }
    }
}

fn report(plan: &Plan, phase: &Phase, past: Past, received: &Received, arrival: Option<&Arrival>) -> Report {
    let mut to_all = histogram();
    let acknowledged = past.sent.order.iter().filter_map(|index| received.last_us.get(*index as usize));
    for last_us in acknowledged {
        to_all.saturating_record((*last_us).max(1));
    }
    let deliveries = received.orders.iter().map(Vec::len).sum();
    let server = server_use(&past, plan.receivers, deliveries, arrival);
    let Past { sent, senders, seconds, generator_percent, .. } = past;
    Report {
        kind: phase.kind,
        receivers: plan.receivers,
        senders,
        seconds,
        acknowledged: sent.order.len(),
        limited: sent.limited,
        failed: sent.failed,
        messages_per_sec: sent.order.len() as f64 / seconds,
        deliveries,
        deliveries_per_sec: deliveries as f64 / seconds,
        event_bytes: (deliveries > 0).then(|| received.bytes / deliveries.max(1)),
        generator_percent: Some(generator_percent),
        faults: Faults::find(&sent.order, &received.orders),
        send: Latency::of(&sent.latency_us),
        delivery: Latency::of(&received.latency_us),
        to_all: Latency::of(&to_all),
        server,
        first_failure: sent.first_failure,
    }
}

fn server_use(
    past: &Past,
    receivers: usize,
    deliveries: usize,
    arrival: Option<&Arrival>,
) -> Option<ServerUse> {
    let (before, after) = (past.before?, past.after?);
    let Arrival { at_first, connected } = arrival?;
    let (user_us, cpu_us) = ServerUse::cpu_us(before, after);
    let per_connection =
        |usage: &Usage| (usage.anonymous_bytes as f64 - at_first.anonymous_bytes as f64) / receivers as f64;
    let per = |value: f64, count: usize| (count > 0).then(|| value / count as f64);
    Some(ServerUse {
        user_us_per_delivery: per(user_us, deliveries),
        cpu_us_per_delivery: per(cpu_us, deliveries),
        cpu_us_per_message: per(cpu_us, past.sent.order.len()),
        syscalls_per_delivery: past.syscalls.and_then(|counted| per(counted.all as f64, deliveries)),
        writes_per_delivery: past.syscalls.and_then(|counted| per(counted.writes as f64, deliveries)),
        cpu_us_per_connect: per(ServerUse::cpu_us(*at_first, *connected).1, receivers),
        cpu_percent_idle: None,
        bytes_per_connection: Some(per_connection(connected)),
        bytes_per_connection_after_traffic: Some(per_connection(&after)),
        anonymous_bytes: after.anonymous_bytes,
    })
}
