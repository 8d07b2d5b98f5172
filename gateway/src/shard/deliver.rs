//! From one event to the sessions that are entitled to it.
//!
//! An event with a channel goes to those who see the channel, any other to everybody in the guild, each if the intents
//! ask for it; most do just that, and are given together with others (see [`super::batch`]). An event that changes who
//! sees what is applied to the audience table first; those for whom a channel appears or vanishes are told so with a
//! CHANNEL_CREATE or CHANNEL_DELETE of their own.

use std::sync::Arc;

use backplane::Partition;
use bytes::Bytes;
use model::view::ViewChange;
use model::{ChannelId, EventKind, GuildId, Intents, Permissions, UserId};
use proto::trace;
use rustc_hash::FxHashSet;
use serde_json::json;
use tracing::Span;

use super::batch::Then;
use super::{Shard, ShardRef};
use crate::audience::{SessionKey, Shift};
use crate::live::LiveEvent;
use crate::made::Fresh;
use crate::session::{About, GuildState};
use crate::stats::Count;

impl Shard {
    /// Takes an event of a guild. One that goes to a whole audience waits for others of its portion.
    pub(super) fn on_event(&mut self, event: &Arc<LiveEvent>) {
        let Some(guild) = event.envelope.guild_id else { return };
        let span = fan_out_span(event);
        self.services.stats.events_taken.add(1);
        if event.sequence > 0
            && let Some(openings) = self.openings.get_mut(&guild)
        {
            openings.iter_mut().for_each(|opening| opening.take(event));
        }
        if self.guilds.contains_key(&guild) || self.openings.contains_key(&guild) {
            self.rings.push(self.services.now_ms(), event);
            self.keep_presence(guild, event);
        }
        let Some(table) = self.guilds.get_mut(&guild) else { return };
        table.note(event);
        if is_plain(event) {
            return self.gather(event, span);
        }
        self.give_gathered(Then::More);
        let _fan_out = span.entered();
        self.take_change(guild, event);
        self.drop_if_unused(guild);
    }

    /// Takes an event that changes who sees what, or does not go to all who see its channel.
    fn take_change(&mut self, guild: GuildId, event: &Arc<LiveEvent>) {
        self.note_voice(guild, event);
        match (&event.envelope.view, event.envelope.revision) {
            (Some(ViewChange::Deleted), _) => self.guild_deleted(guild, event),
            (Some(ViewChange::Member { id, after: None, .. }), Some(revision)) => {
                self.member_removed(guild, *id, revision, event);
            }
            (Some(ViewChange::Channel { id, .. }), Some(revision)) => {
                self.channel_changed(guild, *id, revision, event);
            }
            (Some(change), Some(revision)) => {
                let Some((table, mut seats)) = self.table(guild) else { return };
                let shifts = table.audience.apply(&mut seats, revision, change);
                self.give_all(guild, event, &FxHashSet::default());
                self.tell_shifts(guild, &shifts, None, revision);
            }
            _ => self.give_all(guild, event, &FxHashSet::default()),
        }
    }

    /// Gives the event to everybody who is entitled to it, except some.
    fn give_all(&mut self, guild: GuildId, event: &Arc<LiveEvent>, except: &FxHashSet<SessionKey>) {
        let Some(table) = self.guilds.get(&guild) else { return };
        let (intent, kind) = (event.intent(), event.envelope.kind);
        let mut keys: Vec<SessionKey> = match event.envelope.channel_id {
            Some(channel) => {
                let former = table.former_viewers(event).flat_map(|user| self.sessions_in(guild, user));
                table.audience.viewers(channel, intent).chain(former).collect()
            }
            None => table.audience.sessions(intent).collect(),
        };
        keys.extend(self.owed_anyway(guild, event));
        let needs_check = is_invite(kind) || event.envelope.moved_to.is_some();
        for key in keys.into_iter().filter(|key| !except.contains(key)) {
            if self.is_wanted(key, event, intent)
                && self.is_news(key, guild, event)
                && (!needs_check || self.may_see(key, guild, event))
            {
                self.give(key, event);
            }
        }
    }

    /// Whether the session's user may see the event as things are now. Everybody sees their own voice state; invites,
    /// which let people in, are for those who manage the channel; the first half of a voice move is for those who do not
    /// see where it leads.
    pub(super) fn may_see(&self, key: SessionKey, guild: GuildId, event: &LiveEvent) -> bool {
        let (Some(slot), Some(table)) = (self.sessions.get(key), self.guilds.get(&guild)) else {
            return false;
        };
        let user = slot.session.profile.user_id;
        let (kind, is_own) = (event.envelope.kind, event.envelope.user_id == Some(user));
        let row = slot.session.guilds.place(guild).and_then(|place| place.row);
        let sees = |channel| row.is_some_and(|row| table.audience.sees(row, channel));
        match event.envelope.channel_id {
            _ if !slot.session.guilds.contains(guild) => false,
            _ if event.envelope.moved_to.is_some_and(|to| is_own || sees(to)) => false,
            None => true,
            Some(channel) if is_invite(kind) => {
                let permissions = self.permissions(key, guild, channel);
                permissions.contains(Permissions::MANAGE_CHANNELS)
            }
            Some(channel) if kind == EventKind::VoiceStateUpdate => {
                is_own || sees(channel) || table.saw(user, event)
            }
            Some(channel) => sees(channel),
        }
    }

