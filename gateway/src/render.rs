//! The JSON of what the gateway itself makes: READY, member chunks, and GUILD_CREATE ([`snapshot`]).

use model::user::CurrentUser;
use model::{ApplicationId, Channel, GuildId, Intents, Member, User, UserId};
use proto::v1;
use serde::Serialize;

use crate::link::command::Shard;

mod snapshot;

pub(crate) use snapshot::{Snapshot, Wanted};

/// What READY is made of.
pub(crate) struct Ready<'a> {
    pub(crate) user: &'a User,
    pub(crate) application: Option<&'a v1::Application>,
    pub(crate) session_id: String,
    pub(crate) resume_gateway_url: &'a str,
    pub(crate) guilds: &'a [GuildId],
    pub(crate) private_channels: &'a [Channel],
    /// Echoed when the client gave one.
    pub(crate) shard: Option<Shard>,
}

/// READY as clients read it.
#[derive(Serialize)]
struct ReadyObject<'a> {
    v: u8,
    user: CurrentUser<'a>,
    user_settings: Nothing,
    session_type: &'a str,
    session_id: &'a str,
    resume_gateway_url: &'a str,
    relationships: [(); 0],
    private_channels: &'a [Channel],
    presences: [(); 0],
    guilds: Vec<UnavailableGuild>,
    guild_join_requests: [(); 0],
    geo_ordered_rtc_regions: [(); 0],
    application: PartialApplication,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard: Option<[u32; 2]>,
    _trace: [&'a str; 1],
}

/// `{}`
#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct UnavailableGuild {
    id: GuildId,
    unavailable: bool,
}

#[derive(Serialize)]
struct PartialApplication {
    id: ApplicationId,
    flags: u32,
}

impl Ready<'_> {
    pub(crate) fn json(&self) -> Vec<u8> {
        let own_id = self.user.id.cast();
        let application_id = self.application.and_then(|application| ApplicationId::new(application.id));
        to_json(&ReadyObject {
            v: 10,
            user: CurrentUser::new(self.user),
            user_settings: Nothing {},
            session_type: "normal",
            session_id: &self.session_id,
            resume_gateway_url: self.resume_gateway_url,
            relationships: [],
            private_channels: self.private_channels,
            presences: [],
            guilds: self.guilds.iter().map(|id| UnavailableGuild { id: *id, unavailable: true }).collect(),
            guild_join_requests: [],
            geo_ordered_rtc_regions: [],
            application: PartialApplication {
                id: application_id.unwrap_or(own_id),
                flags: self.application_flags(),
            },
            shard: self.shard.map(|shard| [shard.index, shard.count]),
            _trace: ["starling"],
        })
    }

    /// The flags that say which privileged intents the application has.
    fn application_flags(&self) -> u32 {
        let granted = self
            .application
            .and_then(|application| Intents::from_bits(application.privileged_intents.into()));
        let granted = granted.unwrap_or_default();
        let flags = [
            (Intents::GUILD_PRESENCES, 1 << 12),
            (Intents::GUILD_MEMBERS, 1 << 14),
            (Intents::MESSAGE_CONTENT, 1 << 18),
        ];
        flags.iter().filter(|(intent, _)| granted.contains(*intent)).map(|(_, flag)| flag).sum()
    }
}

/// What GUILD_MEMBERS_CHUNK is made of.
#[derive(Serialize)]
pub(crate) struct Chunk<'a> {
    pub(crate) guild_id: GuildId,
    pub(crate) members: &'a [Member],
    pub(crate) chunk_index: usize,
    pub(crate) chunk_count: usize,
    pub(crate) not_found: &'a [UserId],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) presences: Option<Vec<serde_json::Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nonce: Option<&'a str>,
}

/// Objects of ours always have a JSON form.
pub(crate) fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("maps have string keys and nothing fails to serialize")
}
