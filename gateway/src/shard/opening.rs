//! Opening a guild for a session.
//!
//! Interest first, and once the backplane is listened to for it no event is missed from here on; then L, the last
//! sequence of the guild's subject; then the snapshot, which holds everything up to L because storing precedes
//! publishing; then GUILD_CREATE; then what has come meanwhile and lies above L and above the snapshot's revision. When
//! a change of what can be seen has come meanwhile, the snapshot is loaded again, and so it is while the table that
//! others have lacks what the snapshot shows, or the snapshot what the member shows: so GUILD_CREATE and the audience table
//! always agree. A session that has come from another pod has the guild already: in place of a GUILD_CREATE it is given what
//! has happened since ([`super::arriving`]).
//!
//! L and the snapshot come from [`crate::loads`], which loads once for all who open the guild meanwhile. The order holds for
//! each of them, since nobody shares a load that began before their interest was there.

use std::sync::Arc;

use backplane::Subject;
use model::view::ViewChange;
use model::{GuildId, Intents, Member, limits};
use proto::Failure;
use tracing::warn;

use super::arriving::Arriving;
use super::guild::{GuildSeats, GuildTable, Known};
use super::presences::Serial;
use super::{Shard, ShardRef};
use crate::arrival;
use crate::audience::{SessionKey, Shift};
use crate::history::{History, Missing, Past};
use crate::live::LiveEvent;
use crate::loads::{Loaded, Wish};
use crate::made::PartedFresh;
use crate::render::{Snapshot, Wanted};
use crate::services::Services;
use crate::session::{Place, Session, SessionId};
use crate::stats::Count;

/// A session that waits for a guild's snapshot.
pub(super) struct Opening {
    /// Tells openings of the same guild by the same session apart.
    serial: u64,
    pub(super) session: SessionKey,
    /// Stored events of the guild since the opening began.
    pub(super) events: Vec<Arc<LiveEvent>>,
    overflowed: bool,
    /// How often the snapshot was ahead of the table.
    waits: u32,
    /// Where changes of presence were when it began.
    pub(super) presences_from: Serial,
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
            Some(ViewChange::Member { id, .. }) if *id != request.wanted.user => false,
            Some(_) => event.envelope.revision.is_some_and(|newer| newer > revision),
        };
        revision < table_revision || self.overflowed || self.events.iter().any(is_missed)
    }

    /// Whether the table that others have is still to learn what the snapshot has: the member as of the one among
    /// channels and roles as of the other could see what neither shows. The events are on their way: those that are in the
    /// stream come for certain, however late; should one never be published, the guild opens all the same. In the same way
    /// the member may be ahead of the snapshot.
    fn is_ahead(&mut self, revision: u64, reached: u64, member: &Member, lags: bool) -> bool {
        let is_ahead = revision > reached || member.revision > revision;
        let waits = is_ahead && (lags || self.waits < WAITS_MAX);
        self.waits += u32::from(waits && !lags);
        waits
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
    wanted: Wanted,
    /// The client has the guild: it has its events up to here, and lacks those above.
    pub(super) known: Option<u64>,
}

/// Why a guild was not loaded.
enum NotLoaded {
    Yet(Failure),
    /// What the client lacks is gone from the stream.
    Gone,
}

impl Request {
    pub(super) fn new(session: &Session, guild: GuildId) -> Self {
        let profile = &session.profile;
        let wanted = Wanted {
            user: profile.user_id,
            large_threshold: profile.large_threshold,
            with_presences: profile.intents.contains(Intents::GUILD_PRESENCES),
            is_join: session.joined.contains(&guild),
        };
        Self { guild, wanted, known: None }
    }

    /// The same for a session whose client has the guild.
    pub(super) fn known_up_to(self, sequence: u64) -> Self {
        Self { known: Some(sequence), ..self }
    }

    /// The same for a guild that the user has just joined.
    pub(super) fn joined(self) -> Self {
        Self { wanted: Wanted { is_join: true, ..self.wanted }, ..self }
    }

