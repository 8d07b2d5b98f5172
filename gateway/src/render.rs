//! The JSON of what the gateway itself makes for one session: READY, GUILD_CREATE, member chunks.

use bytes::Bytes;
use model::guild::GuildObject;
use model::presence::Presence;
use model::user::CurrentUser;
use model::view::{GuildView, MemberView};
use model::voice::VoiceState;
use model::{
    ApplicationId, Channel, ChannelId, Guild, GuildId, Intents, Member, Permissions, Role, Timestamp, User,
    UserId,
};
use proto::convert::{self, Malformed, required};
use proto::v1;
use rustc_hash::FxHashMap;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::link::command::Shard;

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

/// A guild as it is opened for one user.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) guild: Guild,
    pub(crate) roles: Vec<Role>,
    pub(crate) channels: Vec<Channel>,
    pub(crate) member: Member,
    pub(crate) members: Vec<Member>,
    pub(crate) presences: Vec<Presence>,
    pub(crate) voice_states: Vec<VoiceState>,
}

impl Snapshot {
    /// `None` when the user is no member.
    pub(crate) fn new(
        snapshot: v1::GuildSnapshot,
        presences: Vec<Presence>,
        voice_states: Vec<v1::VoiceState>,
    ) -> Result<Option<Self>, Malformed> {
        let Some(member) = snapshot.member else { return Ok(None) };
        let details = required("snapshot.details", snapshot.details)?;
        Ok(Some(Self {
            guild: required("details.guild", details.guild)?.try_into()?,
            roles: convert::all(details.roles)?,
            channels: convert::all(details.channels)?,
            member: member.try_into()?,
            members: convert::all(snapshot.members)?,
            presences,
            voice_states: convert::all(voice_states)?,
        }))
    }

    pub(crate) fn view(&self) -> GuildView {
        GuildView::new(self.guild.id, self.guild.owner_id, self.guild.revision, &self.roles, &self.channels)
    }

    /// The JSON of each channel, as CHANNEL_CREATE shows it.
    pub(crate) fn channel_bodies(&self) -> impl Iterator<Item = (ChannelId, Bytes)> + '_ {
        self.channels.iter().map(|channel| (channel.id, to_json(channel).into()))
    }

    /// Who is in which voice channel, with the `d` of a VOICE_STATE_UPDATE that says so.
    pub(crate) fn voice_bodies(&self) -> impl Iterator<Item = (UserId, ChannelId, Bytes)> + '_ {
        let members: FxHashMap<UserId, &Member> =
            self.members.iter().map(|member| (member.user.id, member)).collect();
        self.voice_states.iter().filter_map(move |state| {
            let member = members.get(&state.user_id).copied();
            Some((state.user_id, state.channel_id?, to_json(&state.object(member)).into()))
        })
    }

    /// The `d` of GUILD_CREATE: channels that the user sees, voice states in them, members as asked for.
    ///
    /// Libraries tell a guild that was just joined from one that READY listed by the absence of `unavailable`.
    pub(crate) fn guild_create(
        &self,
        now: Timestamp,
        large_threshold: u32,
        with_presences: bool,
        is_join: bool,
    ) -> Vec<u8> {
        let view = self.view();
        let user_id = self.member.user.id;
        let member = MemberView::from(&self.member);
        let sees = |channel: ChannelId| {
            view.in_channel(user_id, &member, channel, now).contains(Permissions::VIEW_CHANNEL)
        };
        let channels: Vec<&Channel> = self.channels.iter().filter(|channel| sees(channel.id)).collect();
        let voice_states: Vec<&VoiceState> =
            self.voice_states.iter().filter(|state| state.channel_id.is_some_and(sees)).collect();
        let in_voice = |user: UserId| voice_states.iter().any(|state| state.user_id == user);
        let large = self.guild.member_count > u64::from(large_threshold);
        let listed = |member: &&Member| {
            member.user.id == user_id || in_voice(member.user.id) || (with_presences && !large)
        };
        let mut members: Vec<&Member> = self.members.iter().filter(listed).collect();
        if !members.iter().any(|member| member.user.id == user_id) {
            members.push(&self.member);
        }
        let presences: Vec<&Presence> = self.presences.iter().filter(|_| with_presences).collect();
        to_json(&GuildCreate { snapshot: self, channels, members, presences, voice_states, large, is_join })
    }
}

struct GuildCreate<'a> {
    snapshot: &'a Snapshot,
    channels: Vec<&'a Channel>,
    members: Vec<&'a Member>,
    presences: Vec<&'a Presence>,
    voice_states: Vec<&'a VoiceState>,
    large: bool,
    is_join: bool,
}

impl Serialize for GuildCreate<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let snapshot = self.snapshot;
        let mut map = serializer.serialize_map(None)?;
        GuildObject { guild: &snapshot.guild, roles: &snapshot.roles }.write(&mut map)?;
        map.serialize_entry("joined_at", &snapshot.member.joined_at)?;
        map.serialize_entry("large", &self.large)?;
        if !self.is_join {
            map.serialize_entry("unavailable", &false)?;
        }
        map.serialize_entry("member_count", &snapshot.guild.member_count)?;
        let voice_states: Vec<_> = self.voice_states.iter().map(|state| state.object(None)).collect();
        map.serialize_entry("voice_states", &voice_states)?;
        map.serialize_entry("members", &self.members)?;
        map.serialize_entry("channels", &self.channels)?;
        map.serialize_entry("threads", &[(); 0])?;
        let presences: Vec<_> = self.presences.iter().map(|presence| presence.object(None)).collect();
        map.serialize_entry("presences", &presences)?;
        map.serialize_entry("stage_instances", &[(); 0])?;
        map.serialize_entry("guild_scheduled_events", &[(); 0])?;
        map.serialize_entry("soundboard_sounds", &[(); 0])?;
        map.end()
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
