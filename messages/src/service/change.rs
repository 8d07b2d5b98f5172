//! Edits, deletes and reactions: what is checked before the channel's actor has them.

use model::emoji::Emoji;
use model::{ChannelId, Message, MessageId, Permissions, Timestamp, UserId};
use proto::convert::{id, ids, required};
use proto::failure::code;
use proto::{Failure, FailureKind, v1};
use tasks::fail_point::reach;
use tracing::Span;

use super::{Messages, unknown_message, within_deadline};
use crate::channel::{Change, Changed, Edit, Op};
use crate::content;
use crate::limits::{BULK_DELETE_AGE_MS, BULK_DELETE_MAX};
use crate::mentions::Mentions;
use crate::place::Place;
use crate::views::Access;

impl Messages {
    pub(super) async fn edit(&self, request: v1::EditMessageRequest) -> Result<v1::MessageReply, Failure> {
        reach("messages.change_received");
        let channel: ChannelId = id("channel_id", request.channel_id)?;
        let message_id: MessageId = id("message_id", request.message_id)?;
        let editor: UserId = id("editor_id", request.editor_id)?;
        let in_content = request.content.as_deref().map(Mentions::parse);
        let components = request.components_json.as_deref();
        let in_components = components.map(|components| Mentions::parse(&content::texts(components)));
        let roles =
            in_content.iter().chain(&in_components).flat_map(|mentions| mentions.roles.iter().copied());
        let access = self.access(channel, editor, &roles.collect::<Vec<_>>()).await?;
        let message = self.stored(channel, message_id).await?.ok_or_else(unknown_message)?;
        let flags = request.flags.map_or(message.flags, |flags| content::edited_flags(message.flags, flags));
        if message.author_id == editor {
            let text = request.content.as_deref().unwrap_or(&message.content);
            let embeds = request.embeds_json.as_deref().unwrap_or(&message.embeds_json);
            self.check_content(text, embeds, components.unwrap_or(&message.components_json))?;
            content::check_flags(flags, text, embeds)?;
        }
        let mentions = in_components.filter(|_| content::is_of_components(flags)).or(in_content);
        let edit = self.prepare(request, mentions, &access, &message).await?;
        let change = Change { place: access.place, op: Op::Edit(Box::new(edit)), span: Span::current() };
        let json = within_deadline(self.inner.channels.change(channel, change)).await?;
        Ok(v1::MessageReply { message_json: json.unwrap_or_default() })
    }

    /// The edit with everybody whom the edited message shows.
    async fn prepare(
        &self,
        request: v1::EditMessageRequest,
        mut mentions: Option<Mentions>,
        access: &Access,
        message: &Message,
    ) -> Result<Edit, Failure> {
        let people = &self.inner.views.people;
        let referenced = self.answered(message).await?;
        let allowed = request.allowed_mentions.as_ref();
        if let Some(mentions) = &mut mentions {
            mentions.roles.retain(|role| access.roles.contains(role));
            mentions.limit(allowed);
            mentions.everyone &= access.may(Permissions::MENTION_EVERYONE);
            if let Some(referenced) = &referenced
                && message.mentions.contains(&referenced.author_id)
            {
                mentions.add_replied(referenced.author_id, allowed);
            }
        }
        let author = match access.place {
            _ if message.author_id == access.person.user().id => access.person.member().cloned(),
            Place::Guild(guild) => people.member(guild, message.author_id).await?,
            Place::Private(_) => None,
        };
        let shown = mentions.as_ref().map_or(&message.mentions, |mentions| &mentions.users);
        let answered =
            referenced.iter().flat_map(|message| message.mentions.iter().copied().chain([message.author_id]));
        let shown: Vec<_> = shown.iter().copied().chain(answered).chain([message.author_id]).collect();
        let cast = people.cast(access.place.guild(), shown).await?;
        if let Some(mentions) = &mut mentions {
            mentions.users.retain(|id| cast.get(*id).is_some());
        }
        let is_of_flags = request.content.is_none()
            && request.embeds_json.is_none()
            && request.components_json.is_none()
            && request.flags.is_some();
        Ok(Edit {
            id: message.id,
            editor: access.person.user().id,
            may_edit_others: is_of_flags && access.may(Permissions::MANAGE_MESSAGES),
            author,
            content: request.content,
            mentions,
            embeds_json: request.embeds_json.map(content::stored),
            components_json: request.components_json.map(content::stored),
            flags: request.flags,
            cast,
            referenced,
        })
    }

