//! `outage`: a gateway is killed, or all are replaced in turn, while messages are sent to clients who want all of them.
//!
//! The cluster is what `make cluster` starts. Clients are spread over its gateways and keep their sessions as libraries do
//! (see `storm`): they resume where their session says, and where nobody is, at the next gateway. What the cluster cannot
//! give them back is told as what it is: sessions that had to begin anew, and messages that were missed meanwhile.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Serialize;
use tempfile::TempDir;
use testkit::cluster::{Cluster, Member, Options};
use testkit::guests::{Guests, Invited, Library, Visit};
use testkit::proxy::Proxy;
use testkit::server::{Seed, UNLIMITED};
use tokio::time::{self, Instant};

use crate::Told;
use crate::cli::OutageOptions;
use crate::form::Form;
use crate::progress;
use crate::receivers::{Crowd, Receivers, Returning};
use crate::report::{Faults, Latency};
use crate::senders::Sent;
use crate::storm::JourneyCounts;
use crate::target::{self, Target};
use crate::traffic;

const GATEWAY: &str = "gateway";
/// For sessions that have begun to come to rest.
const SETTLE: Duration = Duration::from_secs(2);

/// What an outage was.
#[derive(Debug, Serialize)]
pub struct OutageReport {
    kind: &'static str,
    /// The processes that ended.
    ended: Vec<String>,
    guilds: usize,
    receivers: usize,
    forms: Vec<Form>,
    gateways: usize,
    messages_per_sec: f64,
    acknowledged: usize,
    failed: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_failure: Option<String>,
    faults: Faults,
    stayed_away: usize,
    /// From the end of a connection until its client was there again.
    away: Option<Latency>,
    /// From when a message was due until a receiver had it, those who were away included.
    delivery: Option<Latency>,
    #[serde(flatten)]
    journeys: JourneyCounts,
    /// How it was for discord.js and twilight.
    guests: Visit,
}

/// Measures.
pub async fn run(options: &OutageOptions, forms: &[Form]) -> anyhow::Result<OutageReport> {
    let folder = TempDir::new()?;
    let settings = format!("{UNLIMITED}{}\n", options.setting.join("\n"));
    let size = if options.embedded { Options::embedded } else { Options::full };
    let front = Proxy::start().await?;
    let public_gateway = (options.guests > 0).then(|| front.ws_url());
    let plan = Options { settings, public_gateway, is_loud: false, ..size(folder.path().to_owned()) };
    let cluster = target::started(plan).await?;
    let report = measure(&cluster, options, forms, front).await;
    cluster.stop().await;
    report
}

async fn measure(
    cluster: &Cluster,
    options: &OutageOptions,
    forms: &[Form],
    front: Proxy,
) -> anyhow::Result<OutageReport> {
    let ended = who_ends(cluster, options)?;
    let gateways = cluster.demo.gateways.clone();
    let found = target::cluster_options(cluster)?;
    let found = crate::cli::TargetOptions { gateway: gateways.clone(), form: forms.to_vec(), ..found };
    let target = Arc::new(Target::with_guilds(&found, &vec![options.clients; options.guilds]).await?);
    let count = options.clients * options.guilds;
    let returning = Some(Returning { heeds_retry_after: true });
    let receivers = Receivers::connect(&target, Crowd { returning, ..Crowd::of(count, 1) }).await?;
    let addresses: Vec<&str> = (0..gateways.len()).map(|gateway| cluster.gateway_address(gateway)).collect();
    front.lead_to_any(&addresses);
    let guests = Guests::welcome(&found.api, front, invited(&target, options.guests)?).await;
    time::sleep(SETTLE).await;
    let patience = Duration::from_secs(options.patience);
    let began = receivers.crowd.began;
    let outage = happen(&ended, options, &receivers, patience);
    let (sent, ()) = traffic::during(&target, target.run, options.rate, began, outage).await?;
    let expected = sent.deliveries(&target.guild_sizes(0, count));
    traffic::settle(&receivers, 0, expected, patience).await;
    let visit = guests.judge(&sent_to_channels(&target, &sent)?).await;
    let stayed_away = count.saturating_sub(receivers.counters.open.load(Ordering::Relaxed));
    if let Some(failure) = receivers.counters.failure() {
        bail!("a client gave up: {failure}");
    }
    let (mut received, journeys) = receivers.finish()?;
    drop(guests);
    let received = received.pop().context("a run was noted")?;
    Ok(OutageReport {
        kind: if options.roll { "roll" } else { "kill" },
        ended: ended.iter().map(|member| member.name().to_owned()).collect(),
        guilds: options.guilds,
        receivers: count,
        forms: forms.to_vec(),
        gateways: gateways.len(),
        messages_per_sec: options.rate,
        acknowledged: sent.acknowledged(),
        failed: sent.failed + sent.limited,
        faults: received.faults(&target, &sent.orders, &journeys),
        stayed_away,
        away: Latency::of(&journeys.away_us),
        delivery: Latency::of(&received.latency_us),
        journeys: JourneyCounts::of(&journeys),
        guests: visit,
        first_failure: sent.first_failure,
    })
}

