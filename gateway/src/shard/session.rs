//! Sessions as the shard has them: made, attached to a connection, detached, ended.

use std::collections::VecDeque;
use std::sync::Arc;

use model::{GuildId, UserId};
use rustc_hash::FxHashMap;

use super::Shard;
use super::arriving::Arrivals;
use super::aside::Aside;
use super::checkpoint::Left;
use super::conn::ConnId;
use super::presences::Heard;
use crate::audience::SessionKey;
use crate::growth::reserve_some;
use crate::live::LiveEvent;
use crate::made::{Content, Fresh, PartedFresh};
use crate::session::{About, Entry, Session, SessionId};
use crate::stats::Count;
use crate::wire::{Class, CloseCode};

pub(super) struct SessionSlot {
    pub(super) session: Session,
    pub(super) conn: Option<ConnId>,
    /// When the last connection went away.
    pub(super) detached_at_ms: u64,
    /// The user's events up to here were before the session, or were given to it elsewhere.
    pub(super) user_floor: u64,
    /// Of a session that has come from another pod.
    pub(super) arrivals: Option<Box<Arrivals>>,
    /// Guilds whose GUILD_CREATE the client may have had elsewhere, and whatever came above here.
    pub(super) created: Option<Box<FxHashMap<GuildId, u64>>>,
    pub(super) left: Left,
    /// Guilds that are still to be opened.
    pub(super) to_open: VecDeque<GuildId>,
    /// A GUILD_CREATE is being made anew for a replay.
    pub(super) is_remaking: bool,
    pub(super) heard: Heard,
    pub(super) aside: Option<Box<Aside>>,
}

impl Shard {
    pub(super) fn insert_session(&mut self, session: Session, conn: Option<ConnId>) -> SessionKey {
        let (id, user_id) = (session.profile.id, session.profile.user_id);
        reserve_some(&mut self.sessions);
        let key = self.sessions.insert(SessionSlot {
            session,
            conn,
            detached_at_ms: 0,
            user_floor: 0,
            arrivals: None,
            created: None,
            left: Left::default(),
            to_open: VecDeque::new(),
            is_remaking: false,
            heard: Heard::new(self.presences.next()),
            aside: None,
        });
        self.by_id.insert(id, key);
        let keys = self.by_user.entry(user_id).or_default();
        // Nearly everybody has one session.
        keys.reserve_exact(1);
        keys.push(key);
        self.services.stats.sessions.add(1);
        if let Some(conn) = conn.and_then(|conn| self.conn(conn)) {
            conn.session = Some(key);
        }
        key
    }

    /// The session, unless another has its key by now.
    pub(super) fn session(&mut self, key: SessionKey, id: SessionId) -> Option<&mut SessionSlot> {
        self.sessions.get_mut(key).filter(|slot| slot.session.profile.id == id)
    }

    /// Takes a connection's session off it. The session waits for a RESUME.
    pub(super) fn detach(&mut self, conn: ConnId) {
        let Some(key) = self.conn(conn).and_then(|conn| conn.session.take()) else { return };
        let now_ms = self.services.now_ms();
        let resume_ms = self.services.settings.resume_ms;
        let Some(slot) = self.sessions.get_mut(key) else { return };
        slot.conn = None;
        slot.session.detach();
        slot.detached_at_ms = now_ms;
        let id = slot.session.profile.id;
        self.session_timers.set(now_ms + resume_ms, (key, id));
        if self.sessions[key].session.is_exhausted() {
            self.end_session(key);
        } else {
            self.leaves_alone(key, id);
        }
    }

    pub(super) fn check_session(&mut self, key: SessionKey, id: SessionId, now_ms: u64) {
        let resume_ms = self.services.settings.resume_ms;
        let Some(slot) = self.session(key, id) else { return };
        if slot.conn.is_none() && now_ms >= slot.detached_at_ms + resume_ms {
            self.end_session(key);
        }
    }

    /// The session is over: nobody can resume it.
    pub(super) fn end_session(&mut self, key: SessionKey) {
        let Some(id) = self.sessions.get(key).map(|slot| slot.session.profile.id) else { return };
        self.remove_session(key);
        if let Some(epoch) = self.services.book.remove(id) {
            self.end_ownership(id, epoch);
        }
    }

    /// The session is here no more; whoever asks for this says what became of it.
    pub(super) fn remove_session(&mut self, key: SessionKey) {
        let Some(slot) = self.sessions.try_remove(key) else { return };
        let profile = &slot.session.profile;
        self.by_id.remove(&profile.id);
        for (guild, state) in slot.session.guilds.iter() {
            self.leave_audience(guild, profile.user_id, key, state);
        }
        self.forget_voices(key);
        self.services.stats.sessions.sub(1);
        if let Some(conn) = slot.conn.and_then(|conn| self.conn(conn)) {
            conn.session = None;
        }
        self.forget_user_session(profile.user_id, key);
    }

    fn forget_user_session(&mut self, user_id: UserId, key: SessionKey) {
        let Some(keys) = self.by_user.get_mut(&user_id) else { return };
        keys.retain(|other| *other != key);
        if keys.is_empty() {
            self.by_user.remove(&user_id);
            self.forget_user(user_id);
        }
    }

