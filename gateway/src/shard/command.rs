//! What a client asks for once it has a session: presence, voice, typing, members.

use model::ChannelId;
use proto::v1;
use tracing::debug;

use super::admit::Begin;
use super::conn::ConnId;
use super::serve::Flow;
use super::{Shard, ShardRef};
use crate::audience::SessionKey;
use crate::link::activity;
use crate::link::command::PresenceUpdate;
use crate::link::{Action, Notice};

impl Shard {
    /// Does what a payload asks for.
    pub(super) fn act(&mut self, me: &ShardRef, conn: ConnId, action: Action) -> Flow {
        match action {
            Action::Resume(resume) => return self.ask_to_start(me, conn, Begin::Resume(resume)),
            Action::Identify(identify) => return self.ask_to_start(me, conn, Begin::Identify(identify)),
            Action::RefuseThen(next) => {
                self.send(conn, Notice::InvalidSession);
                return self.act(me, conn, *next);
            }
            Action::Send(notice) => self.send(conn, notice),
            Action::Close(code) => self.close(conn, code),
            Action::Confirmed(seq) => {
                if let Some(key) = self.key_of(conn) {
                    self.sessions[key].session.confirmed(seq);
                    self.checkpoint_soon(key);
                }
                self.beaten(conn);
                self.send(conn, Notice::HeartbeatAck);
            }
            Action::Presence(update) => self.set_presence(conn, *update),
            Action::Voice(update) => self.set_voice(me, conn, update),
            Action::Members(request) => self.request_members(me, conn, *request),
            Action::Typing(channel) => self.start_typing(conn, channel),
            Action::Refuse => {
                self.send(conn, Notice::HeartbeatAck);
                self.send(conn, Notice::InvalidSession);
            }
        }
        Flow::Go
    }

    pub(super) fn key_of(&mut self, conn: ConnId) -> Option<SessionKey> {
        self.conn(conn).and_then(|conn| conn.session)
    }

    fn set_presence(&mut self, conn: ConnId, update: PresenceUpdate) {
        let Some(key) = self.key_of(conn) else { return };
        let id = self.sessions[key].session.profile.id;
        let activities_json = activity::to_json(&update.activities, self.services.wall());
        self.services.book.update(id, |presence| {
            presence.status = update.status;
            presence.activities_json = activities_json.into();
        });
    }

    fn start_typing(&mut self, conn: ConnId, channel: ChannelId) {
        let Some(key) = self.key_of(conn) else { return };
        let user_id = self.sessions[key].session.profile.user_id.get();
        let services = self.services.clone();
        self.tasks.spawn(async move {
            let request = v1::StartTypingRequest { channel_id: channel.get(), user_id };
            // An unknown or forbidden channel has no answer on this way.
            if let Err(status) = services.messages.clone().start_typing(request).await {
                debug!(%status, "typing over the socket was refused");
            }
        });
    }
}
