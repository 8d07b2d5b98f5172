//! Voice states: op 4, and leaving when there is nothing left to be in.
//!
//! The presence service holds the states; the shard remembers which of its sessions are in which channel, so that whoever
//! loses the guild (kicked, banned, gone) or whose channel is deleted leaves: nobody else would say so.

use model::voice::VoiceState;
use model::{ChannelId, ChannelKind, GuildId, Intents, Permissions, UserId};
use proto::v1;
use rustc_hash::FxHashSet;
use serde::Deserialize;
use serde_json::json;
use tracing::{debug, warn};

use super::conn::ConnId;
use super::guild::DeletedChannel;
use super::{Shard, ShardRef};
use crate::audience::SessionKey;
use crate::link::command::VoiceUpdate;
use crate::services::Services;
use crate::session::{GuildState, SessionId};
use crate::wire::SharedBody;

/// A session in a voice channel.
#[derive(Debug, Clone, Copy)]
pub(super) struct InVoice {
    key: SessionKey,
    id: SessionId,
    user_id: UserId,
    pub(super) channel_id: ChannelId,
}

impl Shard {
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

    pub(super) fn set_voice(&mut self, me: &ShardRef, conn: ConnId, update: VoiceUpdate) {
        let Some(key) = self.key_of(conn) else { return };
        let session = &self.sessions[key].session;
        let is_open = matches!(session.guilds.get(&update.guild_id), Some(GuildState::Open { .. }));
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
        let (services, me) = (self.services.clone(), me.clone());
        self.tasks.spawn(async move {
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
        let guild = state.guild_id;
        if self.session(key, id).is_none() {
            return;
        }
        let voices = self.voices.entry(guild).or_default();
        voices.retain(|voice| voice.user_id != state.user_id);
        let Some(channel_id) = state.channel_id else {
            if voices.is_empty() {
                self.voices.remove(&guild);
            }
            if let Some(aside) = self.session(key, id).and_then(|slot| slot.aside.as_mut()) {
                aside.forget_voice(guild);
            }
            return;
        };
        voices.push(InVoice { key, id, user_id: state.user_id, channel_id });
        // What makes it leave may have happened while presence was asked.
        let is_open = matches!(self.sessions[key].session.guilds.get(&guild), Some(GuildState::Open { .. }));
        let has_channel = self
            .guilds
            .get(&guild)
            .is_some_and(|table| table.audience.view().channels.contains_key(&channel_id));
        if !is_open || !has_channel {
            return self.leave_voices(guild, |voice| voice.key == key);
        }
        if let Some(token) = &reply.token {
            let data = json!({"token": token, "guild_id": guild, "endpoint": reply.endpoint});
            let body = SharedBody::json("VOICE_SERVER_UPDATE", data.to_string().as_bytes());
            self.sessions[key].aside.get_or_insert_default().wait(Some(guild), body);
            self.give_waiting(key);
        }
    }

    /// Sessions that can't be in a voice channel of the guild any more leave it.
    pub(super) fn leave_voices(&mut self, guild: GuildId, leaves: impl Fn(&InVoice) -> bool) {
        let Some(voices) = self.voices.get_mut(&guild) else { return };
        let leaving: Vec<InVoice> = voices.extract_if(.., |voice| leaves(voice)).collect();
        if voices.is_empty() {
            self.voices.remove(&guild);
        }
        for voice in leaving {
            if let Some(aside) = self.session(voice.key, voice.id).and_then(|slot| slot.aside.as_mut()) {
                aside.forget_voice(guild);
            }
            let state = outside(guild, voice.user_id, voice.id, None);
            let services = self.services.clone();
            self.tasks.spawn(async move {
                leave(&services, &state).await;
            });
        }
    }

    pub(super) fn leave_voice_of_user(&mut self, guild: GuildId, user: UserId) {
        self.leave_voices(guild, |voice| voice.user_id == user);
    }

    /// Before a channel is deleted: who sees it now is who will be told that others have left it.
    pub(super) fn remember_viewers(&mut self, guild: GuildId, channel: ChannelId) {
        let Some(table) = self.guilds.get_mut(&guild) else { return };
        let kind = table.audience.view().channels.get(&channel).map(|channel| channel.kind);
        if kind != Some(ChannelKind::Voice) {
            return;
        }
        let viewers: FxHashSet<UserId> = table
            .audience
            .viewers(channel, Intents::NONE)
            .filter_map(|key| self.sessions.get(key))
            .map(|slot| slot.session.profile.user_id)
            .collect();
        table.remember(DeletedChannel { id: channel, viewers });
    }

    /// The session has ended; presence hears of that, and ends its voice states.
    pub(super) fn forget_voices(&mut self, key: SessionKey) {
        if self.voices.is_empty() {
            return;
        }
        self.voices.retain(|_, voices| {
            voices.retain(|voice| voice.key != key);
            !voices.is_empty()
        });
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

/// Nobody would end the state if this were given up at the first failure.
async fn leave(services: &Services, state: &VoiceState) {
    let request = || v1::UpdateVoiceStateRequest {
        state: Some(state.into()),
        member: None,
        pod: services.pod.as_str().to_owned(),
        rtc_region: None,
    };
    for attempt in 0..LEAVE_ATTEMPTS {
        match services.presences.update_voice(&services.book, request()).await {
            Ok(_) => return,
            Err(status) => {
                warn!(%status, guild = %state.guild_id, "a voice state that has no channel any more was not ended");
            }
        }
        tokio::time::sleep(services.backoff(attempt)).await;
    }
}

const LEAVE_ATTEMPTS: u32 = 8;

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
