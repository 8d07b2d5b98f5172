//! What changes tell: each event with its JSON, where it goes, and what of it changes who may see what.

use bytes::Bytes;
use model::guild::GuildObject;
use model::user::CurrentUser;
use model::view::{ChannelView, MemberView, ViewChange};
use model::{
    Channel, ChannelId, EventKind, Guild, GuildId, Invite, Member, Permissions, Role, RoleId, Subject, User,
    UserId,
};
use proto::{Envelope, Writer};
use serde::Serialize;
use serde_json::json;
use storage::OutboxEvent;

/// One event before it has an id.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    subject: Subject,
    kind: EventKind,
    data: Bytes,
    guild_id: Option<GuildId>,
    revision: Option<u64>,
    channel_id: Option<ChannelId>,
    user_id: Option<UserId>,
    token_id: Option<u64>,
    view: Option<ViewChange>,
}

/// The JSON of an object of ours.
fn encode(data: &impl Serialize) -> Bytes {
    serde_json::to_vec(data).expect("objects of the model have string keys and no failing fields").into()
}

// === impl Event ===

impl Event {
    fn of_guild(guild: &Guild, kind: EventKind, data: &impl Serialize) -> Self {
        Self {
            subject: Subject::Guild(guild.id),
            kind,
            data: encode(data),
            guild_id: Some(guild.id),
            revision: Some(guild.revision),
            channel_id: None,
            user_id: None,
            token_id: None,
            view: None,
        }
    }

    fn of_user(user: UserId, kind: EventKind, data: &impl Serialize) -> Self {
        Self {
            subject: Subject::User(user),
            kind,
            data: encode(data),
            guild_id: None,
            revision: None,
            channel_id: None,
            user_id: Some(user),
            token_id: None,
            view: None,
        }
    }

    /// An event as somebody else had made it, at another revision of the guild.
    pub(crate) fn again(subject: Subject, event: &Envelope, revision: Option<u64>) -> Self {
        Self {
            subject,
            kind: event.kind,
            data: event.data.clone(),
            guild_id: event.guild_id,
            revision,
            channel_id: event.channel_id,
            user_id: event.user_id,
            token_id: event.token_id,
            view: event.view.clone(),
        }
    }

    /// Whether it goes to a guild; those leave before the ones for users.
    pub(crate) fn is_for_guild(&self) -> bool {
        matches!(self.subject, Subject::Guild(_))
    }

    /// The event as the outbox keeps it.
    pub(crate) fn with_id(self, event_id: u64, writer: Writer) -> OutboxEvent {
        let envelope = Envelope {
            guild_id: self.guild_id,
            revision: self.revision,
            channel_id: self.channel_id,
            user_id: self.user_id,
            token_id: self.token_id,
            view: self.view,
            ..Envelope::new(event_id, self.kind, writer, self.data)
        };
        OutboxEvent { subject: self.subject, event_id, envelope: envelope.encode() }
    }

    // --- Guilds

    pub(crate) fn guild_update(before: UserId, guild: &Guild, roles: &[Role]) -> Self {
        let after = guild.owner_id;
        let view = (before != after).then_some(ViewChange::Owner { before, after });
        Self { view, ..Self::of_guild(guild, EventKind::GuildUpdate, &GuildObject { guild, roles }) }
    }

    pub(crate) fn guild_delete(guild: &Guild) -> Self {
        let event = Self::of_guild(guild, EventKind::GuildDelete, &json!({ "id": guild.id }));
        Self { view: Some(ViewChange::Deleted), ..event }
    }

    /// Tells the user's gateways to open the guild.
    pub(crate) fn guild_joined(guild: &Guild, user: UserId) -> Self {
        let event = Self::of_user(user, EventKind::GuildJoined, &json!({}));
        Self { guild_id: Some(guild.id), revision: Some(guild.revision), ..event }
    }

    pub(crate) fn guild_left(guild: &Guild, user: UserId) -> Self {
        let event = Self::of_user(user, EventKind::GuildLeft, &json!({}));
        Self { guild_id: Some(guild.id), revision: Some(guild.revision), ..event }
    }

    // --- Channels

