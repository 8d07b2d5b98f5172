//! `presence`: transitions a second through the presence service, beside `redis-benchmark` on the same machine in the same
//! run.
//!
//! The service is the real one in this process: gateways' batches go through its client, with encoding and decoding, into
//! its table; what changes is published on the in-process backplane and taken from there; the roster lies on a real Redis.
//! `redis-benchmark` writes what a presence that is kept in Redis would: one `SET … EX 60` for each transition, with a value
//! as long as the service's own JSON, 32 in a pipeline.

mod redis;
mod service;

use anyhow::Context;
use serde::Serialize;

use crate::cli::PresenceOptions;
use crate::{Told, progress};

/// What a run found.
#[derive(Debug, Serialize)]
pub struct PresenceReport {
    users: u64,
    guilds: u64,
    pods: u64,
    rounds: Vec<Round>,
    median: Round,
}

/// One round of both.
#[derive(Debug, Clone, Copy, Serialize)]
struct Round {
    transitions_per_sec: f64,
    /// PRESENCE_UPDATE events that came of them.
    published_per_sec: f64,
    /// CPU of this process for a transition: service, client and whoever takes the events.
    cpu_us_per_transition: f64,
    redis_sets_per_sec: f64,
    ratio: f64,
}

/// Measures; on a runtime with several threads, so that the service and its callers are apart, as they are in a cluster.
pub async fn run(options: &PresenceOptions) -> anyhow::Result<PresenceReport> {
    let server = testkit::redis::RedisServer::start().context("redis-server is not installed")?;
    let service = service::Setup::start(&server, options).await?;
    let bar = progress::bar("rounds", options.rounds);
    let mut rounds = Vec::new();
    for round in 0..options.rounds {
        bar.set_position(round);
        let transitions = service.measure(options).await?;
        let redis_sets_per_sec = redis::benchmark(&server, options).await?;
        let ratio = transitions.transitions_per_sec / redis_sets_per_sec;
        rounds.push(Round { redis_sets_per_sec, ratio, ..transitions });
    }
    bar.finish();
    let median = Round {
        transitions_per_sec: median(&rounds, |round| round.transitions_per_sec),
        published_per_sec: median(&rounds, |round| round.published_per_sec),
        cpu_us_per_transition: median(&rounds, |round| round.cpu_us_per_transition),
        redis_sets_per_sec: median(&rounds, |round| round.redis_sets_per_sec),
        ratio: median(&rounds, |round| round.ratio),
    };
    let PresenceOptions { users, guilds, pods, .. } = *options;
    Ok(PresenceReport { users, guilds, pods, rounds, median })
}

fn median(rounds: &[Round], of: impl Fn(&Round) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

impl Told for PresenceReport {
    fn print(&self) {
        println!("{} users, each in {} guilds, on {} gateways", self.users, self.guilds, self.pods);
        for round in self.rounds.iter().chain([&self.median]) {
            println!(
                "{:9.0} transitions/s ({:9.0} events/s, {:4.1} µs CPU)   redis-benchmark {:9.0} SET/s   ratio {:.2}",
                round.transitions_per_sec,
                round.published_per_sec,
                round.cpu_us_per_transition,
                round.redis_sets_per_sec,
                round.ratio
            );
        }
        println!("(the last line has the medians)");
    }
}
