//! A user's membership of a guild.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::{GuildId, RoleId, Timestamp, User};

/// A member of a guild, with their user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub guild_id: GuildId,
    pub user: User,
    pub nick: Option<String>,
    /// Sorted, without `@everyone`.
    pub roles: Vec<RoleId>,
    pub joined_at: Timestamp,
    pub deaf: bool,
    pub mute: bool,
    pub pending: bool,
    /// The end of a time-out.
    pub communication_disabled_until: Option<Timestamp>,
    /// The guild's revision that made this state.
    pub revision: u64,
}

impl Member {
    pub fn new(guild_id: GuildId, user: User, joined_at: Timestamp) -> Self {
        Self {
            guild_id,
            user,
            nick: None,
            roles: Vec::new(),
            joined_at,
            deaf: false,
            mute: false,
            pending: false,
            communication_disabled_until: None,
            revision: 0,
        }
    }

    /// The member as messages show it: without the user, who stands beside it.
    pub fn without_user(&self) -> PartialMember<'_> {
        PartialMember(self)
    }

    /// The member with `guild_id`, as the GUILD_MEMBER_* events show it.
    pub fn in_event(&self) -> EventMember<'_> {
        EventMember(self)
    }

    fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("nick", &self.nick)?;
        map.serialize_entry("avatar", &None::<()>)?;
        map.serialize_entry("banner", &None::<()>)?;
        map.serialize_entry("roles", &self.roles)?;
        map.serialize_entry("joined_at", &self.joined_at)?;
        map.serialize_entry("premium_since", &None::<()>)?;
        map.serialize_entry("deaf", &self.deaf)?;
        map.serialize_entry("mute", &self.mute)?;
        map.serialize_entry("flags", &0)?;
        map.serialize_entry("pending", &self.pending)?;
        map.serialize_entry("communication_disabled_until", &self.communication_disabled_until)?;
        map.serialize_entry("avatar_decoration_data", &None::<()>)
    }
}

impl Serialize for Member {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("user", &self.user)?;
        self.write(&mut map)?;
        map.end()
    }
}

/// See [`Member::without_user`].
#[derive(Debug, Clone, Copy)]
pub struct PartialMember<'a>(&'a Member);

impl Serialize for PartialMember<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.0.write(&mut map)?;
        map.end()
    }
}

/// See [`Member::in_event`].
#[derive(Debug, Clone, Copy)]
pub struct EventMember<'a>(&'a Member);

impl Serialize for EventMember<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("guild_id", &self.0.guild_id)?;
        map.serialize_entry("user", &self.0.user)?;
        self.0.write(&mut map)?;
        map.end()
    }
}