    pub(crate) fn channel(guild: &Guild, before: Option<&Channel>, after: Option<&Channel>) -> Self {
        let kind = match (before, after) {
            (None, _) => EventKind::ChannelCreate,
            (Some(_), Some(_)) => EventKind::ChannelUpdate,
            (Some(_), None) => EventKind::ChannelDelete,
        };
        let channel = after.or(before).expect("a change of a channel has one");
        let view = ViewChange::Channel {
            id: channel.id,
            before: before.map(ChannelView::from),
            after: after.map(ChannelView::from),
        };
        Self { channel_id: Some(channel.id), view: Some(view), ..Self::of_guild(guild, kind, channel) }
    }

    // --- Roles

    pub(crate) fn role(guild: &Guild, before: Option<Permissions>, role: &Role) -> Self {
        let kind = if before.is_some() { EventKind::GuildRoleUpdate } else { EventKind::GuildRoleCreate };
        let view = ViewChange::Role {
            id: role.id,
            before,
            after: Some(role.permissions),
            mentionable: role.mentionable,
        };
        let data = json!({ "guild_id": guild.id, "role": role });
        Self { view: Some(view), ..Self::of_guild(guild, kind, &data) }
    }

    pub(crate) fn role_delete(guild: &Guild, id: RoleId, before: Permissions) -> Self {
        let view = ViewChange::Role { id, before: Some(before), after: None, mentionable: false };
        let data = json!({ "guild_id": guild.id, "role_id": id });
        Self { view: Some(view), ..Self::of_guild(guild, EventKind::GuildRoleDelete, &data) }
    }

    // --- Members

    pub(crate) fn member(guild: &Guild, before: Option<&Member>, member: &Member) -> Self {
        let kind = if before.is_some() { EventKind::GuildMemberUpdate } else { EventKind::GuildMemberAdd };
        let view = ViewChange::Member {
            id: member.user.id,
            before: before.map(MemberView::from),
            after: Some(MemberView::from(member)),
        };
        let event = Self::of_guild(guild, kind, &member.in_event());
        Self { user_id: Some(member.user.id), view: Some(view), ..event }
    }

    pub(crate) fn member_remove(guild: &Guild, member: &Member) -> Self {
        let id = member.user.id;
        let view = ViewChange::Member { id, before: Some(MemberView::from(member)), after: None };
        let data = json!({ "guild_id": guild.id, "user": member.user });
        let event = Self::of_guild(guild, EventKind::GuildMemberRemove, &data);
        Self { user_id: Some(id), view: Some(view), ..event }
    }

    // --- Invites

    pub(crate) fn invite_create(guild: &Guild, invite: &Invite, inviter: &User) -> Self {
        let data = json!({
            "channel_id": invite.channel_id,
            "code": invite.code,
            "created_at": invite.created_at,
            "guild_id": guild.id,
            "inviter": inviter,
            "max_age": invite.max_age,
            "max_uses": invite.max_uses,
            "temporary": invite.temporary,
            "uses": invite.uses,
            "expires_at": invite.expires_at(),
            "type": 0,
        });
        let event = Self::of_guild(guild, EventKind::InviteCreate, &data);
        Self { channel_id: Some(invite.channel_id), user_id: Some(inviter.id), ..event }
    }

    pub(crate) fn invite_delete(guild: &Guild, invite: &Invite) -> Self {
        let data = json!({ "channel_id": invite.channel_id, "guild_id": guild.id, "code": invite.code });
        let event = Self::of_guild(guild, EventKind::InviteDelete, &data);
        Self { channel_id: Some(invite.channel_id), ..event }
    }

    // --- Users

    pub(crate) fn user_update(user: &User) -> Self {
        Self::of_user(user.id, EventKind::UserUpdate, &CurrentUser::new(user))
    }

    /// The user has opened a private channel.
    pub(crate) fn private_channel_create(user: UserId, channel: &Channel) -> Self {
        Self::private_channel(user, EventKind::ChannelCreate, channel)
    }

    /// The user has closed a private channel.
    pub(crate) fn private_channel_delete(user: UserId, channel: &Channel) -> Self {
        Self::private_channel(user, EventKind::ChannelDelete, channel)
    }

    fn private_channel(user: UserId, kind: EventKind, channel: &Channel) -> Self {
        Self { channel_id: Some(channel.id), ..Self::of_user(user, kind, channel) }
    }

    /// Tells gateways to close the token's sessions.
    pub(crate) fn token_revoked(user: UserId, token_id: u64) -> Self {
        Self { token_id: Some(token_id), ..Self::of_user(user, EventKind::TokenRevoked, &json!({})) }
    }
}
