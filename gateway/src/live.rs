//! An event as a pod holds it: decoded once, its forms made once, shared by every shard and every ring.

use std::sync::OnceLock;

use bytes::Bytes;
use model::Intents;
use proto::Envelope;

use crate::shared_ring::EventRef;
use crate::wire::SharedBody;

/// One event of the backplane.
#[derive(Debug)]
pub struct LiveEvent {
    /// In the partition's stream; 0 for what is never stored.
    pub sequence: u64,
    pub envelope: Envelope,
    place: Option<EventRef>,
    full: OnceLock<SharedBody>,
    stripped: OnceLock<SharedBody>,
}

impl LiveEvent {
    /// One that is stored: `place` is where this pod's shards keep it.
    pub fn stored(sequence: u64, envelope: Envelope, place: EventRef) -> Self {
        Self { place: Some(place), ..Self::ephemeral(sequence, envelope) }
    }

    /// One that is never kept.
    pub fn ephemeral(sequence: u64, envelope: Envelope) -> Self {
        Self { sequence, envelope, place: None, full: OnceLock::new(), stripped: OnceLock::new() }
    }

    /// Where the event is kept, if it is numbered for sessions and stored.
    pub fn place(&self) -> Option<EventRef> {
        self.place.filter(|_| self.envelope.kind.is_numbered())
    }

    /// What keeping it is accounted for: the envelope, and its forms, which are made when it is given to somebody.
    pub fn kept_bytes(&self) -> usize {
        let forms = |data: &Bytes| 2 * data.len() + BODY_BYTES;
        let envelope = &self.envelope;
        let stripped = envelope.data_without_content.as_ref().map_or(0, forms);
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

    /// Whether there is a form without content beside the full one.
    pub fn has_content(&self) -> bool {
        self.envelope.data_without_content.is_some()
    }

    pub fn full(&self) -> &SharedBody {
        self.full.get_or_init(|| self.body(&self.envelope.data))
    }

    /// The form for sessions without the MESSAGE_CONTENT intent; the full one where content plays no part.
    pub fn without_content(&self) -> &SharedBody {
        match &self.envelope.data_without_content {
            Some(data) => self.stripped.get_or_init(|| self.body(data)),
            None => self.full(),
        }
    }

    fn body(&self, data: &Bytes) -> SharedBody {
        SharedBody::json(self.envelope.kind.name(), data)
    }
}

/// An event without its JSON: itself, its counters, the encoded rest of the envelope, what the allocator adds.
const EVENT_BYTES: usize = size_of::<LiveEvent>() + 128;
/// A form without its JSON.
const BODY_BYTES: usize = 128;