/// A member of each of the first guilds, by one library and by the other.
fn invited(target: &Target, count: usize) -> anyhow::Result<Vec<Invited>> {
    let guest = |(seed, library): (&Seed, Library)| {
        let member = seed.members.first().context("a guild has a member")?;
        let sees = BTreeSet::from([seed.channel_id.parse()?]);
        Ok(Invited { library, token: member.token.clone(), sees })
    };
    let libraries = [Library::DiscordJs, Library::Twilight].into_iter().cycle();
    target.seeds().iter().take(count).zip(libraries).map(guest).collect()
}

/// The channel and the id of each message.
fn sent_to_channels(target: &Target, sent: &Sent) -> anyhow::Result<Vec<(u64, u64)>> {
    let mut messages = Vec::new();
    for (seed, ids) in target.seeds().iter().zip(&sent.ids) {
        let channel: u64 = seed.channel_id.parse()?;
        messages.extend(ids.iter().map(|id| (channel, *id)));
    }
    Ok(messages)
}

/// The processes that are to end, in this order.
fn who_ends<'a>(cluster: &'a Cluster, options: &OutageOptions) -> anyhow::Result<Vec<&'a Member>> {
    let Some(name) = &options.kill else {
        return Ok(cluster.members().filter(|member| member.role() == GATEWAY).collect());
    };
    let found = cluster.members().find(|member| member.name() == name || member.role() == name);
    let known: Vec<&str> = cluster.members().map(Member::name).collect();
    Ok(vec![found.with_context(|| format!("there is no {name} to kill, but {}", known.join(", ")))?])
}

async fn happen(
    ended: &[&Member],
    options: &OutageOptions,
    receivers: &Receivers,
    patience: Duration,
) -> anyhow::Result<()> {
    let pause = Duration::from_secs(options.seconds);
    let bar = progress::bar("processes", ended.len() as u64);
    time::sleep(pause).await;
    for member in ended {
        // It waits until the next process is ready, as a rolling update does.
        if options.roll { member.end_and_wait().await } else { member.kill_and_wait().await }?;
        bar.inc(1);
        // Who stays away is counted at the end.
        let _ = receivers.all_open(Some(Instant::now() + patience)).await;
        time::sleep(pause).await;
    }
    bar.finish();
    Ok(())
}

impl OutageReport {
    /// Whether nobody missed anything; of a rolling update also whether nothing came twice and all sessions went on.
    pub fn is_complete(&self) -> bool {
        let Faults { missing, repeated, out_of_order, .. } = self.faults;
        let guests = &self.guests;
        let is_there = missing == 0 && out_of_order == 0 && self.stayed_away == 0 && self.failed == 0;
        let are_guests_well = (guests.missing, guests.out_of_order, guests.foreign) == (0, 0, 0);
        let went_on = repeated + guests.repeated == 0 && self.journeys.identifies + guests.identifies == 0;
        is_there && are_guests_well && (self.kind != "roll" || went_on)
    }
}

impl Told for OutageReport {
    fn print(&self) {
        let line = |name: &str, value: &str| println!("{name:>23}  {value}");
        let Self { guilds, receivers, gateways, .. } = self;
        line(
            "run",
            &format!(
                "{} of {}; {receivers} clients of {guilds} guilds on {gateways} gateways",
                self.kind,
                self.ended.join(", ")
            ),
        );
        line(
            "messages",
            &format!(
                "{:.0}/s, {} acknowledged, {} failed",
                self.messages_per_sec, self.acknowledged, self.failed
            ),
        );
        if let Some(failure) = &self.first_failure {
            line("first failure", failure);
        }
        line("faults", &self.faults.to_string());
        if self.stayed_away > 0 {
            line("did not come back", &self.stayed_away.to_string());
        }
        for (name, latency) in [("each was away", self.away), ("delivered after", self.delivery)] {
            if let Some(latency) = latency {
                line(name, &latency.to_string());
            }
        }
        self.journeys.print();
        let Visit { guests, messages, missing, repeated, out_of_order, resumes, identifies, .. } =
            self.guests;
        if guests > 0 {
            line(
                "discord.js and twilight",
                &format!(
                    "{guests} guests: {messages} messages, {missing} missing, {repeated} twice, {out_of_order} out of \
                     order, {resumes} resumes, {identifies} identifies"
                ),
            );
        }
    }
}
