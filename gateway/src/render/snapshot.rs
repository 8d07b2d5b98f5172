//! A guild as it was loaded, and the GUILD_CREATE of those who open it.
//!
//! What sessions see of a guild follows from the class of their member, from their intents and from their threshold
//! ([`Sight`]). For all with the same sight GUILD_CREATE is made once, in each form once; only when they joined and their own
//! member are each session's own.

use std::sync::Arc;

use bytes::Bytes;
use model::guild::GuildObject;
use model::presence::Presence;
use model::view::{GuildView, MemberView};
use model::voice::VoiceState;
use model::{Channel, ChannelId, Guild, Member, Role, UserId};
use parking_lot::Mutex;
use proto::convert::{self, Malformed, required};
use proto::v1;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::json;

use super::to_json;
use crate::audience::Audience;
use crate::made::{PartedEvent, PartedFresh};

/// See the module.
pub(crate) struct Snapshot {
    pub(crate) guild: Guild,
    roles: Vec<Role>,
    channels: Vec<Channel>,
    /// Those that were asked for as a whole come first.
    members: Vec<Member>,
    listed_count: usize,
    places: FxHashMap<UserId, usize>,
    presences: Vec<Presence>,
    voice_states: Vec<VoiceState>,
    made: Mutex<Made>,
}

/// What a session wants to be shown of a guild.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) user: UserId,
    pub(crate) large_threshold: u32,
    pub(crate) with_presences: bool,
    /// Libraries tell a guild that was just joined from one that READY listed by the absence of `unavailable`.
    pub(crate) is_join: bool,
}

/// What has been made of the snapshot so far.
struct Made {
    /// Without members: it tells their classes.
    audience: Audience,
    creates: FxHashMap<Sight, Arc<Create>>,
}

/// Sessions with the same are shown the same, but for what is their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Sight {
    class: u32,
    is_large: bool,
    with_presences: bool,
    is_join: bool,
}

/// The GUILD_CREATE of a sight.
struct Create {
    event: Arc<PartedEvent>,
    /// Members whom it shows.
    shown: FxHashSet<UserId>,
}

// === impl Snapshot ===

impl Snapshot {
    /// What the directory answered to who opened the guild, and further members.
    pub(crate) fn new(
        opened: v1::GuildSnapshot,
        further: Vec<v1::Member>,
        presences: Vec<Presence>,
        voice_states: Vec<v1::VoiceState>,
    ) -> Result<Self, Malformed> {
        let details = required("snapshot.details", opened.details)?;
        let mut members: Vec<Member> = convert::all(opened.members)?;
        let listed_count = members.len();
        members.extend(convert::all(further)?);
        let guild: Guild = required("details.guild", details.guild)?.try_into()?;
        let roles: Vec<Role> = convert::all(details.roles)?;
        let channels: Vec<Channel> = convert::all(details.channels)?;
        let view = GuildView::new(guild.id, guild.owner_id, guild.revision, &roles, &channels);
        let made = Made { audience: Audience::new(view), creates: FxHashMap::default() };
        Ok(Self {
            guild,
            roles,
            channels,
            listed_count,
            places: members.iter().enumerate().map(|(place, member)| (member.user.id, place)).collect(),
            members,
            presences,
            voice_states: convert::all(voice_states)?,
            made: Mutex::new(made),
        })
    }

    pub(crate) fn view(&self) -> GuildView {
        self.made.lock().audience.view().clone()
    }

    /// The member, if the user is one and the guild was loaded for them.
    pub(crate) fn member(&self, user: UserId) -> Option<&Member> {
        self.places.get(&user).map(|place| &self.members[*place])
    }

