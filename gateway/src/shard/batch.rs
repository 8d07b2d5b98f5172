//! Events that go to whole audiences, given session by session.
//!
//! A shard takes what comes in portions. Given event by event, a portion of 64 messages would fetch each of 10,000
//! sessions, its ring, its connection and its socket 64 times. So such events are gathered until the portion is over, or
//! until something comes that they must not overtake (a change of what can be seen, a user's own event, a socket), and
//! are then given to each session in one go and written right away, without a detour through the outbox.
//!
//! A session gets them in the order in which they came, whatever channels and guilds they are of: each event is a bit,
//! and a session's events are the bits that its audiences have in common with the portion.

use std::sync::Arc;

use model::{ChannelId, GuildId, Intents};
use rustc_hash::FxHashMap;
use tracing::Span;

use super::Shard;
use super::conn::ConnId;
use super::guild::GuildTable;
use crate::audience::SessionKey;
use crate::form::Form;
use crate::live::LiveEvent;
use crate::session::{Entry, Session};
use crate::stats::Count;
use crate::wire::{Class, Frame, Full, write_frames};

/// Whether what is given is written now, or with what follows in the same portion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    Write,
    More,
}

/// Events that wait to be given, in the order in which they came.
#[derive(Default)]
pub(super) struct Gathered {
    events: Vec<Arc<LiveEvent>>,
    /// Of those whose request is traced.
    spans: Vec<Span>,
    targets: Vec<(Target, EventSet)>,
    /// By the keys of sessions: which of the events each gets. All zero between portions.
    sets: Vec<EventSet>,
}

/// Events by their places in the portion.
type EventSet = u64;

/// Whom an event goes to: who sees the channel, or has the guild open, and asks for the intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Target {
    guild: GuildId,
    channel: Option<ChannelId>,
    intent: Intents,
}

/// An event of a portion, and what holds for all of its recipients.
struct Given<'a> {
    event: &'a Arc<LiveEvent>,
    guild: GuildId,
    /// No GUILD_CREATE had it, so nobody has to be asked.
    is_news_to_all: bool,
}

/// A session that was given its events.
struct Numbered {
    conn: Option<ConnId>,
    /// It can't go on.
    is_over: bool,
}

impl Gathered {
    fn is_full(&self) -> bool {
        self.events.len() == EVENTS_MAX
    }

    fn push(&mut self, target: Target, event: &Arc<LiveEvent>) {
        let bit = 1 << self.events.len();
        self.events.push(event.clone());
        match self.targets.iter_mut().rev().find(|(known, _)| *known == target) {
            Some((_, events)) => *events |= bit,
            None => self.targets.push((target, bit)),
        }
    }
}

impl Shard {
    /// Keeps an event until [`Self::give_gathered`].
    pub(super) fn gather(&mut self, event: &Arc<LiveEvent>, span: Span) {
        let Some(guild) = event.envelope.guild_id else { return };
        if self.gathered.is_full() {
            self.give_gathered(Then::Write);
        }
        let target = Target { guild, channel: event.envelope.channel_id, intent: event.intent() };
        self.gathered.push(target, event);
        if !span.is_disabled() {
            self.gathered.spans.push(span);
        }
    }

    /// Gives what has been gathered to all who are entitled to it.
    pub(super) fn give_gathered(&mut self, then: Then) {
        if self.gathered.events.is_empty() {
            return;
        }
        let mut gathered = std::mem::take(&mut self.gathered);
        let recipients = self.recipients(&mut gathered);
        let given: Vec<Given<'_>> = gathered.events.iter().map(|event| self.given(event)).collect();
        let now_ms = self.services.now_ms();
        let mut frames = Vec::with_capacity(given.len());
        let mut dispatched = 0;
        for (key, events) in recipients {
            frames.clear();
            let Some(numbered) = self.number(key, events, &given, now_ms, &mut frames) else { continue };
            if let Some(conn) = numbered.conn
                && !frames.is_empty()
            {
                dispatched += frames.len() as u64;
                self.hand_over(conn, &frames, then);
            }
            if numbered.is_over {
                self.end_if_over(key);
            }
        }
        self.services.stats.dispatches.add(dispatched);
        drop(given);
        gathered.events.clear();
        gathered.spans.clear();
        gathered.targets.clear();
        self.gathered = gathered;
    }

