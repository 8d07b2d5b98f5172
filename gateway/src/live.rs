//! An event as a pod holds it: decoded once, each of its forms made once, shared by every shard and every ring.

use bytes::Bytes;
use model::Intents;
use proto::Envelope;

use crate::made::{Content, Forms};
use crate::shared_ring::EventRef;

/// One event of the backplane.
#[derive(Debug)]
pub struct LiveEvent {
    /// In the partition's stream; 0 for what is never stored.
    pub sequence: u64,
    pub envelope: Envelope,
    place: Option<EventRef>,
    /// How many forms keeping it is accounted for.
    forms: u8,
    full: Forms,
    /// For events of which content is a part.
    stripped: Option<Box<Forms>>,
}

impl LiveEvent {
    /// One that is stored: `place` is where this pod's shards keep it.
    pub fn stored(sequence: u64, envelope: Envelope, place: EventRef) -> Self {
        Self { place: Some(place), ..Self::ephemeral(sequence, envelope) }
    }

    /// One that is never kept.
    pub fn ephemeral(sequence: u64, envelope: Envelope) -> Self {
        let stripped = envelope.data_without_content.is_some().then(Box::default);
        Self { sequence, envelope, place: None, forms: 1, full: Forms::default(), stripped }
    }

    /// The same where connections have so many forms.
    pub(crate) fn in_forms(self, forms: u8) -> Self {
        Self { forms, ..self }
    }

    /// Where the event is kept, if it is numbered for sessions and stored.
    pub fn place(&self) -> Option<EventRef> {
        self.place.filter(|_| self.envelope.kind.is_numbered())
    }

    /// What keeping it is accounted for: the envelope, and its forms, which are made when it is given to somebody. ETF is
    /// a little longer than JSON, what is compressed is shorter; each counts as JSON does.
    pub fn kept_bytes(&self) -> usize {
        let count = usize::from(self.forms);
        let forms = |data: &Bytes| data.len() + count * (data.len() + BODY_BYTES);
        let envelope = &self.envelope;
        let stripped =
            envelope.data_without_content.as_ref().map_or(0, |data| forms(data) + size_of::<Forms>());
        EVENT_BYTES + forms(&envelope.data) + stripped + envelope.mentions.len() * size_of::<u64>()
    }

    /// Whether a snapshot of this revision, at this last sequence of the guild's subject, did not have it yet.
    pub fn is_after(&self, revision: u64, sequence: u64) -> bool {
        match self.envelope.revision {
            Some(newer) => newer > revision,
            None => self.sequence == 0 || self.sequence > sequence,
        }
    }

    /// The intent that a session needs to get it.
    pub fn intent(&self) -> Intents {
        self.envelope.kind.intent(self.envelope.guild_id.is_some())
    }

    /// Whether there is less to be shown without content.
    pub fn has_content(&self) -> bool {
        self.envelope.data_without_content.is_some()
    }

    pub(crate) fn full(&self) -> Content<'_> {
        Content { t: self.envelope.kind.name(), d: &self.envelope.data, made: &self.full }
    }

    /// What sessions without the MESSAGE_CONTENT intent are shown; all of it where content plays no part.
    pub(crate) fn without_content(&self) -> Content<'_> {
        match (&self.envelope.data_without_content, &self.stripped) {
            (Some(data), Some(made)) => Content { t: self.envelope.kind.name(), d: data, made },
            _ => self.full(),
        }
    }
}

/// An event without its JSON: itself, its counters, the encoded rest of the envelope, what the allocator adds.
const EVENT_BYTES: usize = size_of::<LiveEvent>() + 128;
/// A form without its JSON.
const BODY_BYTES: usize = 128;

#[cfg(test)]
mod tests {
    use model::EventKind;
    use proto::Writer;

    use super::*;
    use crate::encoder::Encoder;
    use crate::form::Form;

    #[test]
    fn what_it_is_accounted_for_covers_every_form() {
        let data = format!(r#"{{"content":"{}","flags":[1,2,3],"tts":false}}"#, "hello world ".repeat(60));
        let writer = Writer { set: 1, slot: 0, epoch: 1 };
        let mut envelope = Envelope::new(1, EventKind::MessageCreate, writer, data.clone());
        envelope.data_without_content = Some(data.into());
        let event = LiveEvent::ephemeral(0, envelope);
        let (full, stripped) = (event.full(), event.without_content());
        assert_ne!(std::ptr::from_ref(full.made), std::ptr::from_ref(stripped.made));
        let mut encoder = Encoder::default();
        let mut held = full.d.len() + stripped.d.len();
        for (count, form) in (1..).zip([Form::Json, Form::JsonZlib, Form::JsonZstd, Form::Etf, Form::EtfZlib])
        {
            held += full.body(form, &mut encoder).frame_len() + stripped.body(form, &mut encoder).frame_len();
            let accounted = LiveEvent::ephemeral(0, event.envelope.clone()).in_forms(count).kept_bytes();
            assert!((held..held * 5).contains(&accounted), "{form:?}: {accounted} for {held}");
        }
    }
}
