//! Gateway intents: which events a session asked for.

use std::fmt;
use std::ops::BitOr;

/// A set of intents. Source: Discord's gateway documentation, "List of Intents".
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Intents(u32);

impl Intents {
    pub const GUILDS: Self = Self(1 << 0);
    pub const GUILD_MEMBERS: Self = Self(1 << 1);
    pub const GUILD_MODERATION: Self = Self(1 << 2);
    pub const GUILD_INVITES: Self = Self(1 << 6);
    pub const GUILD_VOICE_STATES: Self = Self(1 << 7);
    pub const GUILD_PRESENCES: Self = Self(1 << 8);
    pub const GUILD_MESSAGES: Self = Self(1 << 9);
    pub const GUILD_MESSAGE_REACTIONS: Self = Self(1 << 10);
    pub const GUILD_MESSAGE_TYPING: Self = Self(1 << 11);
    pub const DIRECT_MESSAGES: Self = Self(1 << 12);
    pub const DIRECT_MESSAGE_REACTIONS: Self = Self(1 << 13);
    pub const DIRECT_MESSAGE_TYPING: Self = Self(1 << 14);
    pub const MESSAGE_CONTENT: Self = Self(1 << 15);

    /// No intent: an event that is delivered whatever a session asked for.
    pub const NONE: Self = Self(0);
    /// Every intent there is; any other bit closes with 4013.
    pub const ALL: Self = Self(53_608_447);
    /// Those that an application must have been granted (4014 otherwise).
    pub const PRIVILEGED: Self =
        Self(Self::GUILD_MEMBERS.0 | Self::GUILD_PRESENCES.0 | Self::MESSAGE_CONTENT.0);

    /// The set with these bits, or `None` if one of them is no intent.
    pub const fn from_bits(bits: u64) -> Option<Self> {
        if bits & !(Self::ALL.0 as u64) == 0 { Some(Self(bits as u32)) } else { None }
    }

    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether all of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// This set without the intents of `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for Intents {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Intents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Intents({:#x})", self.0)
    }
}
