//! An event as a pod holds it: decoded once, its forms made once, shared by every shard and every ring.

use std::sync::OnceLock;

use bytes::Bytes;
use model::Intents;
use proto::Envelope;

use crate::wire::SharedBody;

/// One event of the backplane.
#[derive(Debug)]
pub struct LiveEvent {
    /// In the partition's stream; 0 for what is never stored.
    pub sequence: u64,
    pub envelope: Envelope,
    full: OnceLock<SharedBody>,
    stripped: OnceLock<SharedBody>,
}

impl LiveEvent {
    pub fn new(sequence: u64, envelope: Envelope) -> Self {
        Self { sequence, envelope, full: OnceLock::new(), stripped: OnceLock::new() }
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
