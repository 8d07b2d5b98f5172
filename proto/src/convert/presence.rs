//! Presences and voice states.

use model::presence::{ClientStatus, Presence, Status};
use model::voice::VoiceState;

use super::{Malformed, id, optional_id};
use crate::v1;

impl From<Status> for v1::Status {
    fn from(status: Status) -> Self {
        match status {
            Status::Online => Self::Online,
            Status::Dnd => Self::Dnd,
            Status::Idle => Self::Idle,
            Status::Invisible => Self::Invisible,
            Status::Offline => Self::Offline,
        }
    }
}

impl v1::Status {
    /// The status of `model`; `None` for unspecified.
    pub fn known(self) -> Option<Status> {
        Some(match self {
            Self::Unspecified => return None,
            Self::Online => Status::Online,
            Self::Dnd => Status::Dnd,
            Self::Idle => Status::Idle,
            Self::Invisible => Status::Invisible,
            Self::Offline => Status::Offline,
        })
    }
}

fn number(status: Option<Status>) -> i32 {
    status.map_or(v1::Status::Unspecified, Into::into).into()
}

impl From<&Presence> for v1::Presence {
    fn from(presence: &Presence) -> Self {
        Self {
            user_id: presence.user_id.get(),
            status: number(Some(presence.status)),
            desktop: number(presence.client_status.desktop),
            mobile: number(presence.client_status.mobile),
            web: number(presence.client_status.web),
            activities_json: presence.activities_json.clone(),
        }
    }
}

impl TryFrom<v1::Presence> for Presence {
    type Error = Malformed;

    fn try_from(presence: v1::Presence) -> Result<Self, Malformed> {
        Ok(Self {
            user_id: id("presence.user_id", presence.user_id)?,
            status: presence
                .status()
                .known()
                .ok_or(Malformed::new("presence.status", "it is unspecified"))?,
            client_status: ClientStatus {
                desktop: presence.desktop().known(),
                mobile: presence.mobile().known(),
                web: presence.web().known(),
            },
            activities_json: presence.activities_json,
        })
    }
}

impl From<&VoiceState> for v1::VoiceState {
    fn from(state: &VoiceState) -> Self {
        Self {
            guild_id: state.guild_id.get(),
            channel_id: state.channel_id.map(u64::from),
            user_id: state.user_id.get(),
            session_id: state.session_id.clone(),
            self_mute: state.self_mute,
            self_deaf: state.self_deaf,
            self_video: state.self_video,
            deaf: state.deaf,
            mute: state.mute,
            suppress: state.suppress,
        }
    }
}

impl TryFrom<v1::VoiceState> for VoiceState {
    type Error = Malformed;

    fn try_from(state: v1::VoiceState) -> Result<Self, Malformed> {
        Ok(Self {
            guild_id: id("voice_state.guild_id", state.guild_id)?,
            channel_id: optional_id(state.channel_id),
            user_id: id("voice_state.user_id", state.user_id)?,
            session_id: state.session_id,
            self_mute: state.self_mute,
            self_deaf: state.self_deaf,
            self_video: state.self_video,
            deaf: state.deaf,
            mute: state.mute,
            suppress: state.suppress,
        })
    }
}
