//! A session that has come from another pod begins here.
//!
//! What it was given and its client may lack goes into its ring, with places in this shard's rings. Then its guilds are
//! opened here one by one (see [`super::opening`]), but where a new session gets a GUILD_CREATE this one gets what has
//! happened since ([`crate::arrival`]). A replay that comes to an event of a guild waits until the guild is here: only then
//! is it known who may see it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use model::view::{MemberView, ViewChange};
use model::voice::VoiceState;
use model::{Channel, GuildId, Intents, Member, limits};
use proto::{Envelope, v1};
use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::json;

use super::checkpoint::Left;
use super::guild::Known;
use super::opening::{Opening, Request};
use super::taking::{Again, Brought};
use super::voice::InVoice;
use super::{Newcomer, Shard, ShardRef};
use crate::arrival::{Now, Plan, Step, plan};
use crate::audience::SessionKey;
use crate::history::Past;
use crate::live::LiveEvent;
use crate::made::Fresh;
use crate::parcel::{Item, Parcel};
use crate::presence::book::Page;
use crate::render::{Snapshot, to_json};
use crate::session::{About, Entry, Session, SessionId};
use crate::shared_ring::EventRef;
use crate::stats::Count;

/// Guilds that a session has and that are still to be opened here.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// What the client has of each.
    known: FxHashMap<GuildId, Arriving>,
    /// In the order in which they are opened.
    waiting: VecDeque<GuildId>,
    opening: FxHashSet<GuildId>,
}

/// What the client has of a guild.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arriving {
    pub(super) known: Known,
    /// And perhaps more: the pod that has given it that is dead.
    pub(super) repeats: bool,
}

impl Arrivals {
    fn of(parcel: &Parcel, partition: impl Fn(GuildId) -> u16) -> Self {
        let mut arrivals = Self::default();
        let is_checkpoint = parcel.entries.is_none();
        for guild in &parcel.open {
            let floor = parcel.position.floor(partition(guild.id)).unwrap_or_default();
            let repeats = guild.repeats || is_checkpoint;
            let known = Known { revision: guild.revision, after: guild.after.max(floor) };
            arrivals.known.insert(guild.id, Arriving { known, repeats });
            arrivals.waiting.push_back(guild.id);
        }
        arrivals
    }

    pub(super) fn known(&self, guild: GuildId) -> Option<Arriving> {
        self.known.get(&guild).copied()
    }

    /// The guild is here, or gone.
    pub(super) fn remove(&mut self, guild: GuildId) {
        self.known.remove(&guild);
        self.opening.remove(&guild);
    }

    /// The next to be opened, if that may begin now.
    fn next(&mut self) -> Option<GuildId> {
        if self.opening.len() >= limits::OPENINGS_PER_SESSION_MAX {
            return None;
        }
        let next = loop {
            let guild = self.waiting.pop_front()?;
            if self.known.contains_key(&guild) {
                break guild;
            }
        };
        self.opening.insert(next);
        Some(next)
    }
}

// === impl Shard: the session ===

impl Shard {
    pub(super) fn arrive(&mut self, me: &ShardRef, id: SessionId, brought: Brought) {
        let Brought { taken, events, of_user, user_floor } = brought;
        let (mut parcel, now_ms) = (taken.parcel, self.services.now_ms());
        let layout = self.services.backplane.layout();
        let arrivals = Arrivals::of(&parcel, |guild| layout.guild(guild).0);
        let items = parcel.entries.take().unwrap_or_default();
        let entries = items.into_iter().map(|item| self.entry(item, &events)).collect();
        let mut session = Session::restored(parcel.profile.clone(), parcel.seq, entries, now_ms, &self.rings);
        session.joined = parcel.joined.iter().copied().collect();
        parcel.private.iter().for_each(|channel| session.private.insert(*channel));
        parcel.open.iter().for_each(|guild| session.guilds.begin(guild.id));
        let key = self.insert_session(session, None);
        let resume_ms = self.services.settings.resume_ms;
        self.session_timers.set(now_ms + resume_ms, (key, id));
        let slot = &mut self.sessions[key];
        slot.detached_at_ms = now_ms;
        slot.user_floor = parcel.position.user;
        slot.left = Left::elsewhere();
        let floor = |guild: &GuildId| Some((*guild, parcel.position.floor(layout.guild(*guild).0)?));
        let created: FxHashMap<GuildId, u64> = parcel.to_create.iter().filter_map(floor).collect();
        slot.created = (!created.is_empty()).then(|| Box::new(created));
        slot.to_open = std::mem::take(&mut parcel.to_create).into();
        slot.arrivals = (!parcel.open.is_empty()).then(|| Box::new(arrivals));
        for waiting in std::mem::take(&mut parcel.waiting) {
            slot.aside.get_or_insert_default().wait(waiting.voice_in, waiting.event);
        }
        self.say_again(taken.epoch, parcel);
        let live = self.end_newcomer(Newcomer::Session(id));
        let missed: Vec<_> = of_user.iter().map(|past| self.keep_past(past)).collect();
        let live = live.into_iter().filter(|event| event.sequence > user_floor);
        for event in missed {
            self.give_user_event(me, key, &event);
        }
        if let Some(slot) = self.session(key, id) {
            slot.user_floor = user_floor;
        }
        for event in live {
            self.give_user_event(me, key, &event);
        }
        self.open_arrivals(me, key);
        self.open_more(me, key);
    }