    /// The concerned user's own sessions that are not among the audience: of their own voice state they hear without
    /// seeing the channel, of their own roles without asking for members.
    fn owed_anyway(&self, guild: GuildId, event: &LiveEvent) -> Vec<SessionKey> {
        let (Some(user), Some(table)) = (event.envelope.user_id, self.guilds.get(&guild)) else {
            return Vec::new();
        };
        let own = self.sessions_in(guild, user);
        let wants =
            |key: &SessionKey| self.sessions.get(*key).is_some_and(|slot| slot.session.wants(event.intent()));
        match (event.envelope.kind, event.envelope.channel_id) {
            (EventKind::VoiceStateUpdate, Some(channel)) if !table.saw(user, event) => {
                own.filter(|key| !self.sees(*key, guild, channel)).collect()
            }
            (EventKind::GuildMemberUpdate, None) => own.filter(|key| !wants(key)).collect(),
            _ => Vec::new(),
        }
    }

    /// Whether the session's intents ask for the event; of themselves users always hear.
    fn is_wanted(&self, key: SessionKey, event: &LiveEvent, intent: Intents) -> bool {
        let Some(slot) = self.sessions.get(key) else { return false };
        let is_own = event.envelope.kind == EventKind::GuildMemberUpdate
            && event.envelope.user_id == Some(slot.session.profile.user_id);
        is_own || slot.session.wants(intent)
    }

    /// The same for one session.
    pub(super) fn give_if_entitled(&mut self, key: SessionKey, guild: GuildId, event: &Arc<LiveEvent>) {
        if self.is_entitled(key, guild, event) {
            self.give(key, event);
        }
    }

    pub(super) fn is_entitled(&self, key: SessionKey, guild: GuildId, event: &LiveEvent) -> bool {
        self.is_news(key, guild, event)
            && self.may_see(key, guild, event)
            && self.is_wanted(key, event, event.intent())
    }

    fn guild_deleted(&mut self, guild: GuildId, event: &Arc<LiveEvent>) {
        let Some(table) = self.guilds.get(&guild) else { return };
        let keys: Vec<SessionKey> = table.audience.sessions(Intents::NONE).collect();
        for key in keys {
            if self.is_wanted(key, event, Intents::GUILDS) {
                self.give(key, event);
            }
            self.leave_guild(key, guild);
        }
        self.leave_voices(guild, |_| true);
    }

    fn member_removed(&mut self, guild: GuildId, user: UserId, revision: u64, event: &Arc<LiveEvent>) {
        let Some(table) = self.guilds.get(&guild) else { return };
        if table.audience.is_newer_member(user, revision) {
            for key in self.sessions_in(guild, user).collect::<Vec<_>>() {
                self.tell_left(key, guild);
            }
        }
        self.give_all(guild, event, &FxHashSet::default());
    }

    /// The session's user is no longer in the guild.
    pub(super) fn tell_left(&mut self, key: SessionKey, guild: GuildId) {
        let Some(slot) = self.sessions.get(key) else { return };
        let was_open = slot.session.guilds.is_open(guild) || self.arriving(key, guild).is_some();
        let wants = slot.session.wants(Intents::GUILDS);
        self.leave_guild(key, guild);
        self.leave_voices(guild, |voice| voice.key == key);
        if was_open && wants {
            let deleted = Fresh::new("GUILD_DELETE", json!({"id": guild}).to_string().as_bytes());
            self.give_own(key, &deleted, About::User);
        }
    }

    fn leave_guild(&mut self, key: SessionKey, guild: GuildId) {
        let Some(slot) = self.sessions.get_mut(key) else { return };
        let (user_id, id) = (slot.session.profile.user_id, slot.session.profile.id);
        slot.session.joined.remove(&guild);
        let state = slot.session.guilds.remove(guild);
        let list = slot.session.guilds.list();
        if let Some(arrivals) = &mut slot.arrivals {
            arrivals.remove(guild);
        }
        self.services.book.left(id, guild, list);
        self.leave_audience(guild, user_id, key, state.unwrap_or(GuildState::Opening));
    }

