//! Voice state: who is in which voice channel. Media is not Starling's business.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::{ChannelId, GuildId, Member, UserId};

/// A member's voice state; without a channel it says that they left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoiceState {
    pub guild_id: GuildId,
    pub channel_id: Option<ChannelId>,
    pub user_id: UserId,
    pub session_id: String,
    pub self_mute: bool,
    pub self_deaf: bool,
    pub self_video: bool,
    pub deaf: bool,
    pub mute: bool,
    pub suppress: bool,
}

impl VoiceState {
    /// The JSON object; JDA needs `member` with `joined_at` in events.
    pub fn object<'a>(&'a self, member: Option<&'a Member>) -> impl Serialize + 'a {
        VoiceStateJson { state: self, member }
    }
}

struct VoiceStateJson<'a> {
    state: &'a VoiceState,
    member: Option<&'a Member>,
}

impl Serialize for VoiceStateJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let state = self.state;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("guild_id", &state.guild_id)?;
        map.serialize_entry("channel_id", &state.channel_id)?;
        map.serialize_entry("user_id", &state.user_id)?;
        if let Some(member) = self.member {
            map.serialize_entry("member", member)?;
        }
        map.serialize_entry("session_id", &state.session_id)?;
        map.serialize_entry("deaf", &state.deaf)?;
        map.serialize_entry("mute", &state.mute)?;
        map.serialize_entry("self_deaf", &state.self_deaf)?;
        map.serialize_entry("self_mute", &state.self_mute)?;
        map.serialize_entry("self_video", &state.self_video)?;
        map.serialize_entry("suppress", &state.suppress)?;
        map.serialize_entry("request_to_speak_timestamp", &None::<()>)?;
        map.end()
    }
}
