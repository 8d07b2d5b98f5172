//! What few sessions have: it is made when there is something to remember, and gone when there is not.
//!
//! Unnumbered things that a client waits for (the voice server after op 4, the refusal of an op 8) are in no ring, so a
//! socket that breaks would lose them for ever. They wait here while the session has no socket that is up to date, and
//! are given once it has. A voice server is kept on after it was sent, until the client has beaten twice: the first
//! heartbeat may have left before it came.

use std::rc::Rc;

use model::{GuildId, limits};

use super::Shard;
use super::conn::ConnId;
use super::voice::VoiceTurn;
use crate::audience::SessionKey;
use crate::made::{Fresh, OwnEvent};
use crate::parcel;
use crate::wire::Class;

#[derive(Debug, Default)]
pub(super) struct Aside {
    waiting: Vec<Waiting>,
    /// Shared with the tasks that change the session's voice states.
    pub(super) voice_turn: VoiceTurn,
    /// Guilds of which all members were asked for lately, and when.
    members_asked: Vec<(GuildId, u64)>,
}

#[derive(Debug)]
struct Waiting {
    /// Of a voice server: a later one takes its place.
    voice_in: Option<GuildId>,
    event: OwnEvent,
    is_sent: bool,
    beats: u8,
}

impl Aside {
    /// When all members of the guild may be asked for, if that is later than now: in how many milliseconds. Otherwise
    /// this counts as asked.
    pub(super) fn ask_members(&mut self, now_ms: u64, guild: GuildId) -> Result<(), u64> {
        self.members_asked.retain(|(_, at_ms)| now_ms < at_ms + limits::MEMBERS_ALL_MS);
        match self.members_asked.iter().find(|(asked, _)| *asked == guild) {
            Some((_, at_ms)) => Err(at_ms + limits::MEMBERS_ALL_MS - now_ms),
            None => {
                self.members_asked.push((guild, now_ms));
                Ok(())
            }
        }
    }

    /// Something to be sent as soon as the session's socket is up to date.
    pub(super) fn wait(&mut self, voice_in: Option<GuildId>, event: OwnEvent) {
        if let Some(guild) = voice_in {
            self.forget_voice(guild);
        }
        if self.waiting.len() < limits::VOICE_SERVERS_WAITING_MAX {
            self.waiting.push(Waiting { voice_in, event, is_sent: false, beats: 0 });
        }
    }

    /// What the client may not have.
    pub(super) fn waiting(&self) -> impl Iterator<Item = parcel::Waiting> + '_ {
        let waiting =
            |waiting: &Waiting| parcel::Waiting { voice_in: waiting.voice_in, event: waiting.event.clone() };
        self.waiting.iter().map(waiting)
    }

    pub(super) fn forget_voice(&mut self, guild: GuildId) {
        self.waiting.retain(|waiting| waiting.voice_in != Some(guild));
    }

    /// What is to be sent now.
    pub(super) fn take_unsent(&mut self) -> Vec<OwnEvent> {
        let unsent = self.waiting.iter_mut().filter(|waiting| !waiting.is_sent);
        let events = unsent.map(|waiting| {
            waiting.is_sent = true;
            waiting.event.clone()
        });
        let events = events.collect();
        self.waiting.retain(|waiting| waiting.voice_in.is_some());
        events
    }

    /// The client has beaten.
    pub(super) fn beaten(&mut self) {
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.is_sent) {
            waiting.beats += 1;
        }
        self.waiting.retain(|waiting| waiting.beats < 2);
    }

    /// Another socket has the session: what the last one was sent may not have come.
    pub(super) fn resumed(&mut self) {
        for waiting in &mut self.waiting {
            waiting.is_sent = false;
            waiting.beats = 0;
        }
    }

    pub(super) fn is_empty(&self, now_ms: u64) -> bool {
        let is_recent = |at_ms: &u64| now_ms < at_ms + limits::MEMBERS_ALL_MS;
        let is_changing = Rc::strong_count(&self.voice_turn) > 1;
        self.waiting.is_empty()
            && !is_changing
            && !self.members_asked.iter().any(|(_, at_ms)| is_recent(at_ms))
    }
}

impl Shard {
    /// Sends what has waited, if the socket is at the end of its replay.
    pub(super) fn give_waiting(&mut self, key: SessionKey) {
        let Some(slot) = self.sessions.get_mut(key) else { return };
        let (Some(conn), true, Some(aside)) = (slot.conn, slot.session.is_at_end(), &mut slot.aside) else {
            return;
        };
        let (seq, events) = (slot.session.seq(), aside.take_unsent());
        for event in events {
            self.dispatch(conn, seq, Fresh::from(event).content(), Class::Durable);
        }
    }

    /// The client has beaten: what it has for certain needs no keeping.
    pub(super) fn beaten(&mut self, conn: ConnId) {
        let (now_ms, next) = (self.services.now_ms(), self.presences.next());
        let Some(slot) = self.key_of(conn).and_then(|key| self.sessions.get_mut(key)) else { return };
        slot.heard.beaten(next);
        if let Some(aside) = &mut slot.aside {
            aside.beaten();
            if aside.is_empty(now_ms) {
                slot.aside = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guild(id: u64) -> GuildId {
        GuildId::new(id).unwrap()
    }

    fn event() -> OwnEvent {
        OwnEvent::new("VOICE_SERVER_UPDATE", b"{}")
    }

    #[test]
    fn all_members_of_a_guild_are_asked_for_once_in_half_a_minute() {
        let mut aside = Aside::default();
        assert_eq!(aside.ask_members(5, guild(1)), Ok(()));
        assert_eq!(
            aside.ask_members(5, guild(2)),
            Ok(()),
            "each guild once, as libraries do when they start"
        );
        assert_eq!(aside.ask_members(10_005, guild(1)), Err(20_000));
        assert!(!aside.is_empty(30_004) && aside.is_empty(30_005));
        assert_eq!(aside.ask_members(30_005, guild(1)), Ok(()));
    }

    #[test]
    fn a_voice_server_waits_and_comes_again_until_the_client_surely_has_it() {
        let mut aside = Aside::default();
        aside.wait(Some(guild(1)), event());
        aside.wait(Some(guild(1)), event());
        assert_eq!(aside.take_unsent().len(), 1, "the later one takes the place of the earlier");
        assert_eq!(aside.take_unsent().len(), 0);
        aside.beaten();
        aside.resumed();
        assert_eq!(aside.take_unsent().len(), 1, "the first heartbeat may have crossed it");
        aside.beaten();
        aside.beaten();
        aside.resumed();
        assert_eq!(aside.take_unsent().len(), 0);
        assert!(aside.is_empty(0));
    }

    #[test]
    fn what_is_no_voice_server_is_sent_once() {
        let mut aside = Aside::default();
        aside.wait(None, event());
        assert_eq!(aside.take_unsent().len(), 1);
        aside.resumed();
        assert_eq!(aside.take_unsent().len(), 0);
    }

    #[test]
    fn who_leaves_needs_no_server() {
        let mut aside = Aside::default();
        aside.wait(Some(guild(1)), event());
        aside.forget_voice(guild(1));
        assert_eq!(aside.take_unsent().len(), 0);
    }
}