    pub(super) fn wish(&self) -> Wish {
        let Wanted { user, large_threshold, with_presences, .. } = self.wanted;
        let members_max = if with_presences { large_threshold } else { 0 };
        Wish { guild: self.guild, user, members_max, with_presences }
    }

    /// GUILD_CREATE; `None` when the user is no member.
    pub(super) fn event(&self, loaded: &Loaded) -> Option<PartedFresh> {
        loaded.snapshot.as_ref()?.guild_create(&self.wanted)
    }
}

impl Shard {
    /// Opens guilds that the session still waits for, as many at once as it may.
    pub(super) fn open_more(&mut self, me: &ShardRef, key: SessionKey) {
        while self.keeps_up(key) {
            let Some(slot) = self.sessions.get_mut(key) else { return };
            if slot.session.guilds.opening_count() >= limits::OPENINGS_PER_SESSION_MAX {
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
        if slot.session.guilds.contains(guild) {
            return;
        }
        slot.session.guilds.begin(guild);
        let created = slot.created.as_ref().and_then(|created| created.get(&guild).copied());
        let request = Request { known: created, ..Request::new(&slot.session, guild) };
        self.begin_opening(me, key, request);
    }

    pub(super) fn begin_opening(&mut self, me: &ShardRef, key: SessionKey, request: Request) {
        let Some(slot) = self.sessions.get(key) else { return };
        let (guild, id) = (request.guild, slot.session.profile.id);
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

    /// Takes the snapshot, and what a client that has the guild lacks; false when it has to be loaded again.
    fn opened(
        &mut self,
        me: &ShardRef,
        ticket: Ticket,
        request: &Request,
        (loaded, missed): (&Loaded, &[Past]),
    ) -> bool {
        let (guild, key) = (request.guild, ticket.key);
        let (table_revision, table_reached) = self
            .guilds
            .get(&guild)
            .map_or((0, u64::MAX), |table| (table.audience.view().revision, table.audience.reached()));
        let (arriving, lags) = (self.arriving(key, guild), self.lags(guild, loaded.last));
        let Some((openings, index)) = self.opening(guild, ticket) else {
            self.drop_if_unused(guild);
            return true;
        };
        let reached = arriving.map_or(table_reached, |Arriving { known, .. }| {
            let since = openings[index].events.iter().map(|event| &event.envelope);
            let missed = missed.iter().map(|past| &past.envelope);
            arrival::reached(known.revision, missed.chain(since)).min(table_reached)
        });
        let found = loaded.snapshot.as_ref();
        let found = found.and_then(|snapshot| Some((snapshot, snapshot.member(request.wanted.user)?)));
        if let Some((snapshot, member)) = found
            && (openings[index].is_behind(request, snapshot.guild.revision, table_revision)
                || openings[index].is_ahead(snapshot.guild.revision, reached, member, lags))
        {
            openings[index].events.clear();
            openings[index].overflowed = false;
            self.services.stats.openings_repeated.add(1);
            return false;
        }
        let opening = openings.swap_remove(index);
        self.forget_created(key, guild);
        match (found, arriving) {
            (None, None) => {
                self.sessions[key].session.guilds.remove(guild);
            }
            (None, Some(_)) => self.gone_meanwhile(key, guild),
            (Some(found), Some(_)) => self.settle(key, request, found, (missed, loaded.last), opening),
            (Some((snapshot, member)), None) => {
                self.admit(key, request, (snapshot, member), loaded.last, &opening);
                self.give_once_more(key, request, missed);
                self.catch_up(me, key, guild, opening);
            }
        }
        self.drop_if_unused(guild);
        if arriving.is_some() {
            self.open_arrivals(me, key);
            self.pump(me, key);
        }
        self.open_more(me, key);
        true
    }

    /// Whether the table that others have has not taken what the guild's stream had.
    fn lags(&self, guild: GuildId, last: u64) -> bool {
        let partition = self.services.backplane.layout().guild(guild);
        let seen = self.seen.last().map_or(0, |seen| seen.guilds(partition));
        self.guilds.get(&guild).is_some_and(|table| table.marks.taken().max(seen) < last)
    }

    /// The guild has been given to the session here, or is gone.
    pub(super) fn forget_created(&mut self, key: SessionKey, guild: GuildId) {
        let Some(slot) = self.sessions.get_mut(key) else { return };
        if let Some(created) = &mut slot.created {
            created.remove(&guild);
            if created.is_empty() {
                slot.created = None;
            }
        }
    }

    /// The session of an opening can't be told what has happened in its guild.
    fn can_not_arrive(&mut self, guild: GuildId, ticket: Ticket) {
        if self.opening(guild, ticket).is_some() {
            self.arrival_failed(ticket.key);
        }
        self.drop_if_unused(guild);
    }

    pub(super) fn admit(
        &mut self,
        key: SessionKey,
        request: &Request,
        (snapshot, member): (&Snapshot, &Member),
        after: u64,
        opening: &Opening,
    ) {
        let (guild, revision) = (request.guild, snapshot.guild.revision);
        let shifts = self.seat(key, guild, (snapshot, member), after, opening);
        let slot = &mut self.sessions[key];
        slot.heard.lacks_from(opening.presences_from);
        let wants = slot.session.wants(Intents::GUILDS);
        if wants && let Some(event) = snapshot.guild_create(&request.wanted) {
            self.give_guild_create(key, guild, &event);
        }
        #[cfg(test)]
        self.note_admission(key, guild);
        self.tell_shifts(guild, &shifts, None, revision);
    }

    /// Gives the session its place in the guild's audience. Answers what that changes for the user's other sessions.
    pub(super) fn seat(
        &mut self,
        key: SessionKey,
        guild: GuildId,
        (snapshot, member): (&Snapshot, &Member),
        after: u64,
        opening: &Opening,
    ) -> Vec<Shift> {
        let revision = snapshot.guild.revision;
        let stats = &self.services.stats;
        let table = self.guilds.entry(guild).or_insert_with(|| {
            stats.guilds_open.add(1);
            let mut table = GuildTable::new(snapshot);
            opening.events.iter().filter(|event| event.sequence > after).for_each(|event| table.note(event));
            Box::new(table)
        });
        let mark = table.opened(Known { revision, after }, self.services.now_ms());
        let session = &mut self.sessions[key].session;
        session.guilds.open(guild, Place { row: None, mark });
        let (id, intents) = (session.profile.id, session.profile.intents);
        self.services.book.opened(id, guild, session.guilds.list());
        let mut seats = GuildSeats { guild, sessions: &mut self.sessions, by_user: &self.by_user };
        let joining = (member.user.id, &member.into());
        table.audience.join(&mut seats, joining, revision, (key, intents))
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
    let (mut failures, mut repeats) = (0, 0);
    loop {
        match load(&services, &request).await {
            Ok((loaded, missed)) => {
                let mut this = me.borrow_mut();
                let is_done = this.opened(&me, ticket, &request, (&loaded, &missed));
                this.flush_dirty(&me);
                if is_done {
                    return;
                }
                // A shard that lags for long does not ask all the time.
                repeats += 1;
                failures = repeats / WAITS_MAX;
            }
            Err(NotLoaded::Gone) => {
                let mut this = me.borrow_mut();
                this.can_not_arrive(request.guild, ticket);
                return this.flush_dirty(&me);
            }
            Err(NotLoaded::Yet(failure)) => {
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

/// The guild, and what a client that has it lacks of its events.
async fn load(services: &Arc<Services>, request: &Request) -> Result<(Arc<Loaded>, Arc<[Past]>), NotLoaded> {
    let loaded = services.loads.load(services, request.wish()).await.map_err(NotLoaded::Yet)?;
    let Some(known) = request.known else { return Ok((loaded, Arc::default())) };
    match History::read(services, Subject::Guild(request.guild), known, loaded.last).await {
        Ok(missed) => Ok((loaded, missed)),
        Err(Missing::Gone | Missing::TooMany) => Err(NotLoaded::Gone),
        Err(Missing::Away(why)) => {
            Err(NotLoaded::Yet(Failure::unavailable(why, limits::UNAVAILABLE_RETRY_MS)))
        }
    }
}

/// How often an opening waits for the table to catch up: a second or two.
const WAITS_MAX: u32 = 100;
