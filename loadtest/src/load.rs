//! A load: receivers that stay connected, and phases of messages to all of them, each with a report of its own.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use testkit::proc;
use tokio::time::{self, Instant};

use crate::progress;
use crate::receivers::{Counters, Crowd, Received, Receivers, Returning, histogram};
use crate::report::{Faults, Latency, Report, ServerUse, curve};
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
    /// Whether at the end all receivers drop their connections and come back, by RESUME where there are sessions.
    pub comes_back: bool,
    /// How long to wait for the last messages of a phase.
    pub patience: Duration,
    /// Whether the server's system calls are counted, which costs it a little.
    pub counts_syscalls: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// Of each phase.
    pub reports: Vec<Report>,
    pub comeback: Option<Comeback>,
}

/// How all receivers came back at once.
#[derive(Debug, Clone, Copy)]
pub struct Comeback {
    /// From the drop until the last one was there again, a library's pause of half a second included.
    pub all_after_ms: f64,
    pub cpu_us_per_return: Option<f64>,
    /// Those who had to begin a new session, and those who did not come.
    pub identifies: usize,
    pub stayed_away: usize,
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

/// Connects the receivers, goes through the phases, disconnects.
pub async fn run(target: &Arc<Target>, plan: &Plan) -> anyhow::Result<Outcome> {
    let at_first = target.usage();
    let returning = plan.comes_back.then_some(Returning { heeds_retry_after: true });
    let crowd = Crowd { returning, ..Crowd::of(plan.receivers, plan.phases.len()) };
    let receivers = Receivers::connect(target, crowd).await?;
    time::sleep(SETTLE).await;
    let arrival = at_first.zip(target.usage()).map(|(at_first, connected)| Arrival { at_first, connected });
    let mut pasts = Vec::new();
    for (run, phase) in (target.run..).zip(&plan.phases) {
        pasts.push(go_through(target, plan, &receivers, run, phase).await?);
        // What comes twice comes a little later.
        time::sleep(SETTLE).await;
    }
    // Before anybody was to come back nobody had a reason to.
    let Counters { lost_connections, returned, .. } = &*receivers.counters;
    let connections_lost = lost_connections.load(Ordering::Relaxed) + returned.load(Ordering::Relaxed);
    let mut comeback =
        if plan.comes_back { Some(come_back(target, &receivers, plan.patience).await) } else { None };
    let (received, journeys) = receivers.finish()?;
    if let Some(comeback) = &mut comeback {
        comeback.identifies = journeys.identifies;
    }
    let reports = plan.phases.iter().zip(pasts).zip(received).map(|((phase, past), received)| {
        let faults = received.faults(target, &past.sent.orders, &journeys);
        let mut report = report(plan, phase, past, &received, arrival.as_ref());
        report.faults = Faults { connections_lost, ..faults };
        report
    });
    Ok(Outcome { reports: reports.collect(), comeback })
}

async fn come_back(target: &Target, receivers: &Receivers, patience: Duration) -> Comeback {
    let (before, started) = (target.usage(), Instant::now());
    let returned = receivers.counters.returned.load(Ordering::Relaxed);
    receivers.drop_all();
    receivers.all_back(returned, started + patience).await;
    let all_after_ms = started.elapsed().as_secs_f64() * 1000.0;
    // What follows a return, such as presence.
    time::sleep(SETTLE).await;
    let back = receivers.counters.returned.load(Ordering::Relaxed) - returned;
    let run_ns = before.zip(target.usage()).map(|(before, after)| after.run_ns.saturating_sub(before.run_ns));
    Comeback {
        all_after_ms,
        cpu_us_per_return: run_ns.map(|run_ns| run_ns as f64 / 1000.0 / back.max(1) as f64),
        identifies: 0,
        stayed_away: receivers.crowd.count.saturating_sub(back),
    }
}

async fn go_through(
    target: &Arc<Target>,
    plan: &Plan,
    receivers: &Receivers,
    run: u32,
    phase: &Phase,
) -> anyhow::Result<Past> {
    let counting = match plan.counts_syscalls && !target.server_pids.is_empty() {
        true => Some(syscalls::count(&target.server_pids).await?),
        false => None,
    };
    let senders = phase.senders.clamp(1, target.senders_max());
    let delivered = receivers.counters.delivered.load(Ordering::Relaxed);
    let (before, generator) = (target.usage(), proc::cpu_time(std::process::id())?);
    let started = Instant::now();
    let sending =
        senders::send(target, run, senders, phase.schedule, receivers.crowd.began, senders::never());
    let sent = watch(receivers, delivered, phase.schedule.messages * plan.receivers, sending).await?;
    let expected = sent.deliveries(&target.guild_sizes(0, plan.receivers));
    receivers.wait_for(delivered + expected, plan.patience).await;
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
    let indexes = past.sent.orders.iter().flatten();
    for last_us in indexes.filter_map(|index| received.last_us.get(*index as usize)) {
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
        acknowledged: sent.acknowledged(),
        limited: sent.limited,
        failed: sent.failed,
        messages_per_sec: sent.acknowledged() as f64 / seconds,
        deliveries,
        deliveries_per_sec: deliveries as f64 / seconds,
        event_bytes: (deliveries > 0).then(|| received.bytes / deliveries.max(1)),
        wire_bytes: (deliveries > 0).then(|| received.wire_bytes as f64 / deliveries as f64),
        generator_percent: Some(generator_percent),
        faults: Faults::default(),
        send: Latency::of(&sent.latency_us),
        delivery: Latency::of(&received.latency_us),
        delivery_curve: curve(&received.latency_us),
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
        cpu_us_per_message: per(cpu_us, past.sent.acknowledged()),
        syscalls_per_delivery: past.syscalls.and_then(|counted| per(counted.all as f64, deliveries)),
        writes_per_delivery: past.syscalls.and_then(|counted| per(counted.writes as f64, deliveries)),
        cpu_us_per_connect: per(connected.run_ns.saturating_sub(at_first.run_ns) as f64 / 1000.0, receivers),
        cpu_percent_idle: None,
        bytes_per_connection: Some(per_connection(connected)),
        bytes_per_connection_after_traffic: Some(per_connection(&after)),
        anonymous_bytes: after.anonymous_bytes,
    })
}
