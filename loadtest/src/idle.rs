//! `idle`: what connections cost that only beat.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{self, Instant};

use crate::cli::{IdleOptions, TargetOptions};
use crate::receivers::{Crowd, Receivers};
use crate::report::{Faults, Report, ServerUse};
use crate::target::Target;

pub async fn run(target: &TargetOptions, options: &IdleOptions) -> anyhow::Result<Report> {
    let target = Arc::new(Target::find(target, options.receivers).await?);
    let at_first = target.usage();
    let started = Instant::now();
    let receivers = Receivers::connect(&target, Crowd::of(options.receivers, 0)).await?;
    let connecting = started.elapsed().as_secs_f64();
    let connected = target.usage();
    let pause = Duration::from_secs(options.seconds);
    time::sleep(pause).await;
    let settled = target.usage();
    time::sleep(pause).await;
    let after = target.usage();
    let connections_lost = receivers.counters.lost_connections.load(Ordering::Relaxed);
    receivers.finish()?;

    let count = options.receivers.max(1) as f64;
    let server =
        at_first.zip(connected).zip(settled.zip(after)).map(|((at_first, connected), (settled, after))| {
            let idle_us = ServerUse::cpu_us(settled, after).1;
            ServerUse {
                cpu_us_per_connect: Some(ServerUse::cpu_us(at_first, connected).1 / count),
                cpu_percent_idle: Some(idle_us / pause.as_micros().max(1) as f64 * 100.0),
                bytes_per_connection: Some(
                    (settled.anonymous_bytes as f64 - at_first.anonymous_bytes as f64) / count,
                ),
                anonymous_bytes: settled.anonymous_bytes,
                ..ServerUse::default()
            }
        });
    Ok(Report {
        kind: "idle",
        receivers: options.receivers,
        seconds: connecting,
        faults: Faults { connections_lost, ..Faults::default() },
        server,
        ..Report::default()
    })
}
