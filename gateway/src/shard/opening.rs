//! Opening a guild for a session.
//!
//! Interest first, so that no event is missed from here on; then L, the last sequence of the guild's subject; then the
//! snapshot, which holds everything up to L because storing precedes publishing; then GUILD_CREATE; then what has come
//! meanwhile and lies above L and above the snapshot's revision. When a change of what can be seen has come meanwhile,
//! the snapshot is loaded again: so GUILD_CREATE and the audience table always agree.

use std::sync::Arc;

use backplane::Subject;
use model::{GuildId, Intents, UserId, limits};
use proto::{Failure, FailureKind, v1};
use rustc_hash::FxHashMap;
use tokio::time::Duration;
use tracing::warn;

use super::guild::GuildTable;
use super::{Shard, ShardRef};
use crate::audience::{Audience, SessionKey};
use crate::live::LiveEvent;
use crate::render::Snapshot;
use crate::services::{Services, backoff};
use crate::session::{GuildState, Profile, SessionId};
use crate::stats::Count;
use crate::wire::SharedBody;

/// A session that waits for a guild's snapshot.
pub(super) struct Opening {
    pub(super) session: SessionKey,
    /// Stored events of the guild since the opening began.
    events: Vec<Arc<LiveEvent>>,
    overflowed: bool,
}

impl Opening {
    pub(super) fn take(&mut self, event: &Arc<LiveEvent>) {
        if self.events.len() >= limits::OPENING_EVENTS_MAX {
            self.overflowed = true;
        } else {
            self.events.push(event.clone());
        }
    }
}

/// What is asked for, and for whom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    pub(super) guild: GuildId,
    user_id: UserId,
    large_threshold: u32,
    with_presences: bool,
}

impl Request {
    pub(super) fn new(profile: &Profile, guild: GuildId) -> Self {
        Self {
            guild,
            user_id: profile.user_id,
            large_threshold: profile.large_threshold,
            with_presences: profile.intents.contains(Intents::GUILD_PRESENCES),
        }
    }

    pub(super) fn body(&self, services: &Services, snapshot: &Snapshot) -> SharedBody {
        let data = snapshot.guild_create(services.wall(), self.large_threshold, self.with_presences);
        SharedBody::json("GUILD_CREATE", &data)
    }
}

/// Loads the guild as it is now; `None` when the user is no member.
pub(super) async fn load(services: &Services, request: &Request) -> Result<Option<Snapshot>, Failure> {
    let open = v1::OpenGuildRequest {
        guild_id: request.guild.get(),
        user_id: request.user_id.get(),
        members_max: if request.with_presences { request.large_threshold } else { 0 },
    };
    let snapshot = match services.guilds.clone().open_guild(open).await {
        Ok(reply) => reply.into_inner(),
        Err(status) => {
            let failure = Failure::from(status);
            let is_gone = matches!(failure.kind, FailureKind::NotFound | FailureKind::Forbidden);
            return if is_gone { Ok(None) } else { Err(failure) };
        }
    };
    // Who is online and who speaks is shown if it is to be had; a guild opens without.
    let presences =
        if request.with_presences { presences(services, request.guild).await } else { Vec::new() };
    let voice = v1::ListVoiceStatesRequest { guild_id: request.guild.get() };
    let voice_states = services.presence.clone().list_voice_states(voice).await;
    let voice_states = voice_states.map(|reply| reply.into_inner().states).unwrap_or_default();
    Ok(Snapshot::new(snapshot, presences, voice_states)?)
}

async fn presences(services: &Services, guild: GuildId) -> Vec<v1::Presence> {
    let request = v1::GetPresencesRequest {
        user_ids: Vec::new(),
        guild_id: Some(guild.get()),
        limit: limits::PRESENCES_PER_GUILD_MAX,
    };
    let reply = services.presence.clone().get_presences(request).await;
    reply.map(|reply| reply.into_inner().presences).unwrap_or_default()
}

impl Shard {
    /// Opens guilds that the session still waits for, as many at once as it may.
    pub(super) fn open_more(&mut self, me: &ShardRef, key: SessionKey) {
        while let Some(slot) = self.sessions.get_mut(key) {
            let keeps_up = slot.conn.is_none() || slot.session.is_at_end();
            if !keeps_up || slot.opening_count >= limits::OPENINGS_PER_SESSION_MAX {
                return;
            }
            let Some(guild) = slot.to_open.pop_front() else { return };
            self.open_guild(me, key, guild);
        }
    }