    pub(super) async fn delete(&self, request: v1::DeleteMessagesRequest) -> Result<(), Failure> {
        let channel: ChannelId = id("channel_id", request.channel_id)?;
        let actor: UserId = id("actor_id", request.actor_id)?;
        let mut messages: Vec<MessageId> = ids("message_ids", &request.message_ids)?;
        messages.sort_unstable();
        messages.dedup();
        let access = self.access(channel, actor, &[]).await?;
        if request.bulk {
            access.require(Permissions::MANAGE_MESSAGES)?;
            self.check_bulk(&messages)?;
        } else if messages.len() != 1 {
            return Err(Failure::invalid_field(
                "message_ids",
                "BASE_TYPE_BAD_LENGTH",
                "Must be 1 in length.",
            ));
        }
        let may_manage = access.may(Permissions::MANAGE_MESSAGES);
        let op = Op::Delete { ids: messages, actor, may_manage, bulk: request.bulk };
        self.change(channel, &access, op).await.map(|_| ())
    }

    pub(super) async fn react(&self, request: v1::ReactionRequest) -> Result<(), Failure> {
        let channel: ChannelId = id("channel_id", request.channel_id)?;
        let message: MessageId = id("message_id", request.message_id)?;
        let user: UserId = id("user_id", request.user_id)?;
        let emoji = emoji(request.emoji)?;
        let access = self.access(channel, user, &[]).await?;
        access.require(Permissions::READ_MESSAGE_HISTORY)?;
        let now_ms = self.inner.shared.ids.now_ms();
        let timed_out_until = access.person.member().and_then(|member| member.communication_disabled_until);
        let is_timed_out = timed_out_until.is_some_and(|end| Timestamp::from_ms(now_ms) < end);
        if is_timed_out && !access.may(Permissions::ADMINISTRATOR) {
            return Err(Failure::missing_permissions());
        }
        let may_add = access.may(Permissions::ADD_REACTIONS);
        let op = Op::React { message, emoji, person: access.person.clone(), may_add };
        self.change(channel, &access, op).await.map(|_| ())
    }

    pub(super) async fn unreact(&self, request: v1::RemoveReactionsRequest) -> Result<(), Failure> {
        let channel: ChannelId = id("channel_id", request.channel_id)?;
        let message: MessageId = id("message_id", request.message_id)?;
        let actor: UserId = id("actor_id", request.actor_id)?;
        let emoji = request.emoji.map(|wire| emoji(Some(wire))).transpose()?;
        let user = request.user_id.map(|user| id("user_id", user)).transpose()?;
        let access = self.access(channel, actor, &[]).await?;
        let op = match (user, emoji) {
            (Some(user), Some(emoji)) => Op::Unreact { message, emoji, user },
            (Some(_), None) => {
                let text = "A user's reactions are removed by emoji.";
                return Err(Failure::invalid_field("emoji", "BASE_TYPE_REQUIRED", text));
            }
            (None, emoji) => Op::ClearReactions { message, emoji },
        };
        if user != Some(actor) {
            access.require(Permissions::MANAGE_MESSAGES)?;
        }
        self.change(channel, &access, op).await.map(|_| ())
    }

    async fn change(&self, channel: ChannelId, access: &Access, op: Op) -> Result<Changed, Failure> {
        let change = Change { place: access.place, op, span: Span::current() };
        within_deadline(self.inner.channels.change(channel, change)).await
    }

    fn check_bulk(&self, messages: &[MessageId]) -> Result<(), Failure> {
        if !(2..=BULK_DELETE_MAX).contains(&messages.len()) {
            let text = format!(
                "Provided too few or too many messages to delete. Must provide 2 to {BULK_DELETE_MAX}."
            );
            return Err(Failure::new(FailureKind::Invalid, code::BULK_DELETE_COUNT, text));
        }
        let oldest_ms = self.inner.shared.ids.now_ms().saturating_sub(BULK_DELETE_AGE_MS);
        if messages.iter().any(|id| id.created_at_ms() < oldest_ms) {
            let text = "A message provided was too old to bulk delete";
            return Err(Failure::new(FailureKind::Invalid, code::BULK_DELETE_TOO_OLD, text));
        }
        Ok(())
    }
}

/// The emoji of a request, if it is one.
pub(super) fn emoji(wire: Option<v1::Emoji>) -> Result<Emoji, Failure> {
    let emoji = Emoji::from(required("emoji", wire)?);
    let parsed: Result<Emoji, _> = emoji.to_string().parse();
    parsed.map_err(|_| Failure::unknown(code::UNKNOWN_EMOJI, "Emoji"))
}
