//! `redis-benchmark`, with the commands that a presence in Redis would need.

use std::process::Stdio;

use anyhow::{Context, bail};
use testkit::redis::RedisServer;
use tokio::process::Command;

use super::Round;
use crate::cli::PresenceOptions;

/// SETs a second.
pub(super) async fn benchmark(server: &RedisServer, options: &PresenceOptions) -> anyhow::Result<f64> {
    let (port, requests, users) =
        (server.port().to_string(), options.requests.to_string(), options.users.to_string());
    let flags =
        ["-h", "127.0.0.1", "-p", &port, "-n", &requests, "-r", &users, "-c", "50", "-P", "32", "--csv"];
    let command = ["SET", "presence:__rand_int__", &"x".repeat(super::service::VALUE_BYTES), "EX", "60"];
    let output = Command::new(&options.redis_benchmark)
        .args(flags)
        .args(command)
        .stdin(Stdio::null())
        .output()
        .await
        .with_context(|| format!("run {}", options.redis_benchmark.display()))?;
    if !output.status.success() {
        bail!("redis-benchmark failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    // "test","rps",… and a line of the same fields.
    let rate = text.lines().rfind(|line| !line.trim().is_empty()).and_then(|line| line.split("\",\"").nth(1));
    rate.and_then(|rate| rate.parse().ok()).with_context(|| format!("no rate in {text}"))
}

impl Round {
    /// The part of a round that the service is measured by.
    pub(super) fn of_service(transitions: u64, published: u64, cpu_ms: u64, seconds: f64) -> Self {
        Self {
            transitions_per_sec: transitions as f64 / seconds,
            published_per_sec: published as f64 / seconds,
            cpu_us_per_transition: cpu_ms as f64 * 1000.0 / transitions.max(1) as f64,
            redis_sets_per_sec: 0.0,
            ratio: 0.0,
        }
    }
}