    /// Who gets something, each once, and what.
    fn recipients(&self, gathered: &mut Gathered) -> Vec<(SessionKey, EventSet)> {
        let Gathered { targets, sets, .. } = gathered;
        if let [(target, events)] = &targets[..] {
            return self.audience(target).map(|key| (key, *events)).collect();
        }
        let mut recipients = Vec::new();
        for (target, events) in targets {
            for key in self.audience(target) {
                if sets.len() <= key {
                    sets.resize(self.sessions.capacity().max(key + 1), 0);
                }
                if sets[key] == 0 {
                    recipients.push((key, 0));
                }
                sets[key] |= *events;
            }
        }
        for (key, events) in &mut recipients {
            *events = std::mem::take(&mut sets[*key]);
        }
        recipients
    }

    fn audience(&self, target: &Target) -> impl Iterator<Item = SessionKey> + '_ {
        let Target { channel, intent, .. } = *target;
        let audience = self.guilds.get(&target.guild).map(|table| &table.audience);
        let viewers = audience.zip(channel).map(|(audience, channel)| audience.viewers(channel, intent));
        let everybody = audience.filter(|_| channel.is_none()).map(|audience| audience.sessions(intent));
        viewers.into_iter().flatten().chain(everybody.into_iter().flatten())
    }

    fn given<'a>(&self, event: &'a Arc<LiveEvent>) -> Given<'a> {
        let guild = event.envelope.guild_id.expect("only events of guilds are gathered");
        let is_news_to_all = self.guilds.get(&guild).is_some_and(|table| table.is_news_to_all(event));
        Given { event, guild, is_news_to_all }
    }

    /// Numbers the events for a session; `frames` is what of them goes straight to its socket.
    fn number<'a>(
        &mut self,
        key: SessionKey,
        events: EventSet,
        given: &[Given<'a>],
        now_ms: u64,
        frames: &mut Vec<Frame<'a>>,
    ) -> Option<Numbered> {
        let slot = self.sessions.get_mut(key)?;
        let session = &mut slot.session;
        let conn = slot.conn.and_then(|id| self.conns.get(id.place as usize));
        let form = conn.map_or(Form::Json, |conn| conn.form);
        let mut left = events;
        while left != 0 {
            let Given { event, guild, is_news_to_all } = given[left.trailing_zeros() as usize];
            left &= left - 1;
            if !is_news_to_all && !is_news(&self.guilds, session, guild, event) {
                continue;
            }
            let (seq, class) = match event.place() {
                Some(place) => (session.push(now_ms, Entry::Shared(place), &self.rings), Class::Durable),
                None => (session.is_at_end().then(|| session.seq()), Class::Ephemeral),
            };
            if let Some(seq) = seq {
                let body = session.content(event).body(form, &mut self.encoder);
                frames.push(Frame { seq, body, class });
            }
        }
        let is_over = session.is_exhausted() || session.is_beyond_resume();
        Some(Numbered { conn: slot.conn, is_over })
    }

    /// Gives frames to a connection: to its socket, if nothing waits before them and nothing follows in this portion.
    fn hand_over(&mut self, id: ConnId, frames: &[Frame<'_>], then: Then) {
        let Some(conn) = self.conns.get_mut(id.place as usize).filter(|conn| conn.is(id)) else { return };
        let taken = match then {
            Then::Write if conn.is_open_and_empty() => write_frames(&conn.socket, frames, &mut self.writes),
            Then::Write | Then::More => Ok(0),
        };
        let Ok(taken) = taken else { return self.kill(id) };
        let pushed = match conn.stream {
            None => conn.outbox.push_rest(frames, taken),
            Some(_) => frames.iter().try_for_each(|frame| conn.push(frame.seq, frame.body, frame.class)),
        };
        match pushed {
            Ok(()) if conn.outbox.is_empty() => {}
            Ok(()) => self.mark(id),
            Err(Full { .. }) => self.overflow(id),
        }
    }
}

/// Whether the session has the guild open and its GUILD_CREATE did not have the event.
fn is_news(
    guilds: &FxHashMap<GuildId, Box<GuildTable>>,
    session: &Session,
    guild: GuildId,
    event: &LiveEvent,
) -> bool {
    let place = session.guilds.place(guild).zip(guilds.get(&guild));
    place.is_some_and(|(place, table)| table.marks.of(place.mark).lacks(event))
}

/// As many as there are bits, and as one write takes.
const EVENTS_MAX: usize = EventSet::BITS as usize;
