//! What a client asks for once it has a session: presence, voice, typing, members.

use bytes::Bytes;
use model::voice::VoiceState;
use model::{ChannelId, ChannelKind, GuildId, Permissions};
use proto::v1;
use serde::Deserialize;
use serde_json::json;
use tracing::debug;

use super::conn::ConnId;
use super::{Shard, ShardRef};
use crate::audience::SessionKey;
use crate::link::activity;
use crate::link::command::{PresenceUpdate, VoiceUpdate};
use crate::link::{Action, HEARTBEAT_ACK};
use crate::services::Services;
use crate::session::{GuildState, SessionId};
use crate::wire::{Class, SharedBody};

impl Shard {
    /// Does what a payload asks for. RESUME is dealt with where sockets can move.
    pub(super) fn act(&mut self, me: &ShardRef, conn: ConnId, action: Action) {
        match action {
            Action::Send(payload) => self.send(conn, payload),
            Action::Close(code) => self.close(conn, code),
            Action::Identify(identify) => self.identify(me, conn, *identify),
            Action::Resume(resume) => self.resume(me, conn, resume),
            Action::Confirmed(seq) => {
                if let Some(key) = self.key_of(conn) {
                    self.sessions[key].session.confirmed(seq);
                }
                self.send(conn, Bytes::from_static(HEARTBEAT_ACK));
            }
            Action::Presence(update) => self.set_presence(conn, *update),
            Action::Voice(update) => self.set_voice(me, conn, update),
            Action::Members(request) => self.request_members(me, conn, *request),
            Action::Typing(channel) => self.start_typing(conn, channel),
        }
    }

    pub(super) fn key_of(&mut self, conn: ConnId) -> Option<SessionKey> {
        self.conn(conn).and_then(|conn| conn.session)
    }

    fn set_presence(&mut self, conn: ConnId, update: PresenceUpdate) {
        let Some(key) = self.key_of(conn) else { return };
        let id = self.sessions[key].session.profile.id;
        let activities_json = activity::to_json(&update.activities, self.services.wall());
        self.services.book.update(id, |presence| {
            presence.status = v1::Status::from(update.status).into();
            presence.activities_json = activities_json;
        });
    }

    fn start_typing(&mut self, conn: ConnId, channel: ChannelId) {
        let Some(key) = self.key_of(conn) else { return };
        let user_id = self.sessions[key].session.profile.user_id.get();
        let services = self.services.clone();
        self.tasks.spawn_local(async move {
            let request = v1::StartTypingRequest { channel_id: channel.get(), user_id };
            // An unknown or forbidden channel has no answer on this way.
            if let Err(status) = services.messages.clone().start_typing(request).await {
                debug!(%status, "typing over the socket was refused");
            }
        });
    }

    /// Whether the session's user may be in this voice channel.
    fn may_connect(&self, key: SessionKey, guild: GuildId, channel: ChannelId) -> bool {
        let user = self.sessions[key].session.profile.user_id;
        let Some(table) = self.guilds.get(&guild) else { return false };
        let is_voice = |kind: ChannelKind| kind == ChannelKind::Voice;
        let kind = table.audience.view().channels.get(&channel).map(|channel| channel.kind);
        let needed = Permissions::VIEW_CHANNEL | Permissions::CONNECT;
        kind.is_some_and(is_voice)
            && table.audience.permissions(user, channel, self.services.wall()).contains(needed)
    }

    fn set_voice(&mut self, me: &ShardRef, conn: ConnId, update: VoiceUpdate) {
        let Some(key) = self.key_of(conn) else { return };
        let session = &self.sessions[key].session;
        let is_open = matches!(session.guilds.get(&update.guild_id), Some(GuildState::Open { .. }));
        let (id, user_id) = (session.profile.id, session.profile.user_id);
        let may = update.channel_id.is_none_or(|channel| self.may_connect(key, update.guild_id, channel));
        if !is_open || !may {
            return;
        }
        let state = VoiceState {
            guild_id: update.guild_id,
            channel_id: update.channel_id,
            user_id,
            session_id: id.to_string(),
            self_mute: update.self_mute,
            self_deaf: update.self_deaf,
            self_video: update.self_video,
            deaf: false,
            mute: false,
            suppress: false,
        };
        let rtc_region = update.channel_id.and_then(|channel| self.rtc_region(update.guild_id, channel));
        let (services, me) = (self.services.clone(), me.clone());
        self.tasks.spawn_local(async move {
            match update_voice(&services, &state, rtc_region).await {
                Ok(reply) => {
                    let mut this = me.borrow_mut();
                    this.voice_updated(key, id, &state, &reply);
                    this.flush_dirty(&me);
                }
                Err(status) => debug!(%status, "voice state was not taken"),
            }
        });
    }

    fn rtc_region(&self, guild: GuildId, channel: ChannelId) -> Option<String> {
        #[derive(Deserialize)]
        struct Region {
            rtc_region: Option<String>,
        }
        let json = self.guilds.get(&guild)?.channels.get(&channel)?;
        serde_json::from_slice::<Region>(json).ok()?.rtc_region
    }

    fn voice_updated(
        &mut self,
        key: SessionKey,
        id: SessionId,
        state: &VoiceState,
        reply: &v1::UpdateVoiceStateReply,
    ) {
        let Some(slot) = self.session(key, id) else { return };
        let (conn, seq, is_at_end) = (slot.conn, slot.session.seq(), slot.session.is_at_end());
        if let (Some(token), Some(conn), true) = (&reply.token, conn, is_at_end) {
            let data = json!({"token": token, "guild_id": state.guild_id, "endpoint": reply.endpoint});
            let body = SharedBody::json("VOICE_SERVER_UPDATE", data.to_string().as_bytes());
            self.dispatch(conn, seq, body, Class::Durable);
        }
    }
}

async fn update_voice(
    services: &Services,
    state: &VoiceState,
    rtc_region: Option<String>,
) -> Result<v1::UpdateVoiceStateReply, tonic::Status> {
    let members =
        v1::GetMembersRequest { guild_id: state.guild_id.get(), user_ids: vec![state.user_id.get()] };
    let members = services.guilds.clone().get_members(members).await?.into_inner().members;
    let request = v1::UpdateVoiceStateRequest {
        state: Some(state.into()),
        member: members.into_iter().next(),
        pod: services.pod.as_str().to_owned(),
        rtc_region,
    };
    services.presence.clone().update_voice_state(request).await.map(tonic::Response::into_inner)
}
