//! `creates`: how many messages a second the server stores and publishes, when nobody is connected.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use http::{Method, StatusCode};
use serde_json::json;
use testkit::rest::Rest;
use tokio::task::JoinSet;
use tokio::time::{self, Instant};

use crate::cli::{CreatesOptions, TargetOptions};
use crate::progress;
use crate::receivers::histogram;
use crate::report::{Latency, Report, ServerUse};
use crate::target::{Service, Target, messages_path};

/// What the senders share.
#[derive(Default)]
struct Shared {
    is_over: AtomicBool,
    acknowledged: AtomicUsize,
    limited: AtomicUsize,
    failed: AtomicUsize,
}

pub async fn run(target: &TargetOptions, options: &CreatesOptions) -> anyhow::Result<Report> {
    let target = Target::find(target, options.senders).await?;
    let Service::Starling(starling) = &target.service else { bail!("only Starling takes messages by REST") };
    let channel = starling.guilds[0].channel_id.clone();
    measure(&target, &[channel], options).await
}

/// The members send, each to one of these channels.
pub async fn measure(
    target: &Target,
    channels: &[String],
    options: &CreatesOptions,
) -> anyhow::Result<Report> {
    let Service::Starling(starling) = &target.service else { bail!("only Starling takes messages by REST") };
    let shared = Arc::new(Shared::default());
    let before = target.usage();
    let started = Instant::now();
    let mut senders = JoinSet::new();
    for (member, channel) in (0..options.senders).zip(channels.iter().cycle()) {
        let (shared, size) = (Arc::clone(&shared), options.size);
        let (rest, path) = (starling.rest(member), messages_path(channel));
        senders.spawn(async move { send(&rest, &path, &shared, size).await });
    }
    let bar = progress::bar("seconds", options.seconds);
    for second in 0..options.seconds {
        bar.set_position(second);
        bar.set_message(format!("{} messages", shared.acknowledged.load(Ordering::Relaxed)));
        time::sleep(Duration::from_secs(1)).await;
    }
    shared.is_over.store(true, Ordering::Relaxed);
    let mut latency_us = histogram();
    while let Some(sent) = senders.join_next().await {
        latency_us.add(sent.context("a sender panicked")?)?;
    }
    let seconds = started.elapsed().as_secs_f64();
    bar.finish();
    let acknowledged = shared.acknowledged.load(Ordering::Relaxed);
    let server = before.zip(target.usage()).map(|(before, after)| ServerUse {
        cpu_us_per_message: Some(ServerUse::cpu_us(before, after).1 / acknowledged.max(1) as f64),
        anonymous_bytes: after.anonymous_bytes,
        ..ServerUse::default()
    });
    Ok(Report {
        kind: "creates",
        senders: options.senders,
        seconds,
        acknowledged,
        limited: shared.limited.load(Ordering::Relaxed),
        failed: shared.failed.load(Ordering::Relaxed),
        messages_per_sec: acknowledged as f64 / seconds,
        send: Latency::of(&latency_us),
        server,
        ..Report::default()
    })
}

/// One member, one message after the other.
async fn send(rest: &Rest, path: &str, shared: &Shared, size: usize) -> hdrhistogram::Histogram<u64> {
    let body = json!({ "content": "x".repeat(size) });
    let mut latency_us = histogram();
    while !shared.is_over.load(Ordering::Relaxed) {
        let sent_at = Instant::now();
        match rest.call(Method::POST, path, Some(&body)).await {
            Ok(answer) if answer.status == StatusCode::OK => {
                latency_us.saturating_record((sent_at.elapsed().as_micros() as u64).max(1));
                shared.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Ok(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS => {
                shared.limited.fetch_add(1, Ordering::Relaxed);
                let wait = answer.json()["retry_after"].as_f64().unwrap_or(1.0);
                time::sleep(Duration::from_secs_f64(wait.clamp(0.01, 5.0))).await;
            }
            Ok(_) | Err(_) => {
                shared.failed.fetch_add(1, Ordering::Relaxed);
                time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    latency_us
}
