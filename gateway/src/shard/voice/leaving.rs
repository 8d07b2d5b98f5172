//! Leaving a voice channel when there is nothing left to be in.
//!
//! The shard remembers which of its sessions are in which channel, so that whoever loses the guild (kicked, banned, gone) or
//! whose channel is deleted leaves: nobody else would say so. It learns that from the answers to op 4, and from the
//! guild's events, which also tell when another session of the user has taken over.

use model::voice::VoiceState;
use model::{ChannelId, ChannelKind, EventKind, GuildId, Intents, UserId};
use proto::v1;
use rustc_hash::FxHashSet;
use serde::Deserialize;
use tracing::warn;

use super::outside;
use crate::audience::SessionKey;
use crate::live::LiveEvent;
use crate::services::Services;
use crate::session::SessionId;
use crate::shard::Shard;
use crate::shard::guild::DeletedChannel;

/// A session in a voice channel.
#[derive(Debug, Clone, Copy)]
pub(in crate::shard) struct InVoice {
    pub(in crate::shard) key: SessionKey,
    pub(in crate::shard) id: SessionId,
    pub(in crate::shard) user_id: UserId,
    pub(in crate::shard) channel_id: ChannelId,
}

impl Shard {
    /// A user is in a voice channel, by the session that the event names. Events are late: what the answer to an op 4 has
    /// told of a session of ours is newer.
    pub(in crate::shard) fn note_voice(&mut self, guild: GuildId, event: &LiveEvent) {
        #[derive(Deserialize)]
        struct State {
            channel_id: Option<ChannelId>,
            session_id: String,
        }
        let (EventKind::VoiceStateUpdate, Some(user_id)) = (event.envelope.kind, event.envelope.user_id)
        else {
            return;
        };
        let Ok(State { channel_id: Some(channel_id), session_id }) =
            serde_json::from_slice(&event.envelope.data)
        else {
            return;
        };
        let id = session_id.parse().ok();
        match id.and_then(|id: SessionId| Some((id, *self.by_id.get(&id)?))) {
            None => self.is_in_no_voice(guild, user_id),
            Some((id, key)) => {
                let mut known = self.voices.get(&guild).into_iter().flatten();
                if !known.any(|voice| voice.user_id == user_id) {
                    self.is_in_voice(guild, InVoice { key, id, user_id, channel_id });
                }
            }
        }
    }

    /// A session is in a voice channel now. It leaves at once, and this is false, if what would have made it leave has
    /// happened before.
    pub(in crate::shard) fn is_in_voice(&mut self, guild: GuildId, voice: InVoice) -> bool {
        self.is_in_no_voice(guild, voice.user_id);
        self.services.book.replace_voice(voice.id, guild, false);
        self.voices.entry(guild).or_default().push(voice);
        let is_open = self.sessions[voice.key].session.guilds.is_open(guild);
        let table = self.guilds.get(&guild);
        let is_there =
            table.is_some_and(|table| table.audience.view().channels.contains_key(&voice.channel_id));
        if !is_open || !is_there {
            self.leave_voices(guild, |other| other.key == voice.key);
        }
        is_open && is_there
    }

    pub(super) fn is_in_no_voice(&mut self, guild: GuildId, user: UserId) {
        let Some(voices) = self.voices.get_mut(&guild) else { return };
        for gone in voices.extract_if(.., |voice| voice.user_id == user) {
            self.services.book.replace_voice(gone.id, guild, true);
        }
        if voices.is_empty() {
            self.voices.remove(&guild);
        }
    }

    /// Sessions that can't be in a voice channel of the guild any more leave it.
    pub(in crate::shard) fn leave_voices(&mut self, guild: GuildId, leaves: impl Fn(&InVoice) -> bool) {
        let Some(voices) = self.voices.get_mut(&guild) else { return };
        let leaving: Vec<InVoice> = voices.extract_if(.., |voice| leaves(voice)).collect();
        if voices.is_empty() {
            self.voices.remove(&guild);
        }
        for voice in leaving {
            let Some(slot) = self.session(voice.key, voice.id) else { continue };
            let aside = slot.aside.get_or_insert_default();
            aside.forget_voice(guild);
            let turn = aside.voice_turn.clone();
            let state = outside(guild, voice.user_id, voice.id, None);
            let services = self.services.clone();
            self.tasks.spawn(async move {
                let _turn = turn.lock().await;
                leave(&services, &state).await;
            });
        }
    }

    /// Before a channel is deleted: who sees it now is who will be told that others have left it.
    pub(in crate::shard) fn remember_viewers(&mut self, guild: GuildId, channel: ChannelId) {
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
    pub(in crate::shard) fn forget_voices(&mut self, key: SessionKey) {
        if self.voices.is_empty() {
            return;
        }
        self.voices.retain(|_, voices| {
            voices.retain(|voice| voice.key != key);
            !voices.is_empty()
        });
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