    /// A channel was made, changed or deleted. Who sees it before and after gets the event, who sees it only now a
    /// CHANNEL_CREATE, who no longer sees it a CHANNEL_DELETE.
    fn channel_changed(&mut self, guild: GuildId, channel: ChannelId, revision: u64, event: &Arc<LiveEvent>) {
        if event.envelope.kind == EventKind::ChannelDelete {
            self.remember_viewers(guild, channel);
        }
        let Some(table) = self.guilds.get_mut(&guild) else { return };
        if table.audience.has(revision) {
            return;
        }
        let Some(change) = &event.envelope.view else { return };
        let old = match event.envelope.kind {
            EventKind::ChannelDelete => table.channels.remove(&channel),
            // A copy, so that the rest of the envelope is not kept with it.
            _ => table.channels.insert(channel, Bytes::copy_from_slice(&event.envelope.data)),
        };
        let Some((table, mut seats)) = self.table(guild) else { return };
        let shifts = table.audience.apply(&mut seats, revision, change);
        let moved: FxHashSet<SessionKey> =
            shifts.iter().flat_map(|shift| shift.sessions.iter().copied()).collect();
        self.tell_shifts(guild, &shifts, old.map(|old| (channel, old)), revision);
        if event.envelope.kind == EventKind::ChannelUpdate {
            self.give_all(guild, event, &moved);
        }
        if event.envelope.kind == EventKind::ChannelDelete {
            self.leave_voices(guild, |voice| voice.channel_id == channel);
        }
    }

    /// Tells sessions which channels appeared and vanished for them, and who is in those. `old` is what a channel was before it
    /// changed: who may not see it now does not learn what it has become. Sessions whose GUILD_CREATE had this revision
    /// know already.
    pub(super) fn tell_shifts(
        &mut self,
        guild: GuildId,
        shifts: &[Shift],
        old: Option<(ChannelId, Bytes)>,
        revision: u64,
    ) {
        for shift in shifts {
            let knows_less = |key: &SessionKey| self.knows_less(*key, guild, revision);
            let sessions: Vec<SessionKey> = shift.sessions.iter().copied().filter(knows_less).collect();
            for channel in &shift.lost {
                self.hide_voices(guild, *channel, &sessions);
                let old = old.as_ref().filter(|(id, _)| id == channel).map(|(_, json)| json);
                self.tell_channel(guild, *channel, EventKind::ChannelDelete, old, &sessions);
            }
            for channel in &shift.gained {
                self.tell_channel(guild, *channel, EventKind::ChannelCreate, None, &sessions);
                self.show_voices(guild, *channel, &sessions);
            }
        }
    }

    /// A channel has appeared for a session.
    pub(super) fn tell_appeared(&mut self, guild: GuildId, channel: ChannelId, key: SessionKey) {
        self.tell_channel(guild, channel, EventKind::ChannelCreate, None, &[key]);
        self.show_voices(guild, channel, &[key]);
    }

    /// A channel has vanished for a session.
    pub(super) fn tell_vanished(
        &mut self,
        guild: GuildId,
        channel: ChannelId,
        body: &Bytes,
        key: SessionKey,
    ) {
        self.hide_voices(guild, channel, &[key]);
        self.tell_channel(guild, channel, EventKind::ChannelDelete, Some(body), &[key]);
    }

    fn tell_channel(
        &mut self,
        guild: GuildId,
        channel: ChannelId,
        kind: EventKind,
        old: Option<&Bytes>,
        sessions: &[SessionKey],
    ) {
        let Some(table) = self.guilds.get(&guild) else { return };
        let Some(json) = old.or_else(|| table.channels.get(&channel)) else { return };
        let about = match kind {
            EventKind::ChannelDelete => About::Guild(guild),
            _ => About::Channel(guild, channel),
        };
        let event = Fresh::new(kind.name(), json);
        for key in sessions {
            if self.sessions.get(*key).is_some_and(|slot| slot.session.wants(Intents::GUILDS)) {
                self.give_own(*key, &event, about);
            }
        }
    }

    /// Takes an event that was read from the stream, because the user had not been registered.
    pub(super) fn on_missed_user_event(&mut self, me: &ShardRef, user: UserId, event: &Arc<LiveEvent>) {
        if event.place().is_some_and(|place| self.rings.has_sequence(place, event.sequence)) {
            return;
        }
        self.on_user_event(me, user, event);
        if self.made_good.len() >= model::limits::REPAIR_EVENTS_MAX {
            self.made_good.pop_front();
        }
        self.made_good.push_back((user, event.sequence));
    }

    /// Takes an event for one user's sessions.
    pub(super) fn on_user_event(&mut self, me: &ShardRef, user: UserId, event: &Arc<LiveEvent>) {
        if self.made_good.contains(&(user, event.sequence)) {
            return;
        }
        self.services.stats.user_events.add(1);
        self.rings.push(self.services.now_ms(), event);
        self.note_user_event(user, event.sequence);
        let is_stored = event.sequence > 0;
        for (_, identifying, events) in &mut self.identifying {
            if is_stored && *identifying == user && events.len() < model::limits::OPENING_EVENTS_MAX {
                events.push(event.clone());
            }
        }
        for key in self.by_user.get(&user).cloned().unwrap_or_default() {
            self.give_user_event(me, key, event);
        }
    }

