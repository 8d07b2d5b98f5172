//! Gateway events: their names, delivery class, and the intent that they need.

use crate::{GuildId, Intents, UserId};

/// What the backplane promises for an event (see ARCHITECTURE.md, "Event classes").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Stored for replay on the guild's subject, sequenced, never dropped silently.
    Guild,
    /// The same, on one user's own subject.
    User,
    /// Never stored; may be coalesced, and is dropped first.
    Ephemeral,
}

/// What a stored event is about, and under which name it travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    Guild(GuildId),
    /// What is a user's own.
    User(UserId),
}

macro_rules! kinds {
    ($($number:literal $kind:ident $name:literal,)*) => {
        /// What happened. The numbers are those of the envelope on the wire: never reuse one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum EventKind { $( $kind = $number, )* }

        impl EventKind {
            /// The `t` of the dispatch.
            pub const fn name(self) -> &'static str {
                match self { $( Self::$kind => $name, )* }
            }

            pub const fn from_number(number: u32) -> Option<Self> {
                match number { $( $number => Some(Self::$kind), )* _ => None }
            }

            /// Every kind.
            pub const ALL: &'static [Self] = &[ $( Self::$kind, )* ];
        }
    };
}

kinds! {
    1 MessageCreate "MESSAGE_CREATE",
    2 MessageUpdate "MESSAGE_UPDATE",
    3 MessageDelete "MESSAGE_DELETE",
    4 MessageDeleteBulk "MESSAGE_DELETE_BULK",
    5 MessageReactionAdd "MESSAGE_REACTION_ADD",
    6 MessageReactionRemove "MESSAGE_REACTION_REMOVE",
    7 MessageReactionRemoveAll "MESSAGE_REACTION_REMOVE_ALL",
    8 MessageReactionRemoveEmoji "MESSAGE_REACTION_REMOVE_EMOJI",
    10 GuildCreate "GUILD_CREATE",
    11 GuildUpdate "GUILD_UPDATE",
    12 GuildDelete "GUILD_DELETE",
    13 ChannelCreate "CHANNEL_CREATE",
    14 ChannelUpdate "CHANNEL_UPDATE",
    15 ChannelDelete "CHANNEL_DELETE",
    16 GuildRoleCreate "GUILD_ROLE_CREATE",
    17 GuildRoleUpdate "GUILD_ROLE_UPDATE",
    18 GuildRoleDelete "GUILD_ROLE_DELETE",
    19 GuildMemberAdd "GUILD_MEMBER_ADD",
    20 GuildMemberUpdate "GUILD_MEMBER_UPDATE",
    21 GuildMemberRemove "GUILD_MEMBER_REMOVE",
    22 InviteCreate "INVITE_CREATE",
    23 InviteDelete "INVITE_DELETE",
    24 VoiceStateUpdate "VOICE_STATE_UPDATE",
    30 UserUpdate "USER_UPDATE",
    40 TypingStart "TYPING_START",
    41 PresenceUpdate "PRESENCE_UPDATE",
    42 VoiceServerUpdate "VOICE_SERVER_UPDATE",
    50 Ready "READY",
    51 Resumed "RESUMED",
    52 GuildMembersChunk "GUILD_MEMBERS_CHUNK",
    53 RateLimited "RATE_LIMITED",
    // Between pods only, never sent to a client.
    60 GuildJoined "INTERNAL_GUILD_JOINED",
    61 GuildLeft "INTERNAL_GUILD_LEFT",
    62 TokenRevoked "INTERNAL_TOKEN_REVOKED",
}

impl EventKind {
    /// The intent that a session needs to get it, in a guild or outside; [`Intents::NONE`] for what everybody gets.
    pub const fn intent(self, in_guild: bool) -> Intents {
        match self {
            Self::MessageCreate | Self::MessageUpdate | Self::MessageDelete | Self::MessageDeleteBulk => {
                if in_guild {
                    Intents::GUILD_MESSAGES
                } else {
                    Intents::DIRECT_MESSAGES
                }
            }
            Self::MessageReactionAdd
            | Self::MessageReactionRemove
            | Self::MessageReactionRemoveAll
            | Self::MessageReactionRemoveEmoji => {
                if in_guild {
                    Intents::GUILD_MESSAGE_REACTIONS
                } else {
                    Intents::DIRECT_MESSAGE_REACTIONS
                }
            }
            Self::TypingStart => {
                if in_guild {
                    Intents::GUILD_MESSAGE_TYPING
                } else {
                    Intents::DIRECT_MESSAGE_TYPING
                }
            }
            Self::GuildCreate
            | Self::GuildUpdate
            | Self::GuildDelete
            | Self::GuildRoleCreate
            | Self::GuildRoleUpdate
            | Self::GuildRoleDelete => Intents::GUILDS,
            Self::ChannelCreate | Self::ChannelUpdate | Self::ChannelDelete => {
                if in_guild {
                    Intents::GUILDS
                } else {
                    Intents::NONE
                }
            }
            Self::GuildMemberAdd | Self::GuildMemberUpdate | Self::GuildMemberRemove => {
                Intents::GUILD_MEMBERS
            }
            Self::InviteCreate | Self::InviteDelete => Intents::GUILD_INVITES,
            Self::VoiceStateUpdate => Intents::GUILD_VOICE_STATES,
            Self::PresenceUpdate => Intents::GUILD_PRESENCES,
            Self::UserUpdate
            | Self::VoiceServerUpdate
            | Self::Ready
            | Self::Resumed
            | Self::GuildMembersChunk
            | Self::RateLimited
            | Self::GuildJoined
            | Self::GuildLeft
            | Self::TokenRevoked => Intents::NONE,
        }
    }

    /// Whether a dispatch of it advances `s`: exactly what a resume can replay does.
    pub const fn is_numbered(self) -> bool {
        !matches!(
            self,
            Self::TypingStart
                | Self::PresenceUpdate
                | Self::VoiceServerUpdate
                | Self::RateLimited
                | Self::Resumed
        )
    }

    /// Whether clients see it at all.
    pub const fn is_internal(self) -> bool {
        matches!(self, Self::GuildJoined | Self::GuildLeft | Self::TokenRevoked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_unique_and_round_trip() {
        for (index, kind) in EventKind::ALL.iter().enumerate() {
            assert_eq!(EventKind::from_number(*kind as u32), Some(*kind));
            for other in &EventKind::ALL[index + 1..] {
                assert_ne!(kind.name(), other.name());
            }
        }
    }
}