    /// Tells presence what the session says, in its new epoch.
    fn say_again(&self, epoch: u64, parcel: Parcel) {
        let (id, user_id, says) = (parcel.profile.id, parcel.profile.user_id, parcel.says);
        let mut page = Page::new(user_id, says.status, says.platform, says.activities_json);
        page.owner_epoch = epoch;
        page.guilds = parcel.open.iter().map(|guild| guild.id).collect();
        self.services.book.restore(id, page, parcel.voices);
    }

    fn entry(&mut self, item: Item, events: &FxHashMap<super::taking::Reference, Again>) -> Entry {
        let reference = match item {
            Item::Own(event, about) => return Entry::Own(event, about),
            Item::GuildCreate(guild) => return Entry::GuildCreate(guild),
            Item::OfGuild(guild, sequence) => (Some(guild), sequence),
            Item::OfUser(sequence) => (None, sequence),
        };
        let event = match &events[&reference] {
            Again::Here(event) if event.place().is_some_and(|place| self.rings.has(place)) => event.clone(),
            Again::Here(event) => self.keep_event(event.sequence, event.envelope.clone()),
            Again::Read(past, index) => self.keep_past(&past[*index]),
        };
        Entry::Shared(event.place().expect("what was numbered is kept"))
    }

    fn keep_past(&mut self, past: &Past) -> Arc<LiveEvent> {
        self.keep_event(past.sequence, past.envelope.clone())
    }

    /// Gives an event that was read again a place in this shard's rings.
    fn keep_event(&mut self, sequence: u64, envelope: Envelope) -> Arc<LiveEvent> {
        let index = 1 + self.services.events.fetch_add(1, Ordering::Relaxed);
        let event = match EventRef::new(self.ring_of_the_past(), index) {
            Some(place) => LiveEvent::stored(sequence, envelope, place),
            None => LiveEvent::ephemeral(sequence, envelope),
        };
        let event = Arc::new(event.in_forms(self.services.forms.count()));
        self.rings.push(self.services.now_ms(), &event);
        event
    }

    /// What is read again stands in a ring of its own, behind those of guilds and users: only this shard puts something
    /// there, so it is in order.
    pub(super) fn ring_of_the_past(&self) -> u16 {
        let layout = self.services.backplane.layout();
        layout.guild_partitions.saturating_add(layout.user_partitions)
    }
}

// === impl Shard: its guilds ===

impl Shard {
    /// Opens guilds that the session has and this shard has not yet for it, as many at once as it may.
    pub(super) fn open_arrivals(&mut self, me: &ShardRef, key: SessionKey) {
        loop {
            let Some(slot) = self.sessions.get_mut(key) else { return };
            let Some(arrivals) = &mut slot.arrivals else { return };
            if arrivals.known.is_empty() {
                slot.arrivals = None;
                return;
            }
            let Some(guild) = arrivals.next() else { return };
            let Some(Arriving { known, .. }) = arrivals.known(guild) else { continue };
            let request = Request::new(&slot.session, guild).known_up_to(known.after);
            self.begin_opening(me, key, request);
        }
    }

    pub(super) fn arriving(&self, key: SessionKey, guild: GuildId) -> Option<Arriving> {
        self.sessions.get(key)?.arrivals.as_ref()?.known(guild)
    }

    /// The guild is here, and the session is given what has happened since. `missed` ends with the sequence `last`.
    pub(super) fn settle(
        &mut self,
        key: SessionKey,
        request: &Request,
        (snapshot, now): (&Snapshot, &Member),
        (missed, last): (&[Past], u64),
        opening: Opening,
    ) {
        let guild = request.guild;
        let Some(Arriving { known, repeats }) = self.arriving(key, guild) else { return };
        let since: Vec<Arc<LiveEvent>> =
            opening.events.iter().filter(|event| event.sequence > last).cloned().collect();
        let envelopes: Vec<&Envelope> = missed
            .iter()
            .map(|past| &past.envelope)
            .chain(since.iter().map(|event| &event.envelope))
            .collect();
        let (view, member) = (snapshot.view(), MemberView::from(now));
        let user = now.user.id;
        let steps = match plan(&Now { view: &view, user, member: &member, repeats }, &envelopes) {
            Plan::Steps(steps) => steps,
            Plan::Rejoined => return self.begin_again(key, request, (snapshot, now), last, opening),
        };
        let revision = crate::arrival::reached(known.revision, envelopes.iter().copied());
        self.forget_arrival(key, guild);
        let shifts = self.seat(key, guild, (snapshot, now), last, &opening);
        self.set_known(key, guild, known);
        let slot = &mut self.sessions[key];
        slot.heard.lacks_from(opening.presences_from);
        for step in steps {
            match step {
                Step::Give(index) => {
                    let event = match index.checked_sub(missed.len()) {
                        Some(index) => since[index].clone(),
                        None => self.keep_if_entitled(key, guild, &missed[index]),
                    };
                    self.give_if_entitled(key, guild, &event);
                }
                Step::Appears(channel) => self.tell_appeared(guild, channel, key),
                Step::Vanishes(channel, kind, end) => {
                    let end = end.map(|index| envelopes[index].data.clone());
                    // What the channel is by now is not for who does not see it.
                    let body = end.unwrap_or_else(|| to_json(&Channel::new(channel, guild, kind, "")).into());
                    self.tell_vanished(guild, channel, &body, key);
                }
            }
            if !self.sessions.contains(key) {
                return;
            }
        }
        let after = since.last().map_or(last, |event| event.sequence.max(last)).max(known.after);
        let now_ms = self.services.now_ms();
        if let Some(table) = self.guilds.get_mut(&guild) {
            table.opened(Known { revision, after }, now_ms);
        }
        self.set_known(key, guild, Known { revision, after });
        self.sit_in_voice(key, guild);
        self.tell_shifts(guild, &shifts, None, snapshot.guild.revision);
    }

