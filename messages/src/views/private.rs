//! Private channels: of two users, who may do everything there that needs no office. Nothing of that ever changes.

use model::view::ChannelView;
use model::{ChannelKind, Pair, Permissions, UserId};
use proto::Failure;

use super::{Access, Views};
use crate::place::{Person, Place};

impl Views {
    /// What the user may do in the private channel of these two.
    pub(super) async fn private_access(&self, pair: Pair, user: UserId) -> Result<Access, Failure> {
        pair.other(user).ok_or_else(Failure::missing_access)?;
        let user = self.people.user(user).await?.ok_or_else(Failure::missing_access)?;
        let channel =
            ChannelView { kind: ChannelKind::Direct, overwrites: Vec::new(), rate_limit_per_user: 0 };
        Ok(Access {
            place: Place::Private(pair),
            channel,
            permissions: permissions(),
            person: Person::User(user),
            roles: Vec::new(),
        })
    }
}

fn permissions() -> Permissions {
    Permissions::VIEW_CHANNEL
        | Permissions::SEND_MESSAGES
        | Permissions::SEND_TTS_MESSAGES
        | Permissions::READ_MESSAGE_HISTORY
        | Permissions::ADD_REACTIONS
        | Permissions::EMBED_LINKS
        | Permissions::ATTACH_FILES
}