    /// The JSON of each channel, as CHANNEL_CREATE shows it.
    pub(crate) fn channel_bodies(&self) -> impl Iterator<Item = (ChannelId, Bytes)> + '_ {
        self.channels.iter().map(|channel| (channel.id, exact(to_json(channel))))
    }

    /// Who is in which voice channel, with the `d` of a VOICE_STATE_UPDATE that says so.
    pub(crate) fn voice_bodies(&self) -> impl Iterator<Item = (UserId, ChannelId, Bytes)> + '_ {
        self.voice_states.iter().filter_map(move |state| {
            let member = self.member(state.user_id);
            Some((state.user_id, state.channel_id?, exact(to_json(&state.object(member)))))
        })
    }

    /// GUILD_CREATE for one of those for whom the guild was loaded.
    pub(crate) fn guild_create(&self, wanted: &Wanted) -> Option<PartedFresh> {
        let member = self.member(wanted.user)?;
        let create = self.create(wanted, &member.into());
        let own = if create.shown.contains(&wanted.user) { Vec::new() } else { vec![member] };
        let object = to_json(&json!({"joined_at": member.joined_at}));
        Some(PartedFresh::new(create.event.clone(), object, to_json(&own)))
    }

    /// What all with the same sight are shown.
    fn create(&self, wanted: &Wanted, member: &MemberView) -> Arc<Create> {
        let mut made = self.made.lock();
        let Made { audience, creates } = &mut *made;
        let (class, visible) = audience.class_for(wanted.user, member);
        let sight = Sight {
            class,
            is_large: self.guild.member_count > u64::from(wanted.large_threshold),
            with_presences: wanted.with_presences,
            is_join: wanted.is_join,
        };
        creates.entry(sight).or_insert_with(|| Arc::new(self.render(sight, visible))).clone()
    }

    fn render(&self, sight: Sight, visible: &[ChannelId]) -> Create {
        let sees = |channel: &ChannelId| visible.binary_search(channel).is_ok();
        let in_sight = |state: &&VoiceState| state.channel_id.as_ref().is_some_and(sees);
        let voice_states: Vec<&VoiceState> = self.voice_states.iter().filter(in_sight).collect();
        let speakers: FxHashSet<UserId> = voice_states.iter().map(|state| state.user_id).collect();
        let listed_count = if sight.with_presences && !sight.is_large { self.listed_count } else { 0 };
        let members = self.members.iter().enumerate();
        let is_shown =
            |(place, member): &(usize, &Member)| *place < listed_count || speakers.contains(&member.user.id);
        let members: Vec<&Member> = members.filter(is_shown).map(|(_, member)| member).collect();
        let channels = self.channels.iter().filter(|channel| sees(&channel.id)).collect();
        let object = to_json(&GuildCreate { snapshot: self, sight, channels, voice_states });
        Create {
            event: Arc::new(PartedEvent::new("GUILD_CREATE", "members", object, to_json(&members))),
            shown: members.iter().map(|member| member.user.id).collect(),
        }
    }
}

/// Without the room that was left for more: it is kept.
fn exact(json: Vec<u8>) -> Bytes {
    json.into_boxed_slice().into()
}

/// The `d` of GUILD_CREATE without the members, and without when the user joined.
struct GuildCreate<'a> {
    snapshot: &'a Snapshot,
    sight: Sight,
    channels: Vec<&'a Channel>,
    voice_states: Vec<&'a VoiceState>,
}

impl Serialize for GuildCreate<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (snapshot, sight) = (self.snapshot, self.sight);
        let mut map = serializer.serialize_map(None)?;
        GuildObject { guild: &snapshot.guild, roles: &snapshot.roles }.write(&mut map)?;
        map.serialize_entry("large", &sight.is_large)?;
        if !sight.is_join {
            map.serialize_entry("unavailable", &false)?;
        }
        map.serialize_entry("member_count", &snapshot.guild.member_count)?;
        let voice_states: Vec<_> = self.voice_states.iter().map(|state| state.object(None)).collect();
        map.serialize_entry("voice_states", &voice_states)?;
        map.serialize_entry("channels", &self.channels)?;
        map.serialize_entry("threads", &[(); 0])?;
        let presences = snapshot.presences.iter().filter(|_| sight.with_presences);
        let presences: Vec<_> = presences.map(|presence| presence.object(None)).collect();
        map.serialize_entry("presences", &presences)?;
        map.serialize_entry("stage_instances", &[(); 0])?;
        map.serialize_entry("guild_scheduled_events", &[(); 0])?;
        map.serialize_entry("soundboard_sounds", &[(); 0])?;
        map.end()
    }
}
