//! The service with everything around it, and gateways that send it batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use backplane::{Backplane, Delivery, InProcess, RedisRoster};
use model::clock::SystemClock;
use model::limits::PRESENCE_BATCH_MAX;
use model::slots::VOICE_WRITERS;
use presence::table::Bounds;
use presence::voice::VoiceConfig;
use presence::{Config, Presence};
use proto::clients::{PresenceClient, local_presence};
use proto::{Writer, v1};
use redis_link::Link;
use testkit::proc;
use testkit::redis::RedisServer;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Round;
use crate::cli::PresenceOptions;

/// Length of the JSON of a presence such as these.
pub(super) const VALUE_BYTES: usize = 120;

/// The running service. Dropped, it ends.
pub(super) struct Setup {
    service: Presence,
    client: PresenceClient,
    pods: Vec<Arc<Pod>>,
    taken: Arc<AtomicU64>,
    _takers: JoinSet<()>,
}

/// A gateway with its sessions, in the batches that it sends them in.
struct Pod {
    batches: Vec<v1::UpdateSessionsRequest>,
}

impl Setup {
    pub(super) async fn start(server: &RedisServer, options: &PresenceOptions) -> anyhow::Result<Self> {
        let clock = SystemClock::shared();
        let backplane = InProcess::new(Default::default(), clock.clone(), Default::default());
        let (takers, taken) = take_events(&backplane).await?;
        let ids = AtomicU64::new(1 << 40);
        let service = Presence::start(Config {
            backplane,
            event_ids: Arc::new(move || ids.fetch_add(1, Ordering::Relaxed)),
            writer: Writer { set: VOICE_WRITERS, slot: 0, epoch: 1 },
            voice: VoiceConfig::new([1; 32]),
            roster: Arc::new(RedisRoster::new(Link::start(testkit::redis::config(server))?)),
            settles_after_ms: None,
            bounds: Bounds::default(),
            clock,
        });
        let client = local_presence(service.clone(), Handle::current());
        let pods = (0..options.pods).map(|pod| Arc::new(Pod::new(pod, options))).collect();
        let setup = Self { service, client, pods, taken, _takers: takers };
        setup.send(Status::Online, None).await.context("bring everybody online")?;
        Ok(setup)
    }

    /// Everybody changes their status, again and again, until the time is over.
    pub(super) async fn measure(&self, options: &PresenceOptions) -> anyhow::Result<Round> {
        let before = (proc::cpu_time(std::process::id())?, self.taken.load(Ordering::Relaxed));
        let started = Instant::now();
        let until = started + Duration::from_secs(options.seconds);
        let mut transitions = 0;
        let statuses = [Status::Dnd, Status::Idle, Status::Online];
        for status in statuses.into_iter().cycle() {
            transitions += self.send(status, Some(until)).await?;
            if Instant::now() >= until {
                break;
            }
        }
        let seconds = started.elapsed().as_secs_f64();
        let cpu = proc::cpu_time(std::process::id())?.since(before.0);
        let published = self.taken.load(Ordering::Relaxed) - before.1;
        let stats = self.service.stats();
        anyhow::ensure!(stats.sessions_refused == 0, "sessions were refused: {stats:?}");
        Ok(Round::of_service(transitions, published, cpu.total_ms(), seconds))
    }

    /// Every pod sends all of its batches, one after the other, unless the time is over. Answers how many transitions.
    async fn send(&self, status: Status, until: Option<Instant>) -> anyhow::Result<u64> {
        let mut senders = JoinSet::new();
        for pod in &self.pods {
            let (pod, mut client) = (Arc::clone(pod), self.client.clone());
            senders.spawn(async move {
                let mut sent = 0;
                for batch in &pod.batches {
                    if until.is_some_and(|until| Instant::now() >= until) {
                        break;
                    }
                    let mut batch = batch.clone();
                    batch.sessions.iter_mut().for_each(|session| session.set_status(status));
                    sent += batch.sessions.len() as u64;
                    let reply = client.update_sessions(batch).await?.into_inner();
                    anyhow::ensure!(
                        reply.refused.is_empty(),
                        "{} sessions were refused",
                        reply.refused.len()
                    );
                }
                Ok(sent)
            });
        }
        let mut transitions = 0;
        while let Some(sent) = senders.join_next().await {
            transitions += sent.context("a gateway panicked")??;
        }
        Ok(transitions)
    }
}

type Status = v1::Status;

impl Pod {
    fn new(pod: u64, options: &PresenceOptions) -> Self {
        let guilds = (options.users / USERS_PER_GUILD).max(1);
        let session = |user: u64| v1::SessionPresence {
            session_id: format!("{:032x}", u128::from(user) << 64 | u128::from(pod)),
            owner_epoch: 1,
            user_id: user << 22,
            status: Status::Online.into(),
            platform: 2,
            activities_json: String::new(),
            guild_ids: (0..options.guilds).map(|guild| ((user + guild * 7919) % guilds + 1) << 22).collect(),
        };
        let users: Vec<u64> = (1..=options.users).filter(|user| user % options.pods == pod).collect();
        let batch = |users: &[u64]| v1::UpdateSessionsRequest {
            pod: format!("pod-{pod}"),
            sessions: users.iter().copied().map(session).collect(),
            ..v1::UpdateSessionsRequest::default()
        };
        Self { batches: users.chunks(PRESENCE_BATCH_MAX).map(batch).collect() }
    }
}

/// Takes everything that is published, as gateways do, and counts it.
async fn take_events(backplane: &InProcess) -> anyhow::Result<(JoinSet<()>, Arc<AtomicU64>)> {
    let (mut takers, taken) = (JoinSet::new(), Arc::new(AtomicU64::new(0)));
    for partition in backplane.layout().guild_partitions() {
        let (mut listener, taken) = (backplane.listen_ephemeral(partition).await?, Arc::clone(&taken));
        takers.spawn(async move {
            while let Some(delivery) = listener.next().await {
                taken.fetch_add(u64::from(matches!(delivery, Delivery::Ephemeral(_))), Ordering::Relaxed);
            }
        });
    }
    Ok((takers, taken))
}

const USERS_PER_GUILD: u64 = 50;
