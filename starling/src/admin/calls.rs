//! The contract between `starling admin` and a running server: one JSON object to `POST /admin/v1`, one back.

use model::{ApplicationId, ChannelId, GuildId, UserId};
use serde::{Deserialize, Serialize};

/// Where calls go.
pub const PATH: &str = "/admin/v1";

/// A call. A user is given by name or id.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case", deny_unknown_fields)]
pub enum Call {
    /// Without a password one is made and answered.
    CreateUser {
        name: String,
        password: Option<String>,
    },
    ShowUser {
        user: String,
    },
    ListTokens {
        user: String,
    },
    CreateBot {
        name: String,
        owner: String,
        privileged: bool,
    },
    CreateGuild {
        name: String,
        owner: String,
    },
    AddMember {
        guild: GuildId,
        user: String,
        permissions: u64,
    },
    IssueToken {
        user: String,
    },
    RevokeToken {
        token_id: u64,
    },
    /// Continues with `guild` when it is given.
    Seed {
        name: String,
        prefix: String,
        members: u32,
        guild: Option<GuildId>,
    },
    /// A guild of users who are there already.
    SeedGuild {
        name: String,
        users: Vec<UserId>,
    },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UserReply {
    pub name: String,
    pub id: UserId,
    pub bot: bool,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub password: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub token: Option<String>,
    /// A text, as all large numbers are.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub token_id: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokensReply {
    pub tokens: Vec<TokenReply>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenReply {
    pub token_id: String,
    pub created_at: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BotReply {
    pub name: String,
    pub id: UserId,
    pub application_id: ApplicationId,
    pub token: String,
    pub privileged_intents: u32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GuildReply {
    pub name: String,
    pub guild_id: GuildId,
    pub channels: Vec<ChannelReply>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChannelReply {
    pub name: String,
    pub id: ChannelId,
}

/// Of a call that has nothing to tell.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DoneReply {
    pub done: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SeedReply {
    pub guild_id: GuildId,
    pub channel_id: ChannelId,
    pub members: Vec<SeedMember>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SeedMember {
    pub id: UserId,
    pub token: String,
}
