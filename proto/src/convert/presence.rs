//! Presences and voice states.

use model::Digest;
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

impl v1::SessionPresence {
    /// Two are the same if their digests are; the order of guilds does not matter.
    pub fn digest(&self) -> u64 {
        let guilds = self.guild_ids.iter().fold(0, |sum, guild| sum ^ Digest::new().number(*guild).finish());
        let digest = Digest::new().text(&self.session_id).number(self.owner_epoch).number(self.user_id);
        let digest = digest.number(self.status as u64).number(self.platform.into());
        digest.text(&self.activities_json).number(guilds).finish()
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_part_of_a_session_is_in_its_digest() {
        let session = v1::SessionPresence {
            session_id: "s".into(),
            owner_epoch: 1,
            user_id: 2,
            status: 3,
            platform: 1,
            activities_json: "[]".into(),
            guild_ids: vec![4, 5],
        };
        let change = |change: fn(&mut v1::SessionPresence)| {
            let mut changed = session.clone();
            change(&mut changed);
            changed.digest()
        };
        let digests = [
            session.digest(),
            change(|session| session.session_id = "t".into()),
            change(|session| session.owner_epoch = 2),
            change(|session| session.user_id = 1),
            change(|session| session.status = 2),
            change(|session| session.platform = 2),
            change(|session| session.activities_json.clear()),
            change(|session| session.guild_ids = vec![4]),
            change(|session| session.guild_ids.clear()),
        ];
        assert_eq!(digests.iter().collect::<HashSet<_>>().len(), digests.len());
        assert_eq!(change(|session| session.guild_ids = vec![5, 4]), session.digest());
    }
}
