//! IDENTIFY: who it is, whether they may, and the beginning of their session.

use std::sync::Arc;

use backplane::Subject;
use model::presence::{Platform, Status};
use model::{Channel, GuildId, Intents, User, UserId, limits};
use proto::token::{bare, claimed_user};
use proto::{Failure, FailureKind, v1};
use tracing::warn;

use super::checkpoint::leave_first;
use super::conn::ConnId;
use super::{Newcomer, Shard, ShardRef, private};
use crate::bot_starts::Verdict;
use crate::link::activity;
use crate::link::command::{Identify, PresenceUpdate, Shard as ClientShard};
use crate::live::LiveEvent;
use crate::made::Fresh;
use crate::parcel::{Parcel, Position, Says};
use crate::presence::book::{FIRST_EPOCH, Page};
use crate::render::Ready;
use crate::services::Services;
use crate::session::{PodTag, Profile, Session, SessionId, TokenHash};
use crate::stats::Count;
use crate::wire::CloseCode;

/// Why an IDENTIFY did not become a session.
enum Refusal {
    Close(CloseCode),
    /// Too many at once: op 9, and the client tries again.
    Later,
}

/// What READY shows beside the user.
struct Places {
    guilds: Vec<GuildId>,
    private_channels: Vec<Channel>,
    /// The user's last event before all this was asked for.
    user_floor: u64,
}

/// Whom the token belongs to.
struct Authenticated {
    user: User,
    token_id: u64,
    application: Option<v1::Application>,
    intents: Intents,
}

impl Shard {
    pub(super) fn identify(&mut self, me: &ShardRef, conn: ConnId, identify: Identify) {
        let (me, services, index) = (me.clone(), self.services.clone(), self.index);
        self.tasks.spawn(async move {
            let outcome = start(&me, &services, conn, index, &identify).await;
            let outcome = match outcome {
                Ok((authenticated, places)) => {
                    let profile = profile(&services, index, &identify, &authenticated);
                    leave_first(&services, &first_checkpoint(&services, &profile, &identify, &places)).await;
                    Ok((profile, authenticated, places))
                }
                Err(refusal) => Err(refusal),
            };
            let mut this = me.borrow_mut();
            match outcome {
                Ok((profile, authenticated, places)) => {
                    this.identified(&me, conn, &identify, profile, authenticated, places);
                }
                Err(refusal) => this.not_identified(conn, &refusal),
            }
            this.flush_dirty(&me);
        });
    }

    /// From here on what comes for the user is kept for this connection.
    fn begin_identifying(&mut self, conn: ConnId, user: UserId) -> bool {
        if self.conn(conn).is_none() {
            return false;
        }
        self.begin_newcomer(Newcomer::Conn(conn), user);
        true
    }

    pub(super) fn end_identifying(&mut self, conn: ConnId) -> Vec<Arc<LiveEvent>> {
        self.end_newcomer(Newcomer::Conn(conn))
    }

    pub(super) fn begin_newcomer(&mut self, who: Newcomer, user: UserId) {
        self.end_newcomer(who);
        self.services.interest.add_user(user, self.index);
        self.identifying.push((who, user, Vec::new()));
    }

    pub(super) fn end_newcomer(&mut self, who: Newcomer) -> Vec<Arc<LiveEvent>> {
        let Some(index) = self.identifying.iter().position(|(other, ..)| *other == who) else {
            return Vec::new();
        };
        let (_, user, events) = self.identifying.swap_remove(index);
        if !self.by_user.contains_key(&user) {
            self.forget_user(user);
        }
        events
    }

    fn not_identified(&mut self, conn: ConnId, refusal: &Refusal) {
        self.end_identifying(conn);
        self.services.stats.identifies_refused.add(1);
        match refusal {
            Refusal::Close(code) => self.close(conn, *code),
            Refusal::Later => self.refuse(conn),
        }
    }

