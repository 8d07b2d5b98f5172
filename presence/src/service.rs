//! The service as others call it: `PresenceService` of `presence.proto`, in front of the one task that owns the table.

use std::sync::Arc;
use std::time::Duration;

use backplane::Backplane;
use model::clock::SharedClock;
use model::limits::{
    ACTIVITIES_BYTES_MAX, BOT_GUILDS_MAX, PRESENCE_LEASE_MS, PRESENCE_LIST_MAX, PRESENCE_QUEUE_MAX,
    PRESENCE_SESSION_ID_BYTES_MAX, RPC_DEADLINE_MS,
};
use model::presence::Platform;
use model::voice::VoiceState;
use model::{GuildId, Member};
use proto::convert::{Malformed, id, ids, required, wire};
use proto::v1::presence_service_server::PresenceService;
use proto::{Failure, Writer, v1};
use tasks::{Ended, Tasks};
use tokio::sync::{mpsc, oneshot, watch};
use tonic::{Request, Response, Status};

use crate::driver::{Command, Driver, Reply, Stats};
use crate::table::{Batch, Bounds, Part, PodKey, SessionGone, SessionKey, SessionUpdate};
use crate::voice::VoiceConfig;

/// Makes ids of events, unique for ever.
pub type EventIds = Arc<dyn Fn() -> u64 + Send + Sync>;
/// Who writes the events of a guild: its slot and the owner's epoch.
pub type WriterOf = Arc<dyn Fn(GuildId) -> Writer + Send + Sync>;

/// What the service needs.
#[derive(Clone)]
pub struct Config {
    pub backplane: Arc<dyn Backplane>,
    /// For the expiry of voice tokens; leases go by the runtime's monotonic time.
    pub clock: SharedClock,
    pub event_ids: EventIds,
    pub writer: WriterOf,
    pub voice: VoiceConfig,
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
        let Config { backplane, clock, event_ids, writer, voice, bounds } = config;
        let (commands, received) = mpsc::channel(PRESENCE_QUEUE_MAX);
        let (stats, shown) = watch::channel(Stats::default());
        let driver = Driver::new(backplane, clock.clone(), event_ids, writer, bounds);
        let tasks = Tasks::new("presence service");
        tasks.spawner().spawn_lasting("the driver of its table", driver.run(received, stats));
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
        let pod = pod_key(&request.pod)?;
        let state: VoiceState = required("state", request.state)?.try_into()?;
        // Who is no member any more leaves as the member that joined.
        let member: Option<Member> = match request.member {
            None if state.channel_id.is_none() => None,
            member => Some(required("member", member)?.try_into()?),
        };
        session_key("state.session_id", &state.session_id)?;
        let is_other = |member: &Member| member.user.id != state.user_id || member.guild_id != state.guild_id;
        if member.as_ref().is_some_and(is_other) {
            return Err(Malformed::new("member", "it is not the member of the voice state").into());
        }
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
        let v1::RenewLeaseRequest { pod, session_count } = request.into_inner();
        let pod = pod_key(&pod).map_err(Failure::from)?;
        let resync = self.ask(|reply| Command::Renew { pod, session_count, reply }).await?;
        Ok(Response::new(v1::RenewLeaseReply { lease_ms: PRESENCE_LEASE_MS, resync }))
    }

    async fn update_sessions(
        &self,
        request: Request<v1::UpdateSessionsRequest>,
    ) -> Result<Response<v1::Empty>, Status> {
        let request = request.into_inner();
        let pod = pod_key(&request.pod).map_err(Failure::from)?;
        let batch = batch(request).map_err(Failure::from)?;
        self.ask(|reply| Command::Apply { pod, batch, reply }).await?;
        Ok(Response::new(v1::Empty {}))
    }

    async fn get_presences(
        &self,
        request: Request<v1::GetPresencesRequest>,
    ) -> Result<Response<v1::GetPresencesReply>, Status> {
        let request = request.into_inner();
        let presences = if let Some(guild) = request.guild_id {
            let guild = id("guild_id", guild).map_err(Failure::from)?;
            let limit = match request.limit as usize {
                0 => PRESENCE_LIST_MAX,
                limit => limit.min(PRESENCE_LIST_MAX),
            };
            self.ask(|reply| Command::PresencesIn { guild, limit, reply }).await?
        } else {
            let users = ids("user_ids", &request.user_ids).map_err(Failure::from)?;
            if users.len() > PRESENCE_LIST_MAX {
                let malformed = Malformed::new("user_ids", "there are too many; ask in several calls");
                return Err(Failure::from(malformed).into());
            }
            self.ask(|reply| Command::Presences { users, reply }).await?
        };
        Ok(Response::new(v1::GetPresencesReply { presences: wire(&presences), stale: false }))
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

fn batch(request: v1::UpdateSessionsRequest) -> Result<Batch, Malformed> {
    let sessions = request.sessions.into_iter().map(session_update).collect::<Result<_, _>>()?;
    let gone = request.gone.into_iter().map(|gone| {
        let session_id = session_key("gone.session_id", &gone.session_id)?;
        Ok(SessionGone { session_id, owner_epoch: gone.owner_epoch })
    });
    Ok(Batch { sessions, gone: gone.collect::<Result<_, Malformed>>()?, complete: request.complete })
}

fn session_update(session: v1::SessionPresence) -> Result<SessionUpdate, Malformed> {
    let status = session.status().known().ok_or(Malformed::new("sessions.status", "it is unspecified"))?;
    let platform = match session.platform {
        0 => Platform::Desktop,
        1 => Platform::Mobile,
        2 => Platform::Web,
        _ => return Err(Malformed::new("sessions.platform", "expected 0 desktop, 1 mobile or 2 web")),
    };
    if session.activities_json.len() > ACTIVITIES_BYTES_MAX {
        return Err(Malformed::new("sessions.activities_json", "it is too long"));
    }
    let mut guilds: Vec<GuildId> = ids("sessions.guild_ids", &session.guild_ids)?;
    guilds.sort_unstable();
    guilds.dedup();
    if guilds.len() > BOT_GUILDS_MAX {
        return Err(Malformed::new("sessions.guild_ids", "there are too many"));
    }
    Ok(SessionUpdate {
        owner_epoch: session.owner_epoch,
        user_id: id("sessions.user_id", session.user_id)?,
        part: Part {
            session_id: session_key("sessions.session_id", &session.session_id)?,
            status,
            platform,
            activities_json: shared(session.activities_json),
            guild_ids: guilds.into(),
        },
    })
}

/// An empty text takes no memory of its own.
fn shared(text: String) -> Arc<str> {
    if text.is_empty() { Arc::default() } else { text.into() }
}

fn session_key(field: &'static str, text: &str) -> Result<SessionKey, Malformed> {
    if text.is_empty() || text.len() > PRESENCE_SESSION_ID_BYTES_MAX {
        return Err(Malformed::new(field, "expected 1 to 128 bytes"));
    }
    Ok(text.into())
}

fn pod_key(text: &str) -> Result<PodKey, Malformed> {
    session_key("pod", text)
}
