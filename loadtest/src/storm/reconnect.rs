//! `storm reconnect`: all clients lose their connections at one moment and come back by RESUME, while messages are sent.
//! Bystanders stay connected, to another gateway when one is named, and say what they notice of it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{self, Instant};

use super::{Bystanders, JourneyCounts, StormReport};
use crate::cli::{ReconnectOptions, TargetOptions};
use crate::receivers::{Crowd, Journeys, Received, Receivers, Returning};
use crate::report::{Faults, Latency};
use crate::sampler::Sampler;
use crate::senders::Sent;
use crate::target::Target;
use crate::traffic;

/// Messages before the drop and behind it, beside those of the storm itself.
const MARGIN: Duration = Duration::from_secs(1);
/// Messages in quiet, and in the storm.
const RUNS: usize = 2;

struct Both {
    receivers: Receivers,
    bystanders: Option<(Arc<Target>, Receivers)>,
}

pub(super) async fn run(target: &TargetOptions, options: &ReconnectOptions) -> anyhow::Result<StormReport> {
    let members = options.receivers + options.bystanders;
    let target = Arc::new(Target::find(target, members.max(1)).await?);
    let both = Both::connect(&target, options).await?;
    let patience = Duration::from_secs(options.patience);
    let rate = options.rate;

    let quiet = async {
        time::sleep(Duration::from_secs(options.quiet_seconds)).await;
        Ok(())
    };
    let (quiet, ()) = both.traffic(&target, 0, rate, quiet, patience).await?;
    let sampler = Sampler::start(&target, &both.receivers.counters);
    let storm = async {
        time::sleep(MARGIN).await;
        let returned = both.receivers.counters.returned.load(Ordering::Relaxed);
        let dropped = Instant::now();
        both.receivers.drop_all();
        let is_back = both.receivers.all_back(returned, dropped + patience).await;
        let all_after_ms = dropped.elapsed().as_secs_f64() * 1000.0;
        time::sleep(MARGIN).await;
        Ok(is_back.then_some(all_after_ms))
    };
    let (sent, all_after_ms) = both.traffic(&target, 1, rate, storm, patience).await?;
    let (samples, server) = sampler.finish().await;

    let sent = [quiet, sent];
    let stayed_away =
        options.receivers - both.receivers.counters.open.load(Ordering::Relaxed).min(options.receivers);
    let bystanders =
        both.bystanders.map(|(aside, bystanders)| told(&aside, bystanders, &sent)).transpose()?;
    let (received, journeys) = both.receivers.finish()?;
    Ok(StormReport {
        kind: "reconnect",
        receivers: options.receivers,
        forms: target.forms.clone(),
        all_after_ms,
        stayed_away,
        wait: Latency::of(&journeys.away_us),
        journeys: JourneyCounts::of(&journeys),
        acknowledged: sent.iter().map(Sent::acknowledged).sum(),
        failed: sent.iter().map(|sent| sent.failed + sent.limited).sum(),
        faults: faults(&target, &received, &sent, &journeys),
        delivery: received.last().and_then(|received| Latency::of(&received.latency_us)),
        bystanders,
        server,
        samples,
    })
}

impl Both {
    async fn connect(target: &Arc<Target>, options: &ReconnectOptions) -> anyhow::Result<Self> {
        let returning = Some(Returning { heeds_retry_after: !options.deaf });
        let crowd = Crowd { returning, ..Crowd::of(options.receivers, RUNS) };
        let began = crowd.began;
        let receivers = Receivers::connect(target, crowd).await?;
        let mut bystanders = None;
        if options.bystanders > 0 {
            let gateways = options.bystander_gateway.clone().map_or(target.gateways.clone(), |url| vec![url]);
            let aside = Arc::new(Target { gateways, ..Target::clone(target) });
            let crowd = Crowd { first: options.receivers, began, ..Crowd::of(options.bystanders, RUNS) };
            let connected = Receivers::connect(&aside, crowd).await?;
            bystanders = Some((aside, connected));
        }
        Ok(Self { receivers, bystanders })
    }

    /// Messages while `what` goes on, until all of them have come or the time is up.
    async fn traffic<T>(
        &self,
        target: &Arc<Target>,
        run: u32,
        rate: f64,
        what: impl Future<Output = anyhow::Result<T>>,
        patience: Duration,
    ) -> anyhow::Result<(Sent, T)> {
        let all: Vec<&Receivers> =
            [&self.receivers].into_iter().chain(self.bystanders.as_ref().map(|(_, aside)| aside)).collect();
        let delivered = all.iter().map(|receivers| receivers.counters.delivered.load(Ordering::Relaxed));
        let delivered: Vec<usize> = delivered.collect();
        let began = self.receivers.crowd.began;
        let (sent, outcome) = traffic::during(target, target.run + run, rate, began, what).await?;
        for (receivers, delivered) in all.into_iter().zip(delivered) {
            let Crowd { first, count, .. } = receivers.crowd;
            let expected = sent.deliveries(&target.guild_sizes(first, count));
            traffic::settle(receivers, delivered, expected, patience).await;
        }
        Ok((sent, outcome))
    }
}

fn faults(target: &Target, received: &[Received], sent: &[Sent], journeys: &Journeys) -> Faults {
    let of_runs =
        received.iter().zip(sent).map(|(received, sent)| received.faults(target, &sent.orders, journeys));
    of_runs.fold(Faults::default(), Faults::and)
}

fn told(target: &Target, bystanders: Receivers, sent: &[Sent]) -> anyhow::Result<Bystanders> {
    let receivers = bystanders.crowd.count;
    let connections_lost = bystanders.counters.lost_connections.load(Ordering::Relaxed);
    let (received, journeys) = bystanders.finish()?;
    let latency = |run: usize| received.get(run).and_then(|received| Latency::of(&received.latency_us));
    let (quiet, storm) = (latency(0), latency(1));
    let p99_ratio = quiet.zip(storm).map(|(quiet, storm)| storm.p99_ms / quiet.p99_ms);
    let faults = Faults { connections_lost, ..faults(target, &received, sent, &journeys) };
    Ok(Bystanders { receivers, quiet, storm, p99_ratio, faults })
}
