//! The events of messages: each one's JSON and envelope are made here, once.

use bytes::Bytes;
use model::emoji::Emoji;
use model::{ChannelId, EventKind, GuildId, Member, Message, MessageId, Subject, UserId};
use proto::envelope::EnvelopeError;
use proto::{Envelope, Writer};
use serde_json::{Value, json};
use storage::{Lease, OutboxEvent};

use crate::render::Scene;

/// Where events are from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) lease: Lease,
    pub(crate) guild: GuildId,
    pub(crate) channel: ChannelId,
}

/// One user's reaction to a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reaction<'a> {
    pub(crate) message: MessageId,
    pub(crate) user: UserId,
    pub(crate) emoji: &'a Emoji,
}

/// The same event, published under another lease than it was made under.
pub(crate) fn written_by(lease: Lease, event: OutboxEvent) -> Result<OutboxEvent, EnvelopeError> {
    let envelope = Envelope { writer: writer(lease), ..Envelope::decode(event.envelope)? };
    Ok(OutboxEvent { envelope: envelope.encode(), ..event })
}

fn writer(Lease { set, slot, epoch }: Lease) -> Writer {
    Writer { set: set.code(), slot: slot.get(), epoch: epoch.0 }
}

impl Origin {
    pub(crate) fn create(&self, message: &Message, scene: &Scene<'_>) -> OutboxEvent {
        self.whole(message.id.get(), EventKind::MessageCreate, message, scene)
    }

    pub(crate) fn update(&self, event_id: u64, message: &Message, scene: &Scene<'_>) -> OutboxEvent {
        self.whole(event_id, EventKind::MessageUpdate, message, scene)
    }

    pub(crate) fn delete(&self, event_id: u64, message: MessageId) -> OutboxEvent {
        let data = json!({ "id": message, "channel_id": self.channel, "guild_id": self.guild });
        self.event(event_id, EventKind::MessageDelete, None, &data)
    }

    pub(crate) fn delete_bulk(&self, event_id: u64, messages: &[MessageId]) -> OutboxEvent {
        let data = json!({ "ids": messages, "channel_id": self.channel, "guild_id": self.guild });
        self.event(event_id, EventKind::MessageDeleteBulk, None, &data)
    }

    pub(crate) fn reaction_add(
        &self,
        event_id: u64,
        reaction: Reaction<'_>,
        author: UserId,
        member: &Member,
    ) -> OutboxEvent {
        let mut data = self.reaction(reaction);
        data["member"] = json!(member);
        data["message_author_id"] = json!(author);
        self.event(event_id, EventKind::MessageReactionAdd, Some(reaction.user), &data)
    }

    pub(crate) fn reaction_remove(&self, event_id: u64, reaction: Reaction<'_>) -> OutboxEvent {
        let data = self.reaction(reaction);
        self.event(event_id, EventKind::MessageReactionRemove, Some(reaction.user), &data)
    }

    /// All reactions of a message are gone, or all with one emoji.
    pub(crate) fn reactions_clear(
        &self,
        event_id: u64,
        message: MessageId,
        emoji: Option<&Emoji>,
    ) -> OutboxEvent {
        let mut data = json!({ "channel_id": self.channel, "message_id": message, "guild_id": self.guild });
        let Some(emoji) = emoji else {
            return self.event(event_id, EventKind::MessageReactionRemoveAll, None, &data);
        };
        data["emoji"] = json!(emoji);
        self.event(event_id, EventKind::MessageReactionRemoveEmoji, None, &data)
    }

    /// Typing is never stored: only its envelope is made.
    pub(crate) fn typing(&self, event_id: u64, member: &Member, unix_secs: u64) -> Bytes {
        let data = json!({
            "channel_id": self.channel,
            "guild_id": self.guild,
            "user_id": member.user.id,
            "timestamp": unix_secs,
            "member": member,
        });
        self.event(event_id, EventKind::TypingStart, Some(member.user.id), &data).envelope
    }

    fn whole(&self, event_id: u64, kind: EventKind, message: &Message, scene: &Scene<'_>) -> OutboxEvent {
        let mut envelope = self.envelope(event_id, kind, scene.event(message).into());
        envelope.data_without_content = scene.event_without_content(message).map(Into::into);
        envelope.user_id = Some(message.author_id);
        envelope.mentions.clone_from(&message.mentions);
        self.outbox(&envelope)
    }

    fn reaction(&self, reaction: Reaction<'_>) -> Value {
        json!({
            "user_id": reaction.user,
            "channel_id": self.channel,
            "message_id": reaction.message,
            "guild_id": self.guild,
            "emoji": reaction.emoji,
            "burst": false,
            "type": 0,
        })
    }

    fn event(&self, event_id: u64, kind: EventKind, user: Option<UserId>, data: &Value) -> OutboxEvent {
        let data = serde_json::to_vec(data).expect("a JSON value has a text");
        let mut envelope = self.envelope(event_id, kind, data.into());
        envelope.user_id = user;
        self.outbox(&envelope)
    }

    fn envelope(&self, event_id: u64, kind: EventKind, data: Bytes) -> Envelope {
        let mut envelope = Envelope::new(event_id, kind, writer(self.lease), data);
        envelope.guild_id = Some(self.guild);
        envelope.channel_id = Some(self.channel);
        envelope
    }

    fn outbox(&self, envelope: &Envelope) -> OutboxEvent {
        let subject = Subject::Guild(self.guild);
        OutboxEvent { subject, event_id: envelope.event_id, envelope: envelope.encode() }
    }
}
