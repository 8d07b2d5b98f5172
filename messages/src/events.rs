//! The events of messages: each one's JSON and envelope are made here, once. In a private channel the same event, with
//! the same id, goes to each of the two users.

use bytes::Bytes;
use model::emoji::Emoji;
use model::{ChannelId, EventKind, Message, MessageId, UserId};
use proto::Envelope;
use serde_json::{Value, json};
use storage::{Lease, OutboxEvent};

use crate::place::{Person, Place};
use crate::render::Scene;

/// Where events are from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    pub(crate) lease: Lease,
    pub(crate) place: Place,
    pub(crate) channel: ChannelId,
}

/// One user's reaction to a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reaction<'a> {
    pub(crate) message: MessageId,
    pub(crate) user: UserId,
    pub(crate) emoji: &'a Emoji,
}

impl Origin {
    pub(crate) fn create(&self, message: &Message, scene: &Scene<'_>) -> Vec<OutboxEvent> {
        self.whole(message.id.get(), EventKind::MessageCreate, message, scene)
    }

    pub(crate) fn update(&self, event_id: u64, message: &Message, scene: &Scene<'_>) -> Vec<OutboxEvent> {
        self.whole(event_id, EventKind::MessageUpdate, message, scene)
    }

    pub(crate) fn delete(&self, event_id: u64, message: MessageId) -> Vec<OutboxEvent> {
        let data = json!({ "id": message, "channel_id": self.channel });
        self.event(event_id, EventKind::MessageDelete, None, data)
    }

    pub(crate) fn delete_bulk(&self, event_id: u64, messages: &[MessageId]) -> Vec<OutboxEvent> {
        let data = json!({ "ids": messages, "channel_id": self.channel });
        self.event(event_id, EventKind::MessageDeleteBulk, None, data)
    }

    pub(crate) fn reaction_add(
        &self,
        event_id: u64,
        reaction: Reaction<'_>,
        author: UserId,
        person: &Person,
    ) -> Vec<OutboxEvent> {
        let mut data = self.reaction(reaction);
        if let Some(member) = person.member() {
            data["member"] = json!(**member);
        }
        data["message_author_id"] = json!(author);
        self.event(event_id, EventKind::MessageReactionAdd, Some(reaction.user), data)
    }

    pub(crate) fn reaction_remove(&self, event_id: u64, reaction: Reaction<'_>) -> Vec<OutboxEvent> {
        let data = self.reaction(reaction);
        self.event(event_id, EventKind::MessageReactionRemove, Some(reaction.user), data)
    }

    /// All reactions of a message are gone, or all with one emoji.
    pub(crate) fn reactions_clear(
        &self,
        event_id: u64,
        message: MessageId,
        emoji: Option<&Emoji>,
    ) -> Vec<OutboxEvent> {
        let mut data = json!({ "channel_id": self.channel, "message_id": message });
        let Some(emoji) = emoji else {
            return self.event(event_id, EventKind::MessageReactionRemoveAll, None, data);
        };
        data["emoji"] = json!(emoji);
        self.event(event_id, EventKind::MessageReactionRemoveEmoji, None, data)
    }

    /// Typing is never stored: only its envelope is made.
    pub(crate) fn typing(&self, event_id: u64, person: &Person, unix_secs: u64) -> Bytes {
        let user = person.user().id;
        let mut data = json!({ "channel_id": self.channel, "user_id": user, "timestamp": unix_secs });
        if let Some(member) = person.member() {
            data["member"] = json!(**member);
        }
        let mut envelope = self.envelope(event_id, EventKind::TypingStart, self.placed(data));
        envelope.user_id = Some(user);
        envelope.encode()
    }

    fn whole(
        &self,
        event_id: u64,
        kind: EventKind,
        message: &Message,
        scene: &Scene<'_>,
    ) -> Vec<OutboxEvent> {
        let mut envelope = self.envelope(event_id, kind, scene.event(message).into());
        // What is said to somebody privately is theirs to read.
        if let Place::Guild(_) = self.place {
            envelope.data_without_content = scene.event_without_content(message).map(Into::into);
        }
        envelope.user_id = Some(message.author_id);
        envelope.mentions.clone_from(&message.mentions);
        self.outbox(&envelope)
    }

    fn reaction(&self, reaction: Reaction<'_>) -> Value {
        json!({
            "user_id": reaction.user,
            "channel_id": self.channel,
            "message_id": reaction.message,
            "emoji": reaction.emoji,
            "burst": false,
            "type": 0,
        })
    }

    fn event(&self, event_id: u64, kind: EventKind, user: Option<UserId>, data: Value) -> Vec<OutboxEvent> {
        let mut envelope = self.envelope(event_id, kind, self.placed(data));
        envelope.user_id = user;
        self.outbox(&envelope)
    }

    /// With the guild, if there is one.
    fn placed(&self, mut data: Value) -> Bytes {
        if let Some(guild) = self.place.guild() {
            data["guild_id"] = json!(guild);
        }
        serde_json::to_vec(&data).expect("a JSON value has a text").into()
    }

    fn envelope(&self, event_id: u64, kind: EventKind, data: Bytes) -> Envelope {
        let mut envelope = Envelope::new(event_id, kind, self.lease.writer(), data);
        envelope.guild_id = self.place.guild();
        envelope.channel_id = Some(self.channel);
        envelope
    }

    fn outbox(&self, envelope: &Envelope) -> Vec<OutboxEvent> {
        let (event_id, envelope) = (envelope.event_id, envelope.encode());
        let event = |subject| OutboxEvent { subject, event_id, envelope: envelope.clone() };
        self.place.subjects().map(event).collect()
    }
}
