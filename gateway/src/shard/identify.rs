//! IDENTIFY: who it is, whether they may, and the beginning of their session.

use std::sync::Arc;

use backplane::Subject;
use model::presence::{Platform, Status};
use model::{Channel, GuildId, Intents, User, UserId, limits};
use proto::{Failure, FailureKind, v1};
use tracing::warn;

use super::checkpoint::leave_first;
use super::conn::ConnId;
use super::{Newcomer, Shard, ShardRef, private};
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
async fn start(
    me: &ShardRef,
    services: &Services,
    conn: ConnId,
    index: usize,
    identify: &Identify,
) -> Result<(Authenticated, Places), Refusal> {
    let authenticated = authenticate(services, identify).await?;
    if authenticated.user.bot
        && !services.identify_limit.admit(services.now_ms(), authenticated.user.id, identify.shard)
    {
        return Err(Refusal::Later);
    }
    let user = authenticated.user.id;
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
    // What was stored by now everything that is asked for from here on holds. Should this fail, nothing is lost by it.
    let user_floor = services.backplane.last(Subject::User(user)).await.unwrap_or_default();
    // From here on a revocation of the token would be heard of; before, it may have passed unheard.
    let authenticated = authenticate(services, identify).await?;
    let guilds = guilds(services, user, identify.shard).await?;
    if authenticated.user.bot && guilds.len() > limits::SHARD_GUILDS_MAX {
        return Err(Refusal::Close(CloseCode::ShardingRequired));
    }
    let private_channels = match authenticated.user.bot {
        true => Vec::new(),
        false => private::load(services, user).await.map_err(|failure| refusal(&failure))?,
    };
    Ok((authenticated, Places { guilds, private_channels, user_floor }))
}

async fn authenticate(services: &Services, identify: &Identify) -> Result<Authenticated, Refusal> {
    let request = v1::AuthenticateRequest::of(identify.token.clone());
    let identity =
        services.accounts.clone().authenticate(request).await.map_err(|status| refusal(&status.into()))?;
    let identity = identity.into_inner();
    let user = identity.user.and_then(|user| User::try_from(user).ok());
    let user = user.ok_or(Refusal::Close(CloseCode::UnknownError))?;
    let intents = match identify.intents {
        Some(intents) => intents,
        None if user.bot => return Err(Refusal::Close(CloseCode::InvalidIntents)),
        None => Intents::ALL,
    };
    let granted = match &identity.application {
        Some(application) => Intents::from_bits(application.privileged_intents.into()).unwrap_or_default(),
        None => Intents::PRIVILEGED,
    };
    if !granted.contains(intents.intersection(Intents::PRIVILEGED)) {
        return Err(Refusal::Close(CloseCode::DisallowedIntents));
    }
    Ok(Authenticated { user, token_id: identity.token_id, application: identity.application, intents })
}

async fn guilds(services: &Services, user: UserId, shard: ClientShard) -> Result<Vec<GuildId>, Refusal> {
    let request = v1::ListUserGuildsRequest {
        user_id: user.get(),
        before: None,
        after: None,
        limit: 0,
        details: false,
    };
    let reply = services.guilds.clone().list_user_guilds(request).await;
    let guilds = reply.map_err(|status| refusal(&status.into()))?.into_inner().guilds;
    let ids = guilds.iter().filter_map(|guild| GuildId::new(guild.id));
    Ok(ids.filter(|guild| shard.has(*guild)).collect())
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