    fn identified(
        &mut self,
        me: &ShardRef,
        conn: ConnId,
        identify: &Identify,
        profile: Profile,
        authenticated: Authenticated,
        places: Places,
    ) {
        let Some(connection) = self.conn(conn).filter(|conn| conn.takes_a_session()) else {
            self.end_identifying(conn);
            return;
        };
        connection.link.accepted();
        self.services.stats.identifies.add(1);
        let id = profile.id;
        let ready = Ready {
            user: &authenticated.user,
            application: authenticated.application.as_ref(),
            session_id: id.to_string(),
            resume_gateway_url: &self.services.public_url,
            guilds: &places.guilds,
            private_channels: &places.private_channels,
            shard: identify.shard_given.then_some(identify.shard),
        };
        let ready = Fresh::new("READY", &ready.json());
        let mut session = Session::new(profile);
        session.attach();
        places.private_channels.iter().for_each(|channel| session.private.insert(channel.id));
        let key = self.insert_session(session, Some(conn));
        self.give_ready(key, &ready);
        self.announce(id, &authenticated.user, identify);
        self.sessions[key].to_open = places.guilds.into();
        self.sessions[key].user_floor = places.user_floor;
        self.open_more(me, key);
        for event in self.end_identifying(conn) {
            self.give_user_event(me, key, &event);
        }
    }

    fn announce(&self, id: SessionId, user: &User, identify: &Identify) {
        let Says { status, platform, activities_json } = says(&self.services, user.bot, identify);
        self.services.book.set(id, Page::new(user.id, status, platform, activities_json));
    }
}

/// What the client says of its user's presence as it begins.
fn says(services: &Services, is_bot: bool, identify: &Identify) -> Says {
    let online = PresenceUpdate { status: Status::Online, activities: Vec::new() };
    let presence = identify.presence.as_ref().unwrap_or(&online);
    Says {
        status: presence.status,
        platform: if is_bot { Platform::Web } else { identify.platform },
        activities_json: activity::to_json(&presence.activities, services.wall()).into(),
    }
}

fn profile(services: &Services, index: usize, identify: &Identify, authenticated: &Authenticated) -> Profile {
    Profile {
        id: SessionId::new(PodTag::of(&services.pod), index as u8, services.chance.bytes()),
        user_id: authenticated.user.id,
        is_bot: authenticated.user.bot,
        token_id: authenticated.token_id,
        token_hash: TokenHash::of(&identify.token),
        intents: authenticated.intents,
        large_threshold: identify.large_threshold,
        shard: identify.shard,
        compress: identify.compress,
    }
}

/// What is left of the session if it dies before its client's first heartbeat: all of its guilds are given once more, and what
/// has come since.
fn first_checkpoint(services: &Services, profile: &Profile, identify: &Identify, places: &Places) -> Parcel {
    let (seen, layout) = (services.positions.now(), services.backplane.layout());
    let partitions = places.guilds.iter().map(|guild| layout.guild(*guild));
    let mut floors: Vec<(u16, u64)> =
        partitions.map(|partition| (partition.0, seen.guilds(partition))).collect();
    floors.sort_unstable();
    floors.dedup();
    Parcel {
        profile: profile.clone(),
        epoch: FIRST_EPOCH,
        // READY.
        seq: 1,
        entries: None,
        position: Position { incarnation: seen.incarnation, floors, user: places.user_floor },
        open: Vec::new(),
        to_create: places.guilds.clone(),
        joined: Vec::new(),
        private: places.private_channels.iter().map(|channel| channel.id).collect(),
        says: says(services, profile.is_bot, identify),
        voices: Vec::new(),
        waiting: Vec::new(),
    }
}

/// Everything that has to be asked before a session can begin.
///
/// A token that is revoked ends its sessions by an event for its user. So the user is registered here before the directory is
/// asked about the token: a revocation that its answer does not know yet will be heard of. Who the user is the token
/// claims; one that claims nobody, or somebody else than it belongs to, is asked about twice.
async fn start(
    me: &ShardRef,
    services: &Services,
    conn: ConnId,
    index: usize,
    identify: &Identify,
) -> Result<(Authenticated, Places), Refusal> {
    let mut registered = claimed_user(bare(&identify.token));
    let mut user_floor = 0;
    for _ in 0..2 {
        if let Some(user) = registered {
            register(me, services, conn, index, user).await?;
            // What was stored by now everything that is asked for from here on holds. Should this fail, nothing is lost.
            user_floor = services.backplane.last(Subject::User(user)).await.unwrap_or_default();
        }
        let identity = authenticate(services, identify).await?;
        let authenticated = Authenticated::new(&identity, identify)?;
        let user = authenticated.user.id;
        if registered == Some(user) {
            let verdict = match authenticated.user.bot {
                true => services.bot_starts.begin(user, identify.shard).await,
                false => Verdict::Go { today: None },
            };
            if verdict == Verdict::TooSoon {
                return Err(Refusal::Later);
            }
            let places = places(services, identity, &authenticated.user, identify.shard, verdict).await?;
            return Ok((authenticated, Places { user_floor, ..places }));
        }
        me.borrow_mut().end_identifying(conn);
        registered = Some(user);
    }
    Err(Refusal::Close(CloseCode::AuthenticationFailed))
}

