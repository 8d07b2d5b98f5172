//! Opening a guild for a session.
//!
//! Interest first, and once the backplane is listened to for it no event is missed from here on; then L, the last
//! sequence of the guild's subject; then the snapshot, which holds everything up to L because storing precedes
//! publishing; then GUILD_CREATE; then what has come meanwhile and lies above L and above the snapshot's revision. When
//! a change of what can be seen has come meanwhile, the snapshot is loaded again, and so it is while the table that
//! others have lacks what the snapshot shows: so GUILD_CREATE and the audience table always agree.

use std::sync::Arc;

use backplane::Subject;
use model::presence::Presence;
use model::view::ViewChange;
use model::{GuildId, Intents, UserId, limits};
use proto::{Failure, FailureKind, v1};
use tracing::warn;

use super::guild::GuildTable;
use super::presences::Serial;
use super::{Shard, ShardRef};
use crate::audience::SessionKey;
use crate::live::LiveEvent;
use crate::made::Fresh;
use crate::render::Snapshot;
use crate::services::Services;
use crate::session::{GuildState, Session, SessionId};
use crate::stats::Count;

/// A session that waits for a guild's snapshot.
pub(super) struct Opening {
    /// Tells openings of the same guild by the same session apart.
    serial: u64,
    pub(super) session: SessionKey,
    /// Stored events of the guild since the opening began.
    events: Vec<Arc<LiveEvent>>,
    overflowed: bool,
    /// How often the snapshot was ahead of the table.
    waits: u32,
    /// Where changes of presence were when it began.
    presences_from: Serial,
}

impl Opening {
    pub(super) fn take(&mut self, event: &Arc<LiveEvent>) {
        if self.events.len() >= limits::OPENING_EVENTS_MAX {
            self.overflowed = true;
        } else {
            self.events.push(event.clone());
        }
    }

    /// Whether a snapshot of this revision is too old: for the table that others have, or for what has come meanwhile.
    /// Changes of other members do not count, since GUILD_CREATE shows nothing that follows from them alone.
    fn is_behind(&self, request: &Request, revision: u64, table_revision: u64) -> bool {
        let is_missed = |event: &Arc<LiveEvent>| match &event.envelope.view {
            None => false,
            Some(ViewChange::Member { id, .. }) if *id != request.user_id => false,
            Some(_) => event.envelope.revision.is_some_and(|newer| newer > revision),
        };
        revision < table_revision || self.overflowed || self.events.iter().any(is_missed)
    }

    /// Whether the table that others have is still to learn what the snapshot has: the member as of the one among
    /// channels and roles as of the other could see what neither shows. The events are on their way; should one never
    /// come, the guild opens all the same.
    fn is_ahead(&mut self, revision: u64, reached: u64) -> bool {
        let is_ahead = revision > reached && self.waits < WAITS_MAX;
        self.waits += u32::from(is_ahead);
        is_ahead
    }
}

/// Whose opening a task works on.
#[derive(Debug, Clone, Copy)]
struct Ticket {
    serial: u64,
    key: SessionKey,
    id: SessionId,
}

/// What is asked for, and for whom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request {
    pub(super) guild: GuildId,
    user_id: UserId,
    large_threshold: u32,
    with_presences: bool,
    is_join: bool,
}

impl Request {
    pub(super) fn new(session: &Session, guild: GuildId) -> Self {
        let profile = &session.profile;
        Self {
            guild,
            user_id: profile.user_id,
            large_threshold: profile.large_threshold,
            with_presences: profile.intents.contains(Intents::GUILD_PRESENCES),
            is_join: session.joined.contains(&guild),
        }
    }

    pub(super) fn event(&self, services: &Services, snapshot: &Snapshot) -> Fresh {
        let data =
            snapshot.guild_create(services.wall(), self.large_threshold, self.with_presences, self.is_join);
        Fresh::new("GUILD_CREATE", &data)
    }
}

