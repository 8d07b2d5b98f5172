//! The service as others call it: `PresenceService` of `presence.proto`, in front of the one task that owns the table.

use std::sync::Arc;
use std::time::Duration;

use backplane::{Backplane, Roster};
use model::clock::SharedClock;
use model::limits::{PRESENCE_LEASE_MS, PRESENCE_QUEUE_MAX, RPC_DEADLINE_MS};
use proto::convert::{id, numbers, wire};
use proto::v1::presence_service_server::PresenceService;
use proto::{Failure, Writer, v1};
use tasks::{Ended, Tasks};
use tokio::sync::{mpsc, oneshot, watch};
use tonic::{Request, Response, Status};

use crate::driver::{Command, Driver, Reply, Standing, Stats};
use crate::request;
use crate::table::Bounds;
use crate::voice::VoiceConfig;

/// Makes ids of events, unique for ever.
pub type EventIds = Arc<dyn Fn() -> u64 + Send + Sync>;

/// What the service needs.
#[derive(Clone)]
pub struct Config {
    pub backplane: Arc<dyn Backplane>,
    /// For the expiry of voice tokens; leases go by the runtime's monotonic time.
    pub clock: SharedClock,
    pub event_ids: EventIds,
    /// Of its own among all who write into the streams of guilds: `model::slots::VOICE_WRITERS`.
    pub writer: Writer,
    pub voice: VoiceConfig,
    /// Which gateway pods live, also those that can't reach this service.
    pub roster: Arc<dyn Roster>,
    /// Set where another one may have run before, and pods have sessions that it knew: until those are known here, nobody is
    /// said to be offline. So long after the start every pod that lives is in the roster, even if that was emptied.
    pub settles_after_ms: Option<u64>,
    pub bounds: Bounds,
}

/// A running presence service. Clones are the same service.
#[derive(Clone)]
pub struct Presence {
    inner: Arc<Inner>,
}

struct Inner {
    /// The driver. It goes first: without a sender of commands it would end by itself.
    tasks: Tasks,
    commands: mpsc::Sender<Command>,
    stats: watch::Receiver<Stats>,
    clock: SharedClock,
    voice: VoiceConfig,
}

impl Presence {
    /// Starts the service on the runtime that this is called on.
    pub fn start(config: Config) -> Self {
        let (clock, voice) = (config.clock.clone(), config.voice.clone());
        let (commands, received) = mpsc::channel(PRESENCE_QUEUE_MAX);
        let (stats, shown) = watch::channel(Stats::default());
        let tasks = Tasks::new("presence service");
        let driver = Driver::new(config).run(received, stats);
        tasks.spawner().spawn_lasting("the driver of its table", driver);
        Self { inner: Arc::new(Inner { tasks, commands, stats: shown, clock, voice }) }
    }

    /// Waits for a task that ends by itself, which only a defect does.
    pub async fn ended(&self) -> Ended {
        self.inner.tasks.ended().await
    }

    pub fn stats(&self) -> Stats {
        *self.inner.stats.borrow()
    }

    /// Ends the service: calls from now on answer that it is unavailable, voice events that are not acknowledged by now
    /// are dropped. Answers when its task has ended.
    pub async fn shutdown(&self) {
        self.inner.tasks.kill().await;
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        let exchange = async {
            self.inner.commands.send(command(reply)).await.map_err(|_| shutting_down())?;
            answer.await.map_err(|_| shutting_down())?
        };
        within_deadline(exchange).await
    }

    async fn set_voice(
        &self,
        request: v1::UpdateVoiceStateRequest,
    ) -> Result<v1::UpdateVoiceStateReply, Failure> {
        let pod = request::pod_key(&request.pod)?;
        let (state, member) = request::voice(request.state, request.member)?;
        let token = self.inner.voice.token(&state, self.inner.clock.now_ms());
        let member = member.map(Box::new);
        let set = self.ask(|reply| Command::SetVoice { pod, state, member, reply }).await?;
        if let Some(published) = set.published {
            within_deadline(async { published.await.map_err(|_| shutting_down()) }).await?;
        }
        let endpoint = self.inner.voice.endpoint(request.rtc_region.as_deref()).map(str::to_owned);
        let server = token.filter(|_| set.needs_server);
        Ok(v1::UpdateVoiceStateReply { endpoint: server.as_ref().and(endpoint), token: server })
    }
}