    /// No session of the user is left on this shard.
    pub(super) fn forget_user(&mut self, user_id: UserId) {
        let is_identifying = self.identifying.iter().any(|(_, user, _)| *user == user_id);
        if self.by_user.contains_key(&user_id) || is_identifying {
            return;
        }
        if self.services.interest.remove_user(user_id, self.index) {
            let services = self.services.clone();
            self.tasks.spawn(async move {
                // The entry ends by itself if this fails.
                let _ = services.registry.unregister(&services.pod, user_id).await;
                if !services.interest.user(user_id).is_empty() {
                    // Somebody identified meanwhile; if this fails, the next renewal does it.
                    let _ = services.registry.register(&services.pod, &[user_id]).await;
                }
            });
        }
    }

    /// The session can't go on: it is refused on its socket, if it has one, which may IDENTIFY again.
    pub(super) fn invalidate(&mut self, key: SessionKey) {
        let Some(conn) = self.sessions.get(key).map(|slot| slot.conn) else { return };
        self.end_session(key);
        if let Some(conn) = conn {
            self.refuse(conn);
        }
    }

    /// Gives an event to a session that is entitled to it: numbered, or as what may be lost.
    pub(super) fn give(&mut self, key: SessionKey, event: &Arc<LiveEvent>) {
        let now_ms = self.services.now_ms();
        let Some(slot) = self.sessions.get_mut(key) else { return };
        let (content, conn) = (slot.session.content(event), slot.conn);
        if let Some(place) = event.place() {
            let sent = slot.session.push(now_ms, Entry::Shared(place), &self.rings);
            self.after_push(key, conn, sent, content);
        } else if slot.session.is_at_end()
            && let Some(conn) = conn
        {
            let seq = slot.session.seq();
            self.dispatch(conn, seq, content, Class::Ephemeral);
        }
    }

    /// Gives a new session its READY.
    pub(super) fn give_ready(&mut self, key: SessionKey, ready: &Fresh) {
        let Some(slot) = self.sessions.get_mut(key) else { return };
        let (conn, seq) = (slot.conn, slot.session.push_ready());
        self.after_push(key, conn, Some(seq), ready.content());
    }

    /// Gives a session something of its own, numbered.
    pub(super) fn give_own(&mut self, key: SessionKey, event: &Fresh, about: About) {
        let now_ms = self.services.now_ms();
        let Some(slot) = self.sessions.get_mut(key) else { return };
        let sent = slot.session.push(now_ms, Entry::Own(event.event().clone(), about), &self.rings);
        let conn = slot.conn;
        self.after_push(key, conn, sent, event.content());
    }

    /// Gives a session a GUILD_CREATE that was just made.
    pub(super) fn give_guild_create(&mut self, key: SessionKey, guild: GuildId, made: &PartedFresh) {
        let now_ms = self.services.now_ms();
        let Some(slot) = self.sessions.get_mut(key) else { return };
        let (conn, sent) = (slot.conn, slot.session.push(now_ms, Entry::GuildCreate(guild), &self.rings));
        if let (Some(conn), Some(seq)) = (conn, sent) {
            self.dispatch_parted(conn, seq, made);
        }
        self.end_if_over(key);
    }

    fn after_push(&mut self, key: SessionKey, conn: Option<ConnId>, sent: Option<u32>, content: Content<'_>) {
        if let (Some(conn), Some(seq)) = (conn, sent) {
            self.dispatch(conn, seq, content, Class::Durable);
        }
        self.end_if_over(key);
    }

    /// Ends a session that has no more numbers, or that has missed more without a socket than it can be given.
    pub(super) fn end_if_over(&mut self, key: SessionKey) {
        let Some(slot) = self.sessions.get(key) else { return };
        if slot.session.is_exhausted() {
            self.invalidate(key);
        } else if slot.session.is_beyond_resume() {
            self.services.stats.sessions_overrun.add(1);
            self.end_session(key);
        }
    }

    /// Whether the session has the guild open and its GUILD_CREATE did not have this event yet.
    pub(super) fn is_news(&self, key: SessionKey, guild: GuildId, event: &LiveEvent) -> bool {
        self.known(key, guild).is_some_and(|known| known.lacks(event))
    }

    /// Whether the session has the guild open as of before this revision.
    pub(super) fn knows_less(&self, key: SessionKey, guild: GuildId, revision: u64) -> bool {
        self.known(key, guild).is_some_and(|known| revision > known.revision)
    }

    /// The token was revoked: its sessions end.
    pub(super) fn revoke(&mut self, user_id: UserId, token_id: u64) {
        let keys = self.by_user.get(&user_id).cloned().unwrap_or_default();
        for key in keys {
            let slot = &self.sessions[key];
            if slot.session.profile.token_id == token_id {
                let conn = slot.conn;
                self.end_session(key);
                if let Some(conn) = conn {
                    self.close(conn, CloseCode::AuthenticationFailed);
                }
            }
        }
    }
}
