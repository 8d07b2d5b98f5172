//! The names that events travel under, and the partitions that they fall into.

pub use model::Subject;

use model::{ChannelId, GuildId, UserId};

/// A share of all guilds, or of all users: one stream each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(pub u16);

/// How many streams there are. It can't be changed while streams exist: ids are spread by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    pub guild_partitions: u16,
    pub user_partitions: u16,
}

impl Default for Layout {
    fn default() -> Self {
        Self { guild_partitions: 64, user_partitions: 16 }
    }
}

impl Layout {
    pub fn guild(self, guild: GuildId) -> Partition {
        Partition((spread(guild.get()) % u64::from(self.guild_partitions)) as u16)
    }

    pub fn user(self, user: UserId) -> Partition {
        Partition((spread(user.get()) % u64::from(self.user_partitions)) as u16)
    }

    pub fn guild_partitions(self) -> impl Iterator<Item = Partition> {
        (0..self.guild_partitions).map(Partition)
    }

    pub fn user_partitions(self) -> impl Iterator<Item = Partition> {
        (0..self.user_partitions).map(Partition)
    }

    /// Where events of the subject are stored.
    pub fn stream(self, subject: Subject) -> Stream {
        match subject {
            Subject::Guild(guild) => Stream::Guilds(self.guild(guild)),
            Subject::User(user) => Stream::Users(self.user(user)),
        }
    }

    /// The subject's name in its stream: `ev.{partition}.{guild}` or `us.{partition}.{user}`.
    pub fn name(self, subject: Subject) -> String {
        match subject {
            Subject::Guild(guild) => format!("ev.{}.{guild}", self.guild(guild).0),
            Subject::User(user) => format!("us.{}.{user}", self.user(user).0),
        }
    }
}

/// The finalizer of MurmurHash3: snowflakes differ in few bits, and every bit of the result depends on all of them.
pub(crate) fn spread(id: u64) -> u64 {
    let id = (id ^ (id >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let id = (id ^ (id >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    id ^ (id >> 33)
}

/// A stored, sequenced stream of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stream {
    Guilds(Partition),
    Users(Partition),
}

/// Where what is never stored goes: to a guild, or to one of its channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ephemeral {
    pub guild: GuildId,
    pub channel: Option<ChannelId>,
}

impl Ephemeral {
    /// `eph.{partition}.{guild}.{channel or -}`.
    pub fn name(self, layout: Layout) -> String {
        let partition = layout.guild(self.guild).0;
        match self.channel {
            Some(channel) => format!("eph.{partition}.{}.{channel}", self.guild),
            None => format!("eph.{partition}.{}.-", self.guild),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_ids_are_spread_evenly() {
        let layout = Layout::default();
        let mut counts = [0_u32; 64];
        for index in 1..=64_000_u64 {
            counts[usize::from(layout.guild(GuildId::new(index << 22).unwrap()).0)] += 1;
        }
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(*least > 850 && *most < 1150, "from {least} to {most}");
    }

    #[test]
    fn names() {
        let guild = GuildId::new(7).unwrap();
        let layout = Layout { guild_partitions: 1, user_partitions: 1 };
        assert_eq!(layout.name(Subject::Guild(guild)), "ev.0.7");
        assert_eq!(layout.name(Subject::User(guild.cast())), "us.0.7");
        assert_eq!(Ephemeral { guild, channel: None }.name(layout), "eph.0.7.-");
    }
}