#[tonic::async_trait]
impl PresenceService for Presence {
    async fn renew_lease(
        &self,
        request: Request<v1::RenewLeaseRequest>,
    ) -> Result<Response<v1::RenewLeaseReply>, Status> {
        let request = request.into_inner();
        let pod = request::pod_key(&request.pod).map_err(Failure::from)?;
        let claim = request::claim(&request);
        let (resync, standing) = self.ask(|reply| Command::Renew { pod, claim, reply }).await?;
        let standing = Some(standing.into());
        Ok(Response::new(v1::RenewLeaseReply { lease_ms: PRESENCE_LEASE_MS, resync, standing }))
    }

    async fn update_sessions(
        &self,
        request: Request<v1::UpdateSessionsRequest>,
    ) -> Result<Response<v1::UpdateSessionsReply>, Status> {
        let request = request.into_inner();
        let pod = request::pod_key(&request.pod).map_err(Failure::from)?;
        let batch = request::batch(request).map_err(Failure::from)?;
        let (applied, standing) = self.ask(|reply| Command::Apply { pod, batch, reply }).await?;
        let refused = applied.refused.iter().map(|session| session.as_ref().to_owned()).collect();
        let (resync, standing) = (applied.is_unknown, Some(standing.into()));
        Ok(Response::new(v1::UpdateSessionsReply { resync, standing, refused }))
    }

    async fn get_presences(
        &self,
        request: Request<v1::GetPresencesRequest>,
    ) -> Result<Response<v1::GetPresencesReply>, Status> {
        let wanted = request::wanted(request.get_ref()).map_err(Failure::from)?;
        let (found, standing) = self.ask(|reply| Command::Presences { wanted, reply }).await?;
        let (presences, truncated) = (wire(&found.presences), found.is_truncated);
        Ok(Response::new(v1::GetPresencesReply { presences, standing: Some(standing.into()), truncated }))
    }

    async fn compare_presences(
        &self,
        request: Request<v1::ComparePresencesRequest>,
    ) -> Result<Response<v1::ComparePresencesReply>, Status> {
        let guilds = request::digests(request.into_inner()).map_err(Failure::from)?;
        let (differing, standing) = self.ask(|reply| Command::Compare { guilds, reply }).await?;
        let differing = numbers(&differing);
        Ok(Response::new(v1::ComparePresencesReply { differing, standing: Some(standing.into()) }))
    }

    async fn update_voice_state(
        &self,
        request: Request<v1::UpdateVoiceStateRequest>,
    ) -> Result<Response<v1::UpdateVoiceStateReply>, Status> {
        Ok(Response::new(self.set_voice(request.into_inner()).await?))
    }

    async fn list_voice_states(
        &self,
        request: Request<v1::ListVoiceStatesRequest>,
    ) -> Result<Response<v1::ListVoiceStatesReply>, Status> {
        let guild = id("guild_id", request.into_inner().guild_id).map_err(Failure::from)?;
        let states = self.ask(|reply| Command::VoicesIn { guild, reply }).await?;
        Ok(Response::new(v1::ListVoiceStatesReply { states: wire(&states) }))
    }
}

async fn within_deadline<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let late = |_| Err(Failure::unavailable("presence did not answer in time", 1000));
    tokio::time::timeout(Duration::from_millis(RPC_DEADLINE_MS), work).await.unwrap_or_else(late)
}

fn shutting_down() -> Failure {
    Failure::unavailable("presence is shutting down", 1000)
}

impl From<Standing> for v1::PresenceStanding {
    fn from(Standing { incarnation, is_stale }: Standing) -> Self {
        Self { incarnation, stale: is_stale }
    }
}
