//! From a session's ring to its socket, as far as the socket keeps up: the rest of a start, and replays.

use std::sync::Arc;

use model::{EventKind, GuildId};
use proto::Failure;

use super::guild::voices::has_left;
use super::{Shard, ShardRef};
use crate::audience::SessionKey;
use crate::live::LiveEvent;
use crate::made::{Fresh, OwnEvent, PartedFresh};
use crate::session::{About, Found, Next, SessionId};
use crate::stats::Count;
use crate::wire::{Class, CloseCode};

/// What the ring says is next, without a borrow of it.
enum Step {
    Send {
        seq: u32,
        event: Kept,
    },
    Skip,
    /// Until this guild is here.
    Wait,
    Remake(GuildId),
    Resumed {
        seq: u32,
    },
    Overrun,
    Done,
}

/// What the ring had.
enum Kept {
    Shared(Arc<LiveEvent>),
    Own(OwnEvent),
}

impl Shard {
    /// Sends what is next in the ring until the outbox is half full or nothing is left.
    pub(super) fn pump(&mut self, me: &ShardRef, key: SessionKey) {
        loop {
            let Some(slot) = self.sessions.get(key) else { return };
            let Some(conn) = slot.conn else { return };
            if slot.is_remaking || self.conn(conn).is_none_or(|conn| conn.outbox.is_half_full()) {
                return;
            }
            match self.step(key) {
                Step::Send { seq, event } => {
                    self.sessions[key].session.advance();
                    self.services.stats.replayed_events.add(1);
                    match event {
                        Kept::Shared(event) => {
                            let content = self.sessions[key].session.content(&event);
                            self.dispatch(conn, seq, content, Class::Durable);
                        }
                        Kept::Own(event) => {
                            self.dispatch(conn, seq, Fresh::from(event).content(), Class::Durable);
                        }
                    }
                }
                Step::Skip => self.sessions[key].session.advance(),
                Step::Resumed { seq } => {
                    self.sessions[key].session.advance();
                    let resumed = Fresh::new("RESUMED", br#"{"_trace":["starling"]}"#);
                    self.dispatch(conn, seq, resumed.content(), Class::Durable);
                }
                Step::Wait => return,
                Step::Remake(guild) => return self.remake(me, key, guild),
                Step::Overrun => {
                    self.services.stats.sessions_overrun.add(1);
                    return self.invalidate(key);
                }
                Step::Done => {
                    self.give_waiting(key);
                    self.give_missed_presences(key);
                    return self.open_more(me, key);
                }
            }
        }
    }

    fn step(&self, key: SessionKey) -> Step {
        let session = &self.sessions[key].session;
        let waits = |guild: GuildId| self.arriving(key, guild).is_some();
        match session.next(&self.rings) {
            Next::Nothing => Step::Done,
            Next::Overrun | Next::Entry { entry: Found::Gone, .. } => Step::Overrun,
            Next::Resumed { seq } => Step::Resumed { seq },
            Next::Entry { entry: Found::Own(_, About::Guild(guild) | About::Channel(guild, _)), .. }
            | Next::Entry { entry: Found::GuildCreate(guild), .. }
                if waits(guild) =>
            {
                Step::Wait
            }
            Next::Entry { entry: Found::Shared(event), .. } if event.envelope.guild_id.is_some_and(waits) => {
                Step::Wait
            }
            Next::Entry { seq, entry: Found::Own(event, about) } => {
                if self.has_still(key, about) {
                    Step::Send { seq, event: Kept::Own(event) }
                } else {
                    Step::Skip
                }
            }
            Next::Entry { entry: Found::GuildCreate(guild), .. } => {
                if session.guilds.contains(guild) {
                    Step::Remake(guild)
                } else {
                    Step::Skip
                }
            }
            Next::Entry { seq, entry: Found::Shared(event) } => {
                if self.is_visible_now(key, &event) {
                    Step::Send { seq, event: Kept::Shared(event) }
                } else {
                    Step::Skip
                }
            }
        }
    }

    /// Whether the session's user still has what an event of its own was about.
    fn has_still(&self, key: SessionKey, about: About) -> bool {
        let has = |guild: GuildId| self.sessions[key].session.guilds.contains(guild);
        match about {
            About::User => true,
            About::Guild(guild) => has(guild),
            About::Channel(guild, channel) => self.sees(key, guild, channel),
        }
    }

    /// What was visible when it happened is replayed only if it still is. That somebody has left voice is told wherever that
    /// was: what is left out before it may have shown them elsewhere.
    fn is_visible_now(&self, key: SessionKey, event: &LiveEvent) -> bool {
        let Some(guild) = event.envelope.guild_id else { return true };
        if has_left(event) {
            return self.has_still(key, About::Guild(guild));
        }
        event.envelope.kind == EventKind::GuildDelete || self.may_see(key, guild, event)
    }

    /// Makes a GUILD_CREATE of the ring anew, from the guild as it is now.
    fn remake(&mut self, me: &ShardRef, key: SessionKey, guild: GuildId) {
        let slot = &mut self.sessions[key];
        slot.is_remaking = true;
        let mark = slot.session.guilds.place(guild).map(|place| place.mark);
        let (id, request) = (slot.session.profile.id, super::opening::Request::new(&slot.session, guild));
        let (services, me) = (self.services.clone(), me.clone());
        self.tasks.spawn(async move {
            let loaded = services.loads.load(&services, request.wish()).await;
            let made = loaded.map(|loaded| request.event(&loaded));
            let mut this = me.borrow_mut();
            this.remade(&me, key, id, (guild, mark), made);
            this.flush_dirty(&me);
        });
    }

    /// `made` is `None` inside when the user is no longer a member. Meanwhile the session may have been resumed at another
    /// place of its ring.
    fn remade(
        &mut self,
        me: &ShardRef,
        key: SessionKey,
        id: SessionId,
        (guild, mark): (GuildId, Option<u32>),
        made: Result<Option<PartedFresh>, Failure>,
    ) {
        let Some(slot) = self.sessions.get_mut(key).filter(|slot| slot.session.profile.id == id) else {
            return;
        };
        slot.is_remaking = false;
        let conn = slot.conn;
        if let Next::Entry { seq, entry: Found::GuildCreate(next) } = slot.session.next(&self.rings)
            && next == guild
            && let Some(conn) = conn
        {
            match made {
                Ok(Some(made)) => {
                    slot.session.advance();
                    self.dispatch_parted(conn, seq, &made);
                }
                Ok(None) => {
                    slot.session.advance();
                    // The directory is ahead of the guild's events. Who has joined again meanwhile is told by those.
                    if mark.is_some() && slot.session.guilds.place(guild).map(|place| place.mark) == mark {
                        self.tell_left(key, guild);
                    }
                }
                // The directory does not answer: the client comes back and tries again.
                Err(_) => return self.close(conn, CloseCode::UnknownError),
            }
        }
        self.pump(me, key);
    }
}
