//! Guilds: whole, and as the list of a user's guilds shows them.

use model::guild::GuildObject;
use model::{Channel, Guild, Permissions, Role};
use proto::{Malformed, v1};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

/// A guild with its roles and channels, as the service answers it.
pub(crate) struct Details {
    pub(crate) guild: Guild,
    pub(crate) roles: Vec<Role>,
    pub(crate) channels: Vec<Channel>,
    pub(crate) with_counts: bool,
}

impl TryFrom<v1::GuildDetails> for Details {
    type Error = Malformed;

    fn try_from(details: v1::GuildDetails) -> Result<Self, Malformed> {
        let guild = details.guild.ok_or(Malformed::new("details.guild", "it is missing"))?.try_into()?;
        let roles = details.roles.into_iter().map(Role::try_from).collect::<Result<_, _>>()?;
        let channels = details.channels.into_iter().map(Channel::try_from).collect::<Result<_, _>>()?;
        Ok(Self { guild, roles, channels, with_counts: false })
    }
}

/// The guild object; channels have a route of their own.
impl Serialize for Details {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        GuildObject { guild: &self.guild, roles: &self.roles }.write(&mut map)?;
        if self.with_counts {
            map.serialize_entry("approximate_member_count", &self.guild.member_count)?;
        }
        map.end()
    }
}

/// One row of a user's guilds.
pub(crate) struct UserGuildObject {
    pub(crate) guild: v1::UserGuild,
    pub(crate) with_counts: bool,
}

impl Serialize for UserGuildObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let guild = &self.guild;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &guild.id.to_string())?;
        map.serialize_entry("name", &guild.name)?;
        map.serialize_entry("icon", &guild.icon)?;
        map.serialize_entry("banner", &None::<()>)?;
        map.serialize_entry("owner", &guild.owner)?;
        map.serialize_entry("permissions", &Permissions::from_bits(guild.permissions))?;
        map.serialize_entry("features", &[(); 0])?;
        if self.with_counts {
            map.serialize_entry("approximate_member_count", &guild.member_count)?;
        }
        map.end()
    }
}