/// Loads the guild as it is now; `None` when the user is no member.
pub(super) async fn load(services: &Services, request: &Request) -> Result<Option<Snapshot>, Failure> {
    let open = v1::OpenGuildRequest {
        guild_id: request.guild.get(),
        user_id: request.user_id.get(),
        members_max: if request.with_presences { request.large_threshold } else { 0 },
    };
    let mut snapshot = match services.guilds.clone().open_guild(open).await {
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
    let voice_states = services.presences.voices_in(request.guild).await;
    snapshot
        .members
        .extend(members_in_voice(services, request.guild, &snapshot.members, &voice_states).await);
    Ok(Snapshot::new(snapshot, presences, voice_states)?)
}

/// Members who are in voice channels are always shown, however few others are.
async fn members_in_voice(
    services: &Services,
    guild: GuildId,
    known: &[v1::Member],
    voice_states: &[v1::VoiceState],
) -> Vec<v1::Member> {
    let is_known =
        |user: u64| known.iter().any(|member| member.user.as_ref().is_some_and(|known| known.id == user));
    let users = voice_states.iter().map(|state| state.user_id).filter(|user| !is_known(*user));
    let user_ids: Vec<u64> = users.take(limits::MEMBERS_CHUNK_MAX).collect();
    if user_ids.is_empty() {
        return Vec::new();
    }
    let request = v1::GetMembersRequest { guild_id: guild.get(), user_ids };
    let reply = services.guilds.clone().get_members(request).await;
    reply.map(|reply| reply.into_inner().members).unwrap_or_default()
}

async fn presences(services: &Services, guild: GuildId) -> Vec<Presence> {
    let shown = services.presences.in_guild(guild, limits::PRESENCES_PER_GUILD_MAX).await;
    services.stats.presences_stale.add(u64::from(shown.is_stale));
    shown.presences
}

impl Shard {
    /// Opens guilds that the session still waits for, as many at once as it may.
    pub(super) fn open_more(&mut self, me: &ShardRef, key: SessionKey) {
        while self.keeps_up(key) {
            let Some(slot) = self.sessions.get_mut(key) else { return };
            if slot.opening_count >= limits::OPENINGS_PER_SESSION_MAX {
                return;
            }
            let Some(guild) = slot.to_open.pop_front() else {
                slot.to_open = Default::default();
                return;
            };
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
        let request = Request::new(&slot.session, guild);
        let id = slot.session.profile.id;
        self.services.interest.add_guild(guild, self.index);
        self.opening_serial += 1;
        let serial = self.opening_serial;
        let presences_from = self.presences.next();
        let opening =
            Opening { serial, session: key, events: Vec::new(), overflowed: false, waits: 0, presences_from };
        self.openings.entry(guild).or_default().push(opening);
        let ticket = Ticket { serial, key, id };
        self.tasks.spawn(open(me.clone(), self.services.clone(), ticket, request));
    }

    /// Whether the session's socket takes what it is given; a session without a socket does.
    pub(super) fn keeps_up(&self, key: SessionKey) -> bool {
        let Some(slot) = self.sessions.get(key) else { return false };
        let Some(conn) = slot.conn.and_then(|conn| self.conns.get(conn.place as usize)) else { return true };
        slot.session.is_at_end() && !conn.outbox.is_half_full()
    }

    /// The opening's place, if it is still wanted.
    fn opening(&mut self, guild: GuildId, ticket: Ticket) -> Option<(&mut Vec<Opening>, usize)> {
        self.session(ticket.key, ticket.id)?;
        let openings = self.openings.get_mut(&guild)?;
        let index = openings.iter().position(|opening| opening.serial == ticket.serial)?;
        Some((openings, index))
    }

    /// Takes the snapshot; false when it has to be loaded again.
    fn opened(
        &mut self,
        me: &ShardRef,
        ticket: Ticket,
        request: &Request,
        last: u64,
        snapshot: Option<Snapshot>,
    ) -> bool {
        let (guild, key) = (request.guild, ticket.key);
        let (table_revision, reached) = self
            .guilds
            .get(&guild)
            .map_or((0, u64::MAX), |table| (table.audience.view().revision, table.reached));
        let Some((openings, index)) = self.opening(guild, ticket) else {
            self.drop_if_unused(guild);
            return true;
        };
        if let Some(snapshot) = &snapshot
            && (openings[index].is_behind(request, snapshot.guild.revision, table_revision)
                || openings[index].is_ahead(snapshot.guild.revision, reached))
        {
            openings[index].events.clear();
            openings[index].overflowed = false;
            self.services.stats.openings_repeated.add(1);
            return false;
        }
        let opening = openings.swap_remove(index);
        self.sessions[key].opening_count -= 1;
        match snapshot {
            None => {
                self.sessions[key].session.guilds.remove(&guild);
            }
            Some(snapshot) => {
                self.admit(key, request, &snapshot, last, &opening);
                self.catch_up(me, key, guild, opening);
            }
        }
        self.drop_if_unused(guild);
        self.open_more(me, key);
        true
    }

    fn admit(
        &mut self,
        key: SessionKey,
        request: &Request,
        snapshot: &Snapshot,
        after: u64,
        opening: &Opening,
    ) {
        let (guild, revision) = (request.guild, snapshot.guild.revision);
        let stats = &self.services.stats;
        let table = self.guilds.entry(guild).or_insert_with(|| {
            stats.guilds_open.add(1);
            let mut table = GuildTable::new(snapshot);
            opening.events.iter().filter(|event| event.sequence > after).for_each(|event| table.note(event));
            table
        });
        table.opened(revision, after);
        let slot = &mut self.sessions[key];
        let intents = slot.session.profile.intents;
        let shifts = table.audience.join(request.user_id, (&snapshot.member).into(), revision, key, intents);
        slot.session.guilds.insert(guild, GuildState::Open { revision, after });
        slot.heard.lacks_from(opening.presences_from);
        let (id, wants) = (slot.session.profile.id, slot.session.wants(Intents::GUILDS));
        self.services.book.update(id, |page| {
            if page.guild_ids.len() == page.guild_ids.capacity() {
                page.guild_ids.reserve_exact((page.guild_ids.len() / 4).max(1));
            }
            page.guild_ids.push(guild);
        });
        if wants {
            let event = request.event(&self.services, snapshot);
            self.give_guild_create(key, guild, &event);
        }
        #[cfg(test)]
        self.note_admission(key, guild);
        self.tell_shifts(guild, &shifts, None, revision);
    }

    /// Gives what came during the opening and is not in the snapshot. None of it changes what the session sees.
    fn catch_up(&mut self, me: &ShardRef, key: SessionKey, guild: GuildId, opening: Opening) {
        for event in opening.events {
            self.give_if_entitled(key, guild, &event);
        }
        self.pump(me, key);
    }
}

/// Loads until it fits, the session is gone, or the user is no member.
async fn open(me: ShardRef, services: Arc<Services>, ticket: Ticket, request: Request) {
    let mut failures = 0;
    loop {
        let last = async {
            services.interest.stands(request.guild).await?;
            services.backplane.last(Subject::Guild(request.guild)).await
        };
        let loaded = match last.await {
            Ok(last) => load(&services, &request).await.map(|snapshot| (last, snapshot)),
            Err(unavailable) => Err(Failure::unavailable(unavailable.to_string(), 1000)),
        };
        match loaded {
            Ok((last, snapshot)) => {
                let mut this = me.borrow_mut();
                let is_done = this.opened(&me, ticket, &request, last, snapshot);
                this.flush_dirty(&me);
                if is_done {
                    return;
                }
                failures = 0;
            }
            Err(failure) => {
                warn!(guild = %request.guild, %failure, "guild could not be opened, it is tried again");
                failures += 1;
            }
        }
        tokio::time::sleep(services.backoff(failures)).await;
        let mut this = me.borrow_mut();
        if this.opening(request.guild, ticket).is_none() {
            return this.drop_if_unused(request.guild);
        }
    }
}

/// How often an opening waits for the table to catch up: a second or two.
const WAITS_MAX: u32 = 100;
