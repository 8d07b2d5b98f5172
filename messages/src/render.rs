//! The JSON of messages, with the users as they are now.

use model::emoji::Emoji;
use model::message::MessageObject;
use model::{Member, Message};

use crate::people::Cast;

/// What a message's JSON shows beyond the stored message.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) cast: &'a Cast,
    /// The author as a member, in events.
    pub(crate) member: Option<&'a Member>,
    /// The answered message, as far as it still exists.
    pub(crate) referenced: Option<&'a Message>,
    /// The emoji that the reader reacted with.
    pub(crate) reacted: &'a [Emoji],
}

impl<'a> Scene<'a> {
    pub(crate) fn new(cast: &'a Cast) -> Self {
        Self { cast, member: None, referenced: None, reacted: &[] }
    }

    /// As REST answers show it.
    pub(crate) fn answer(&self, message: &Message) -> Vec<u8> {
        self.json(message, false, false)
    }

    /// As gateway events show it.
    pub(crate) fn event(&self, message: &Message) -> Vec<u8> {
        self.json(message, true, false)
    }

    /// As the event shows it to sessions that may not read content, if that is something else.
    pub(crate) fn event_without_content(&self, message: &Message) -> Option<Vec<u8>> {
        let has_content = |message: &Message| {
            !(message.content.is_empty()
                && message.embeds_json.is_empty()
                && message.components_json.is_empty())
        };
        (has_content(message) || self.referenced.is_some_and(has_content))
            .then(|| self.json(message, true, true))
    }

    fn json(&self, message: &Message, in_event: bool, strip_content: bool) -> Vec<u8> {
        let (author, mentions) = (self.cast.user(message.author_id), self.cast.users(&message.mentions));
        let answered =
            self.referenced.map(|other| (self.cast.user(other.author_id), self.cast.users(&other.mentions)));
        let referenced =
            self.referenced.zip(answered.as_ref()).map(|(other, (author, mentions))| MessageObject {
                message: other,
                author,
                mentions,
                member: None,
                reacted: &[],
                referenced: None,
                strip_content,
                in_event: false,
            });
        let object = MessageObject {
            message,
            author: &author,
            mentions: &mentions,
            member: self.member.filter(|_| in_event),
            reacted: self.reacted,
            referenced: referenced.as_ref(),
            strip_content,
            in_event,
        };
        serde_json::to_vec(&object).expect("a message has a JSON form")
    }
}
