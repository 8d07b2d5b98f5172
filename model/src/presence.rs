//! Presence: who is there, on what kind of client, doing what.

use serde::{Serialize, Serializer};

use crate::{Digest, GuildId, UserId};

/// How a user wants to be seen. The order is that of [`Status::aggregate`]: the first wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Status {
    Online,
    Dnd,
    Idle,
    /// Connected, and shown to others as offline.
    Invisible,
    #[default]
    Offline,
}

impl Status {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Dnd => "dnd",
            Self::Idle => "idle",
            Self::Invisible => "invisible",
            Self::Offline => "offline",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Online, Self::Dnd, Self::Idle, Self::Invisible, Self::Offline]
            .into_iter()
            .find(|status| status.name() == name)
    }

    /// What others see.
    pub const fn shown(self) -> Self {
        match self {
            Self::Invisible => Self::Offline,
            status => status,
        }
    }

    /// The status of a user with several sessions.
    pub fn aggregate(statuses: impl IntoIterator<Item = Self>) -> Self {
        statuses.into_iter().map(Self::shown).min().unwrap_or_default()
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// The kind of client that a session is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Platform {
    Desktop,
    Mobile,
    Web,
}

/// The status by kind of client; bots count as `web`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ClientStatus {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desktop: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mobile: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web: Option<Status>,
}

/// A user's presence as others see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presence {
    pub user_id: UserId,
    pub status: Status,
    pub client_status: ClientStatus,
    /// A JSON array, checked when it was received; empty text for none.
    pub activities_json: String,
}

impl Presence {
    pub fn offline(user_id: UserId) -> Self {
        Self {
            user_id,
            status: Status::Offline,
            client_status: ClientStatus::default(),
            activities_json: String::new(),
        }
    }

    /// Two are the same if their digests are.
    pub fn digest(&self) -> u64 {
        let ClientStatus { desktop, mobile, web } = self.client_status;
        let number = |status: Option<Status>| status.map_or(0, |status| 1 + status as u64);
        let digest = Digest::new().number(self.user_id.get()).number(self.status as u64);
        let digest = [desktop, mobile, web].into_iter().map(number).fold(digest, Digest::number);
        digest.text(&self.activities_json).finish()
    }

    /// The JSON object, with `guild_id` where it is an event or part of one.
    pub fn object(&self, guild_id: Option<GuildId>) -> impl Serialize + '_ {
        PresenceJson {
            user: UserRef { id: self.user_id },
            guild_id,
            status: self.status,
            client_status: self.client_status,
            activities: serde_json::from_str(if self.activities_json.is_empty() {
                "[]"
            } else {
                &self.activities_json
            })
            .unwrap_or_default(),
        }
    }
}

#[derive(Serialize)]
struct PresenceJson<'a> {
    user: UserRef,
    #[serde(skip_serializing_if = "Option::is_none")]
    guild_id: Option<GuildId>,
    status: Status,
    client_status: ClientStatus,
    activities: Vec<&'a serde_json::value::RawValue>,
}

#[derive(Serialize)]
struct UserRef {
    id: UserId,
}