    pub(super) fn open_guild(&mut self, me: &ShardRef, key: SessionKey, guild: GuildId) {
        let Some(slot) = self.sessions.get_mut(key) else { return };
        if slot.session.guilds.contains_key(&guild) {
            return;
        }
        slot.session.guilds.insert(guild, GuildState::Opening);
        slot.opening_count += 1;
        let request = Request::new(&slot.session.profile, guild);
        let id = slot.session.profile.id;
        self.services.interest.add_guild(guild, self.index);
        let opening = Opening { session: key, events: Vec::new(), overflowed: false };
        self.openings.entry(guild).or_default().push(opening);
        self.tasks.spawn_local(open(me.clone(), self.services.clone(), key, id, request));
    }

    /// Takes the snapshot; false when it has to be loaded again.
    fn opened(
        &mut self,
        me: &ShardRef,
        key: SessionKey,
        id: SessionId,
        request: &Request,
        last: u64,
        snapshot: Option<Snapshot>,
    ) -> bool {
        let guild = request.guild;
        if self.session(key, id).is_none() {
            self.drop_if_unused(guild);
            return true;
        }
        let Some(openings) = self.openings.get_mut(&guild) else { return true };
        let Some(index) = openings.iter().position(|opening| opening.session == key) else { return true };
        if let Some(snapshot) = &snapshot {
            let revision = snapshot.guild.revision;
            let is_behind = |event: &Arc<LiveEvent>| {
                event.envelope.view.is_some() && event.envelope.revision.is_some_and(|newer| newer > revision)
            };
            let opening = &mut openings[index];
            if opening.overflowed || opening.events.iter().any(is_behind) {
                opening.events.clear();
                opening.overflowed = false;
                self.services.stats.openings_repeated.add(1);
                return false;
            }
        }
        let opening = openings.swap_remove(index);
        self.sessions[key].opening_count -= 1;
        match snapshot {
            None => {
                self.sessions[key].session.guilds.remove(&guild);
            }
            Some(snapshot) => {
                self.admit(key, request, &snapshot);
                self.catch_up(me, key, guild, last, opening);
            }
        }
        self.drop_if_unused(guild);
        self.open_more(me, key);
        true
    }

    fn admit(&mut self, key: SessionKey, request: &Request, snapshot: &Snapshot) {
        let (guild, revision) = (request.guild, snapshot.guild.revision);
        let stats = &self.services.stats;
        let table = self.guilds.entry(guild).or_insert_with(|| {
            stats.guilds_open.add(1);
            let channels: FxHashMap<_, _> = snapshot.channel_bodies().collect();
            GuildTable { audience: Audience::new(snapshot.view()), channels }
        });
        table.audience.join(request.user_id, (&snapshot.member).into(), revision, key);
        let slot = &mut self.sessions[key];
        slot.session.guilds.insert(guild, GuildState::Open { revision });
        let (id, wants) = (slot.session.profile.id, slot.session.wants(Intents::GUILDS));
        self.services.book.update(id, |presence| presence.guild_ids.push(guild.get()));
        if wants {
            let body = request.body(&self.services, snapshot);
            self.give_guild_create(key, guild, body);
        }
    }

    /// Gives what came during the opening and is not in the snapshot. None of it changes what can be seen.
    fn catch_up(&mut self, me: &ShardRef, key: SessionKey, guild: GuildId, last: u64, opening: Opening) {
        for event in opening.events {
            let is_new = match event.envelope.revision {
                Some(revision) => self.is_news(key, guild, Some(revision)),
                None => event.sequence > last,
            };
            if is_new {
                self.give_if_entitled(key, guild, &event);
            }
        }
        self.pump(me, key);
    }
}

/// Loads until it fits, the session is gone, or the user is no member.
async fn open(me: ShardRef, services: Arc<Services>, key: SessionKey, id: SessionId, request: Request) {
    let mut attempt = 0;
    loop {
        let last = services.backplane.last(Subject::Guild(request.guild)).await;
        let loaded = match last {
            Ok(last) => load(&services, &request).await.map(|snapshot| (last, snapshot)),
            Err(unavailable) => Err(Failure::unavailable(unavailable.to_string(), 1000)),
        };
        match loaded {
            Ok((last, snapshot)) => {
                let mut this = me.borrow_mut();
                let is_done = this.opened(&me, key, id, &request, last, snapshot);
                this.flush_dirty(&me);
                if is_done {
                    return;
                }
            }
            Err(failure) => {
                warn!(guild = %request.guild, %failure, "guild could not be opened, it is tried again")
            }
        }
        let pause: Duration = backoff(attempt);
        attempt += 1;
        tokio::time::sleep(pause).await;
        if me.borrow_mut().session(key, id).is_none() {
            me.borrow_mut().drop_if_unused(request.guild);
            return;
        }
    }
}