    /// Events that others have read are kept once they are given.
    pub(super) fn keep_if_entitled(
        &mut self,
        key: SessionKey,
        guild: GuildId,
        past: &Past,
    ) -> Arc<LiveEvent> {
        let loose = Arc::new(LiveEvent::ephemeral(past.sequence, past.envelope.clone()));
        if self.is_entitled(key, guild, &loose) { self.keep_past(past) } else { loose }
    }

    /// The user has left the guild and come back meanwhile: for the client it is another one.
    fn begin_again(
        &mut self,
        key: SessionKey,
        request: &Request,
        found: (&Snapshot, &Member),
        last: u64,
        opening: Opening,
    ) {
        self.gone_meanwhile(key, request.guild);
        let Some(slot) = self.sessions.get_mut(key) else { return };
        slot.session.joined.insert(request.guild);
        self.admit(key, &request.joined(), found, last, &opening);
        let user = found.1.user.id;
        let joins = |event: &Arc<LiveEvent>| {
            let change = event.envelope.view.as_ref();
            matches!(change, Some(ViewChange::Member { id, before: None, .. }) if *id == user)
        };
        let since = opening.events.iter().rposition(joins).map_or(0, |index| index + 1);
        for event in &opening.events[since..] {
            self.give_if_entitled(key, request.guild, event);
        }
    }

    /// The client was given a GUILD_CREATE elsewhere, perhaps, and then these events, of which none may be missing.
    pub(super) fn give_once_more(&mut self, key: SessionKey, request: &Request, missed: &[Past]) {
        let guild = request.guild;
        let place = self.sessions.get(key).and_then(|slot| slot.session.guilds.place(guild));
        let (Some(after), Some(place), Some(known)) = (request.known, place, self.known(key, guild)) else {
            return;
        };
        self.set_known(key, guild, Known { after, ..known });
        for past in missed {
            let event = self.keep_if_entitled(key, guild, past);
            self.give_if_entitled(key, guild, &event);
        }
        if let Some(slot) = self.sessions.get_mut(key) {
            slot.session.guilds.open(guild, place);
        }
    }

    /// The user is no member any more.
    pub(super) fn gone_meanwhile(&mut self, key: SessionKey, guild: GuildId) {
        self.forget_arrival(key, guild);
        let Some(slot) = self.sessions.get_mut(key) else { return };
        let (id, wants) = (slot.session.profile.id, slot.session.wants(Intents::GUILDS));
        slot.session.guilds.remove(guild);
        slot.session.joined.remove(&guild);
        self.services.book.left(id, guild, slot.session.guilds.list());
        if wants {
            let deleted = Fresh::new("GUILD_DELETE", json!({"id": guild}).to_string().as_bytes());
            self.give_own(key, &deleted, About::User);
        }
    }

    pub(super) fn forget_arrival(&mut self, key: SessionKey, guild: GuildId) {
        let Some(slot) = self.sessions.get_mut(key) else { return };
        if let Some(arrivals) = &mut slot.arrivals {
            arrivals.remove(guild);
        }
    }

    /// What the session needs of this guild can't be had any more.
    pub(super) fn arrival_failed(&mut self, key: SessionKey) {
        self.services.stats.arrivals_gone.add(1);
        self.invalidate(key);
    }

    /// The session is in a voice channel of the guild, if that is still there.
    fn sit_in_voice(&mut self, key: SessionKey, guild: GuildId) {
        let Some(slot) = self.sessions.get(key) else { return };
        let (id, user_id) = (slot.session.profile.id, slot.session.profile.user_id);
        let Some((_, held)) = self.services.book.page(id) else { return };
        let state = |held: v1::HeldVoice| held.state.and_then(|state| VoiceState::try_from(state).ok());
        let mut states = held.into_iter().filter_map(state).filter(|state| state.guild_id == guild);
        if let Some(channel_id) = states.find_map(|state| state.channel_id) {
            self.is_in_voice(guild, InVoice { key, id, user_id, channel_id });
        }
    }
}
