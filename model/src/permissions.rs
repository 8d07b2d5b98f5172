//! Permission bits, and the pure algorithm that says what a member may do.
//!
//! Source: Discord's documentation, "Permissions". A set is a decimal string in JSON.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign, Not};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

mod compute;

pub use compute::{Standing, base, in_channel};

/// A set of permissions.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Permissions(u64);

macro_rules! permissions {
    ($($bit:literal $name:ident,)*) => {
        impl Permissions {
            $( pub const $name: Self = Self(1 << $bit); )*
            /// Every permission there is.
            pub const ALL: Self = Self($( (1 << $bit) )|*);
            const NAMES: &'static [(u64, &'static str)] = &[ $( (1 << $bit, stringify!($name)), )* ];
        }
    };
}

permissions! {
    0 CREATE_INSTANT_INVITE, 1 KICK_MEMBERS, 2 BAN_MEMBERS, 3 ADMINISTRATOR, 4 MANAGE_CHANNELS, 5 MANAGE_GUILD,
    6 ADD_REACTIONS, 7 VIEW_AUDIT_LOG, 8 PRIORITY_SPEAKER, 9 STREAM, 10 VIEW_CHANNEL, 11 SEND_MESSAGES,
    12 SEND_TTS_MESSAGES, 13 MANAGE_MESSAGES, 14 EMBED_LINKS, 15 ATTACH_FILES, 16 READ_MESSAGE_HISTORY,
    17 MENTION_EVERYONE, 18 USE_EXTERNAL_EMOJIS, 19 VIEW_GUILD_INSIGHTS, 20 CONNECT, 21 SPEAK, 22 MUTE_MEMBERS,
    23 DEAFEN_MEMBERS, 24 MOVE_MEMBERS, 25 USE_VAD, 26 CHANGE_NICKNAME, 27 MANAGE_NICKNAMES, 28 MANAGE_ROLES,
    29 MANAGE_WEBHOOKS, 30 MANAGE_GUILD_EXPRESSIONS, 31 USE_APPLICATION_COMMANDS, 32 REQUEST_TO_SPEAK,
    33 MANAGE_EVENTS, 34 MANAGE_THREADS, 35 CREATE_PUBLIC_THREADS, 36 CREATE_PRIVATE_THREADS,
    37 USE_EXTERNAL_STICKERS, 38 SEND_MESSAGES_IN_THREADS, 39 USE_EMBEDDED_ACTIVITIES, 40 MODERATE_MEMBERS,
    41 VIEW_CREATOR_MONETIZATION_ANALYTICS, 42 USE_SOUNDBOARD, 43 CREATE_GUILD_EXPRESSIONS, 44 CREATE_EVENTS,
    45 USE_EXTERNAL_SOUNDS, 46 SEND_VOICE_MESSAGES, 48 SET_VOICE_CHANNEL_STATUS, 49 SEND_POLLS,
    50 USE_EXTERNAL_APPS, 51 PIN_MESSAGES, 52 BYPASS_SLOWMODE,
}

impl Permissions {
    pub const NONE: Self = Self(0);

    /// What `@everyone` may do in a new guild.
    pub const DEFAULT: Self = Self(
        Self::CREATE_INSTANT_INVITE.0
            | Self::ADD_REACTIONS.0
            | Self::STREAM.0
            | Self::VIEW_CHANNEL.0
            | Self::SEND_MESSAGES.0
            | Self::SEND_TTS_MESSAGES.0
            | Self::EMBED_LINKS.0
            | Self::ATTACH_FILES.0
            | Self::READ_MESSAGE_HISTORY.0
            | Self::MENTION_EVERYONE.0
            | Self::USE_EXTERNAL_EMOJIS.0
            | Self::CONNECT.0
            | Self::SPEAK.0
            | Self::USE_VAD.0
            | Self::CHANGE_NICKNAME.0,
    );

    /// The set with these bits; bits that are no permission are dropped, as Discord does.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits & Self::ALL.0)
    }

    pub const fn bits(self) -> u64 {
        self.0
    }

    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// This set without those of `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for Permissions {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Permissions {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl BitAnd for Permissions {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl Not for Permissions {
    type Output = Self;

    fn not(self) -> Self {
        Self(Self::ALL.0 & !self.0)
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Self::NAMES.iter().filter(|(bit, _)| self.0 & bit != 0).map(|(_, name)| name);
        f.debug_set().entries(names).finish()
    }
}

impl Serialize for Permissions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Bits {
            Number(u64),
            Text(String),
        }
        match Bits::deserialize(deserializer)? {
            Bits::Number(bits) => Ok(Self::from_bits(bits)),
            Bits::Text(text) => {
                let bits =
                    text.parse().map_err(|_| de::Error::custom("permissions must be a decimal number"))?;
                Ok(Self::from_bits(bits))
            }
        }
    }
}