    fn note_user_event(&mut self, user: UserId, sequence: u64) {
        let partition = usize::from(self.services.backplane.layout().user(user).0);
        if self.users_taken.len() <= partition {
            self.users_taken.resize(partition + 1, 0);
        }
        self.users_taken[partition] = self.users_taken[partition].max(sequence);
    }

    /// The highest sequence that this shard has taken of a partition of users.
    pub(super) fn users_taken(&self, partition: Partition) -> u64 {
        self.users_taken.get(usize::from(partition.0)).copied().unwrap_or_default()
    }

    pub(super) fn give_user_event(&mut self, me: &ShardRef, key: SessionKey, event: &Arc<LiveEvent>) {
        let envelope = &event.envelope;
        let is_known = |slot: &super::SessionSlot| event.sequence > 0 && event.sequence <= slot.user_floor;
        if self.sessions.get(key).is_some_and(is_known) {
            return;
        }
        match (envelope.kind, envelope.guild_id) {
            (EventKind::GuildJoined, Some(guild)) => {
                let has = |slot: &super::SessionSlot| slot.session.profile.shard.has(guild);
                if self.sessions.get(key).is_some_and(has) {
                    self.joined(me, key, guild, envelope.revision);
                }
            }
            (EventKind::GuildLeft, Some(guild)) => {
                self.left_by_user_event(key, guild);
                // What waited for the guild need not any more.
                self.open_arrivals(me, key);
                self.pump(me, key);
            }
            (EventKind::TokenRevoked, _) => {
                if let (Some(slot), Some(token)) = (self.sessions.get(key), envelope.token_id) {
                    let user = slot.session.profile.user_id;
                    self.revoke(user, token);
                }
            }
            (kind, _) if kind.is_internal() => {}
            _ => {
                let intent = event.intent();
                // Outside guilds events belong to the first shard, but for what is the user's own.
                let takes = |slot: &super::SessionSlot| {
                    slot.session.wants(intent) && (slot.session.profile.shard.index == 0 || intent.is_empty())
                };
                if self.sessions.get(key).is_some_and(takes) {
                    self.note_private(key, event);
                    self.give(key, event);
                }
            }
        }
    }

    /// Who joins was no member before: a guild that is open from an older revision has been left, and the guild's own event
    /// of that is still on its way.
    fn joined(&mut self, me: &ShardRef, key: SessionKey, guild: GuildId, revision: Option<u64>) {
        if revision.is_some_and(|revision| self.knows_less(key, guild, revision)) {
            self.tell_left(key, guild);
        }
        if let Some(slot) = self.sessions.get_mut(key)
            && !slot.session.guilds.contains(guild)
            && !slot.to_open.contains(&guild)
        {
            slot.session.joined.insert(guild);
        }
        self.open_guild(me, key, guild);
    }

    /// The guild's own event says the same, in its order with the guild's others. Only while the guild is not open here
    /// does this one count; a snapshot that is being loaded would still hold the member.
    fn left_by_user_event(&mut self, key: SessionKey, guild: GuildId) {
        let state = self.sessions.get(key).and_then(|slot| slot.session.guilds.get(guild));
        if state == Some(GuildState::Opening) {
            self.tell_left(key, guild);
        }
    }
}

/// What the trace of the event's request has of this shard: from when the event was taken until all had it.
fn fan_out_span(event: &LiveEvent) -> Span {
    let envelope = &event.envelope;
    if envelope.traceparent.is_empty() {
        return Span::none();
    }
    let span = tracing::info_span!(
        target: trace::TARGET,
        parent: None,
        "fan-out",
        otel.kind = "consumer",
        messaging.operation.name = "process",
        messaging.message.id = envelope.event_id,
        starling.event = envelope.kind.name(),
    );
    trace::follow(&span, &envelope.traceparent);
    span
}

/// Whether the event goes to all who see its channel, or to the whole guild, and changes nothing here.
fn is_plain(event: &LiveEvent) -> bool {
    let envelope = &event.envelope;
    let is_for_some = matches!(
        envelope.kind,
        EventKind::VoiceStateUpdate
            | EventKind::GuildMemberUpdate
            | EventKind::InviteCreate
            | EventKind::InviteDelete
    );
    envelope.view.is_none() && envelope.moved_to.is_none() && !is_for_some
}

fn is_invite(kind: EventKind) -> bool {
    matches!(kind, EventKind::InviteCreate | EventKind::InviteDelete)
}
