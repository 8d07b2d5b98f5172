//! Reading messages: with authors and mentioned users as they are now, asked for once per page.

use std::collections::HashMap;

use model::limits::{MESSAGE_LIST_DEFAULT, MESSAGE_LIST_MAX};
use model::{ChannelId, ChannelKind, Message, MessageId, Permissions, UserId};
use proto::convert::{id, optional_id};
use proto::{Failure, v1};

use super::{Messages, change, unknown_message};
use crate::channel::store_failure;
use crate::limits::REACTORS_PER_PAGE_MAX;
use crate::render::Scene;
use crate::store::Page;
use crate::views::Access;

impl Messages {
    pub(super) async fn get(&self, request: v1::GetMessageRequest) -> Result<v1::MessageReply, Failure> {
        let channel: ChannelId = id("channel_id", request.channel_id)?;
        let message: MessageId = id("message_id", request.message_id)?;
        let reader: UserId = id("reader_id", request.reader_id)?;
        let access = self.access(channel, reader, &[]).await?;
        require_entry(&access)?;
        access.require(Permissions::READ_MESSAGE_HISTORY)?;
        let message = self.stored(channel, message).await?.ok_or_else(unknown_message)?;
        Ok(v1::MessageReply { message_json: self.show(&message, reader).await?.into() })
    }

    pub(super) async fn list(
        &self,
        request: v1::ListMessagesRequest,
    ) -> Result<v1::ListMessagesReply, Failure> {
        let channel: ChannelId = id("channel_id", request.channel_id)?;
        let reader: UserId = id("reader_id", request.reader_id)?;
        let page = page(&request)?;
        let limit = match request.limit {
            0 => MESSAGE_LIST_DEFAULT,
            1..=MESSAGE_LIST_MAX => request.limit,
            _ => {
                let text = format!("Value should be less than or equal to {MESSAGE_LIST_MAX}.");
                return Err(Failure::invalid_field("limit", "NUMBER_TYPE_MAX", text));
            }
        };
        let access = self.access(channel, reader, &[]).await?;
        if !access.channel.kind.has_messages() {
            return Err(super::no_text_channel());
        }
        require_entry(&access)?;
        if !access.may(Permissions::READ_MESSAGE_HISTORY) {
            return Ok(v1::ListMessagesReply { messages_json: "[]".into() });
        }
        let messages = self.inner.shared.store.list(channel, page, limit as usize).await;
        let shown = self.show_all(&messages.map_err(|error| store_failure(&error))?, reader).await?;
        let mut json = Vec::with_capacity(shown.iter().map(|message| message.len() + 1).sum::<usize>() + 2);
        json.push(b'[');
        json.extend(shown.join(&b','));
        json.push(b']');
        Ok(v1::ListMessagesReply { messages_json: json.into() })
    }

    pub(super) async fn reactors(
        &self,
        request: v1::ListReactionsRequest,
    ) -> Result<v1::ListReactionsReply, Failure> {
        let channel: ChannelId = id("channel_id", request.channel_id)?;
        let message: MessageId = id("message_id", request.message_id)?;
        let reader: UserId = id("reader_id", request.reader_id)?;
        let emoji = change::emoji(request.emoji)?;
        let access = self.access(channel, reader, &[]).await?;
        require_entry(&access)?;
        access.require(Permissions::READ_MESSAGE_HISTORY)?;
        self.stored(channel, message).await?.ok_or_else(unknown_message)?;
        let limit = match request.limit {
            0 => 25,
            limit => limit.min(REACTORS_PER_PAGE_MAX),
        };
        let after = optional_id(request.after);
        let users = self.inner.shared.store.reactors(channel, message, &emoji, after, limit as usize).await;
        let users = users.map_err(|error| store_failure(&error))?;
        let cast = self.inner.views.people.cast(access.place.guild(), users.iter().copied()).await?;
        Ok(v1::ListReactionsReply { users: proto::convert::wire(&cast.users(&users)) })
    }

    /// A message's JSON for a reader.
    pub(super) async fn show(&self, message: &Message, reader: UserId) -> Result<Vec<u8>, Failure> {
        let mut shown = self.show_all(std::slice::from_ref(message), reader).await?;
        Ok(shown.pop().unwrap_or_default())
    }

    /// The message that this one answers, if it is still there.
    pub(super) async fn answered(&self, message: &Message) -> Result<Option<Message>, Failure> {
        match &message.reference {
            Some(reference) => self.stored(message.channel_id, reference.message_id).await,
            None => Ok(None),
        }
    }

    pub(super) async fn stored(&self, channel: ChannelId, id: MessageId) -> Result<Option<Message>, Failure> {
        self.inner.shared.store.get(channel, id).await.map_err(|error| store_failure(&error))
    }

    /// The JSON of messages of one channel.
    async fn show_all(&self, messages: &[Message], reader: UserId) -> Result<Vec<Vec<u8>>, Failure> {
        let Some(first) = messages.first() else { return Ok(Vec::new()) };
        let mut answered: HashMap<MessageId, Message> = HashMap::new();
        for message in messages {
            if let Some(other) = self.answered(message).await? {
                answered.insert(other.id, other);
            }
        }
        let people = messages
            .iter()
            .chain(answered.values())
            .flat_map(|message| message.mentions.iter().copied().chain([message.author_id]));
        let cast = self.inner.views.people.cast(first.guild_id, people.collect::<Vec<_>>()).await?;
        let mut shown = Vec::with_capacity(messages.len());
        for message in messages {
            let emoji: Vec<_> = message.reactions.iter().map(|reaction| reaction.emoji.clone()).collect();
            let store = &self.inner.shared.store;
            let reacted = store.reacted(message.channel_id, message.id, reader, &emoji).await;
            let reacted = reacted.map_err(|error| store_failure(&error))?;
            let referenced =
                message.reference.as_ref().and_then(|reference| answered.get(&reference.message_id));
            let scene = Scene { referenced, reacted: &reacted, ..Scene::new(&cast) };
            shown.push(scene.answer(message));
        }
        Ok(shown)
    }
}

/// 0 is before everything, as 1 is.
fn bound(number: u64) -> MessageId {
    MessageId::new(number.max(1)).expect("it is at least 1")
}

/// Whoever may not enter a voice channel does not read what is written there.
fn require_entry(access: &Access) -> Result<(), Failure> {
    let is_barred = access.channel.kind == ChannelKind::Voice && !access.may(Permissions::CONNECT);
    if is_barred { Err(Failure::missing_access()) } else { Ok(()) }
}

fn page(request: &v1::ListMessagesRequest) -> Result<Page, Failure> {
    let (before, after, around) = (request.before, request.after, request.around);
    if [before, after, around].into_iter().flatten().count() > 1 {
        let text = "Only one of around, before and after may be given.";
        return Err(Failure::invalid_field("before", "BASE_TYPE_CONFLICT", text));
    }
    Ok(match (before, after, around) {
        (Some(before), ..) => Page::Before(bound(before)),
        (_, Some(after), _) => Page::After(bound(after)),
        (.., Some(around)) => Page::Around(bound(around)),
        _ => Page::Newest,
    })
}
