//! Where a channel is, and who does something there: a member in a guild, or one of two users between themselves.

use std::sync::Arc;

use model::{GuildId, Member, Pair, Subject, User};
use proto::Failure;

/// What a channel belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Guild(GuildId),
    Private(Pair),
}

/// Who does something in a channel.
#[derive(Debug, Clone)]
pub(crate) enum Person {
    Member(Arc<Member>),
    User(Arc<User>),
}

impl Place {
    pub(crate) fn guild(self) -> Option<GuildId> {
        match self {
            Self::Guild(guild) => Some(guild),
            Self::Private(_) => None,
        }
    }

    /// Where an event of the channel is published.
    pub(crate) fn subjects(self) -> impl Iterator<Item = Subject> {
        let subjects = match self {
            Self::Guild(guild) => [Some(Subject::Guild(guild)), None],
            Self::Private(pair) => pair.users().map(|user| Some(Subject::User(user))),
        };
        subjects.into_iter().flatten()
    }

    /// What somebody is told who may see the channel and not do this.
    pub(crate) fn forbidden(self) -> Failure {
        match self {
            Self::Guild(_) => Failure::missing_permissions(),
            Self::Private(_) => Failure::not_in_private(),
        }
    }
}

impl Person {
    pub(crate) fn user(&self) -> &User {
        match self {
            Self::Member(member) => &member.user,
            Self::User(user) => user,
        }
    }

    /// As events of guilds show them.
    pub(crate) fn member(&self) -> Option<&Arc<Member>> {
        match self {
            Self::Member(member) => Some(member),
            Self::User(_) => None,
        }
    }
}