/// From when this answers what comes for the user is heard of.
async fn register(
    me: &ShardRef,
    services: &Services,
    conn: ConnId,
    index: usize,
    user: UserId,
) -> Result<(), Refusal> {
    let was_here = !services.interest.user(user).is_empty();
    if !me.borrow_mut().begin_identifying(conn, user) {
        return Err(Refusal::Close(CloseCode::UnknownError));
    }
    match services.registry.register(&services.pod, &[user]).await {
        // The user's other sessions here may have missed something.
        Ok(missing) if was_here && !missing.is_empty() => services.owe(user),
        Ok(_) => {}
        // Without the registry events still arrive, later; it is told again at the next renewal.
        Err(error) => {
            services.registry_lost.notify_one();
            warn!(%error, shard = index, "user could not be registered");
        }
    }
    Ok(())
}

async fn authenticate(services: &Services, identify: &Identify) -> Result<v1::Identity, Refusal> {
    let request = v1::AuthenticateRequest::of(identify.token.clone());
    let request = v1::AuthenticateRequest { with_places: true, ..request };
    let identity = services.accounts.clone().authenticate(request).await;
    identity.map(tonic::Response::into_inner).map_err(|status| refusal(&status.into()))
}

impl Authenticated {
    fn new(identity: &v1::Identity, identify: &Identify) -> Result<Self, Refusal> {
        let user = identity.user.clone().and_then(|user| User::try_from(user).ok());
        let user = user.ok_or(Refusal::Close(CloseCode::UnknownError))?;
        let intents = match identify.intents {
            Some(intents) => intents,
            None if user.bot => return Err(Refusal::Close(CloseCode::InvalidIntents)),
            None => Intents::ALL,
        };
        let application = identity.application.clone();
        let granted = match &application {
            Some(application) => {
                Intents::from_bits(application.privileged_intents.into()).unwrap_or_default()
            }
            None => Intents::PRIVILEGED,
        };
        if !granted.contains(intents.intersection(Intents::PRIVILEGED)) {
            return Err(Refusal::Close(CloseCode::DisallowedIntents));
        }
        Ok(Self { user, token_id: identity.token_id, application, intents })
    }
}

/// Where the user is, as far as this shard of theirs goes.
async fn places(
    services: &Services,
    identity: v1::Identity,
    user: &User,
    shard: ClientShard,
    verdict: Verdict,
) -> Result<Places, Refusal> {
    let places = match identity.places {
        Some(places) => places,
        None => ask_places(services, user).await.map_err(|failure| refusal(&failure))?,
    };
    if verdict.is_beyond_day(places.guild_ids.len()) {
        services.stats.identifies_beyond_day.add(1);
        return Err(Refusal::Close(CloseCode::AuthenticationFailed));
    }
    let ids = places.guild_ids.into_iter().filter_map(GuildId::new);
    let guilds: Vec<GuildId> = ids.filter(|guild| shard.has(*guild)).collect();
    if user.bot && guilds.len() > limits::SHARD_GUILDS_MAX {
        return Err(Refusal::Close(CloseCode::ShardingRequired));
    }
    let private_channels = private::open_ones(services, places.private_channels).await;
    let private_channels = private_channels.map_err(|failure| refusal(&failure))?;
    Ok(Places { guilds, private_channels, user_floor: 0 })
}

/// The same from a directory of the version before.
async fn ask_places(services: &Services, user: &User) -> Result<v1::Places, Failure> {
    let user_id = user.id.get();
    let request = v1::ListUserGuildsRequest { user_id, ..v1::ListUserGuildsRequest::default() };
    let guilds = services.guilds.clone().list_user_guilds(request).await?.into_inner().guilds;
    let private_channels = if user.bot {
        Vec::new()
    } else {
        let request = v1::ListPrivateChannelsRequest { user_id };
        services.guilds.clone().list_private_channels(request).await?.into_inner().channels
    };
    Ok(v1::Places { guild_ids: guilds.iter().map(|guild| guild.id).collect(), private_channels })
}

fn refusal(failure: &Failure) -> Refusal {
    match failure.kind {
        FailureKind::Unauthenticated => Refusal::Close(CloseCode::AuthenticationFailed),
        _ => {
            warn!(%failure, "an IDENTIFY could not be served");
            Refusal::Close(CloseCode::UnknownError)
        }
    }
}
