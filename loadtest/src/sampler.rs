//! What the server uses while something happens, ten times a second, and its peaks.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{self, Instant, MissedTickBehavior};

use crate::receivers::Counters;
use crate::target::{Target, Usage};

const INTERVAL: Duration = Duration::from_millis(100);
/// Samples over which CPU is averaged: a second.
const WINDOW: usize = 10;

/// One look at the server.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Sample {
    pub at_ms: u64,
    /// Of one core, since the sample before.
    pub cpu_percent: f64,
    pub anonymous_bytes: u64,
    /// Connections of ours that were open.
    pub open: usize,
}

/// The largest of what was seen.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Peaks {
    /// Of one core, over a second.
    pub cpu_percent: f64,
    pub cpu_seconds: f64,
    pub anonymous_bytes_before: u64,
    pub anonymous_bytes: u64,
    pub anonymous_bytes_after: u64,
}

/// Looks again and again until it is told to stop.
pub struct Sampler {
    stop: watch::Sender<bool>,
    task: JoinSet<Vec<(u64, Usage, usize)>>,
}

impl Sampler {
    pub fn start(target: &Arc<Target>, counters: &Arc<Counters>) -> Self {
        let (stop, mut stopped) = watch::channel(false);
        let (target, counters) = (Arc::clone(target), Arc::clone(counters));
        let mut task = JoinSet::new();
        task.spawn(async move {
            let (started, mut looks) = (Instant::now(), Vec::new());
            let mut ticks = time::interval(INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                let is_last = tokio::select! {
                    _ = ticks.tick() => false,
                    _ = stopped.wait_for(|stopped| *stopped) => true,
                };
                // A process that is being replaced has no use.
                if let Some(usage) = target.usage() {
                    let open = counters.open.load(Ordering::Relaxed);
                    looks.push((started.elapsed().as_millis() as u64, usage, open));
                }
                if is_last {
                    return looks;
                }
            }
        });
        Self { stop, task }
    }

    /// Looks a last time. Nothing where no process was named.
    pub async fn finish(mut self) -> (Vec<Sample>, Option<Peaks>) {
        self.stop.send_replace(true);
        let looks = self.task.join_next().await.and_then(Result::ok).unwrap_or_default();
        (samples(&looks), peaks(&looks))
    }
}

fn percent(from: &(u64, Usage, usize), to: &(u64, Usage, usize)) -> f64 {
    let ran_ms = to.1.run_ns.saturating_sub(from.1.run_ns) as f64 / 1e6;
    ran_ms / to.0.saturating_sub(from.0).max(1) as f64 * 100.0
}

fn samples(looks: &[(u64, Usage, usize)]) -> Vec<Sample> {
    let sample = |pair: &[(u64, Usage, usize)]| {
        let (at_ms, usage, open) = pair[1];
        let cpu_percent = percent(&pair[0], &pair[1]);
        Sample { at_ms, cpu_percent, anonymous_bytes: usage.anonymous_bytes, open }
    };
    looks.windows(2).map(sample).collect()
}

fn peaks(looks: &[(u64, Usage, usize)]) -> Option<Peaks> {
    let (first, last) = (looks.first()?, looks.last()?);
    let window = WINDOW.min(looks.len() - 1);
    let seconds = looks.windows(window + 1).map(|pair| percent(&pair[0], &pair[window]));
    Some(Peaks {
        cpu_percent: seconds.fold(0.0, f64::max),
        cpu_seconds: last.1.run_ns.saturating_sub(first.1.run_ns) as f64 / 1e9,
        anonymous_bytes_before: first.1.anonymous_bytes,
        anonymous_bytes: looks.iter().map(|look| look.1.anonymous_bytes).max().unwrap_or_default(),
        anonymous_bytes_after: last.1.anonymous_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peaks_are_those_of_a_second() {
        let look = |at_ms: u64, ran_ms: u64, anonymous_bytes| {
            (at_ms, Usage { run_ns: ran_ms * 1_000_000, anonymous_bytes, ..Usage::default() }, 0)
        };
        // Idle for a second, then half a core for a second, with one tenth of it at a whole core.
        let mut looks: Vec<_> = (0..=10).map(|n| look(n * 100, 0, 1000)).collect();
        looks.extend((1..=10).map(|n| look(1000 + n * 100, if n == 1 { 100 } else { 56 + n * 44 }, 5000)));
        looks.push(look(2100, 500, 2000));
        let peaks = peaks(&looks).unwrap();
        assert!((45.0..51.0).contains(&peaks.cpu_percent), "{peaks:?}");
        assert_eq!(
            (peaks.anonymous_bytes_before, peaks.anonymous_bytes, peaks.anonymous_bytes_after),
            (1000, 5000, 2000)
        );
        assert!((peaks.cpu_seconds - 0.5).abs() < 0.001);
        let samples = samples(&looks);
        assert_eq!(samples.len(), looks.len() - 1);
        assert!((samples[10].cpu_percent - 100.0).abs() < 0.1);
        assert!(super::peaks(&[]).is_none() && super::peaks(&looks[..1]).is_some());
    }
}
