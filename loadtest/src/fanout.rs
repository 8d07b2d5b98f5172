//! `fanout`: messages to all members of a guild, and whether all of them came.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use crate::cli::{FanoutOptions, TargetOptions};
use crate::load::{self, Phase, Plan};
use crate::report::Report;
use crate::senders::Schedule;
use crate::target::Target;

/// Members that send a message or less in a second stay below every default limit.
const SENDERS_PER_RATE: f64 = 1.25;

pub async fn run(target: &TargetOptions, options: &FanoutOptions) -> anyhow::Result<Report> {
    let mut phase = match options.burst {
        Some(messages) => burst(messages, options.size),
        None => steady(options.rate, options.seconds, options.size),
    };
    phase.senders = options.senders.unwrap_or(phase.senders);
    let plan = Plan {
        receivers: options.receivers,
        phases: vec![phase],
        comes_back: false,
        patience: Duration::from_secs(options.patience),
        counts_syscalls: options.syscalls,
    };
    let target = Arc::new(Target::find(target, options.receivers.max(1)).await?);
    let mut outcome = load::run(&target, &plan).await?;
    outcome.reports.pop().context("a plan with a phase has a report")
}

/// So many messages a second, from so many members that none is limited.
pub fn steady(rate: f64, seconds: u64, size: usize) -> Phase {
    let schedule = Schedule {
        messages: (rate * seconds as f64).round() as usize,
        gap: Duration::from_secs_f64(1.0 / rate.max(0.001)),
        size,
    };
    Phase { kind: "fanout", schedule, senders: (rate * SENDERS_PER_RATE).ceil() as usize }
}

/// So many messages at once, each from another member.
pub fn burst(messages: usize, size: usize) -> Phase {
    Phase { kind: "burst", schedule: Schedule { messages, gap: Duration::ZERO, size }, senders: messages }
}
