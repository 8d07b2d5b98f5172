//! Voice states: op 4, and what a session is told of its voice server.
//!
//! The presence service holds the states. The calls of one session are made one after the other, since a leave that overtook
//! its join would leave the user in the channel.

use std::rc::Rc;

use model::voice::VoiceState;
use model::{ChannelId, ChannelKind, GuildId, Permissions, UserId, limits};
use proto::v1;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;
use tracing::debug;

use super::conn::ConnId;
use super::{Shard, ShardRef};
use crate::audience::SessionKey;
use crate::link::command::VoiceUpdate;
use crate::made::OwnEvent;
use crate::services::Services;
use crate::session::SessionId;

mod leaving;

pub(super) use leaving::InVoice;

/// Held while one change of a session's voice states is made; those that wait for it come in their order.
pub(super) type VoiceTurn = Rc<Mutex<()>>;

impl Shard {
    /// Whether the session's user may be in this voice channel.
    fn may_connect(&self, key: SessionKey, guild: GuildId, channel: ChannelId) -> bool {
        let Some(table) = self.guilds.get(&guild) else { return false };
        let is_voice = |kind: ChannelKind| kind == ChannelKind::Voice;
        let kind = table.audience.view().channels.get(&channel).map(|channel| channel.kind);
        let needed = Permissions::VIEW_CHANNEL | Permissions::CONNECT;
        kind.is_some_and(is_voice) && self.permissions(key, guild, channel).contains(needed)
    }

    pub(super) fn set_voice(&mut self, me: &ShardRef, conn: ConnId, update: VoiceUpdate) {
        let Some(key) = self.key_of(conn) else { return };
        let session = &self.sessions[key].session;
        let is_open = session.guilds.is_open(update.guild_id);
        let (id, user_id) = (session.profile.id, session.profile.user_id);
        let may = update.channel_id.is_none_or(|channel| self.may_connect(key, update.guild_id, channel));
        if !is_open || !may {
            return;
        }
        let state = VoiceState {
            self_mute: update.self_mute,
            self_deaf: update.self_deaf,
            self_video: update.self_video,
            ..outside(update.guild_id, user_id, id, update.channel_id)
        };
        let rtc_region = update.channel_id.and_then(|channel| self.rtc_region(update.guild_id, channel));
        let turn = self.voice_turn(key);
        if Rc::strong_count(&turn) > limits::VOICE_CHANGES_WAITING_MAX {
            return debug!(%id, "too many changes of voice states wait");
        }
        let (services, me) = (self.services.clone(), me.clone());
        self.tasks.spawn(async move {
            let _turn = turn.lock().await;
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

    fn voice_turn(&mut self, key: SessionKey) -> VoiceTurn {
        self.sessions[key].aside.get_or_insert_default().voice_turn.clone()
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
        let guild = state.guild_id;
        if self.session(key, id).is_none() {
            return;
        }
        let Some(channel_id) = state.channel_id else {
            self.is_in_no_voice(guild, state.user_id);
            if let Some(aside) = self.session(key, id).and_then(|slot| slot.aside.as_mut()) {
                aside.forget_voice(guild);
            }
            return;
        };
        let voice = InVoice { key, id, user_id: state.user_id, channel_id };
        if !self.is_in_voice(guild, voice) {
            return;
        }
        if let Some(token) = &reply.token {
            let data = json!({"token": token, "guild_id": guild, "endpoint": reply.endpoint});
            let server = OwnEvent::new("VOICE_SERVER_UPDATE", data.to_string().as_bytes());
            self.sessions[key].aside.get_or_insert_default().wait(Some(guild), server);
            self.give_waiting(key);
        }
    }
}

fn outside(
    guild_id: GuildId,
    user_id: UserId,
    session: SessionId,
    channel_id: Option<ChannelId>,
) -> VoiceState {
    VoiceState {
        guild_id,
        channel_id,
        user_id,
        session_id: session.to_string(),
        self_mute: false,
        self_deaf: false,
        self_video: false,
        deaf: false,
        mute: false,
        suppress: false,
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
    services.presences.update_voice(&services.book, request).await
}
