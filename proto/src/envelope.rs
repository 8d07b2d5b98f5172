//! The envelope: one event as it travels on the backplane.
//!
//! A writer makes it once; a reader decodes it once and never parses the JSON in it. The version is checked before
//! anything else: version N reads N−1 and N+1, fields being added only with numbers that were never used.

use bytes::Bytes;
use model::view::ViewChange;
use model::{ChannelId, EventKind, GuildId, UserId};
use prost::Message as _;

use crate::convert::{Malformed, id, ids, numbers, optional_id, required};
use crate::{trace, v1};

/// The version that is written.
pub const VERSION: u32 = 1;

/// Who wrote an event: the owner of a slot in one of its epochs. Readers drop what comes from an epoch below the highest
/// that they have seen for the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Writer {
    /// The number of the slot set: 1 channels, 2 guilds, 3 users; 0 for who owns no slots.
    pub set: u8,
    pub slot: u16,
    pub epoch: u64,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub event_id: u64,
    pub kind: EventKind,
    pub writer: Writer,
    pub guild_id: Option<GuildId>,
    /// On directory events: the guild's revision.
    pub revision: Option<u64>,
    pub channel_id: Option<ChannelId>,
    /// The user whom it concerns.
    pub user_id: Option<UserId>,
    pub mentions: Vec<UserId>,
    /// The JSON of the event's `d`.
    pub data: Bytes,
    /// Where it differs: the JSON for sessions without the MESSAGE_CONTENT intent.
    pub data_without_content: Option<Bytes>,
    pub view: Option<ViewChange>,
    pub traceparent: String,
    /// On TOKEN_REVOKED.
    pub token_id: Option<u64>,
    /// On the first half of a voice move: where the user went.
    pub moved_to: Option<ChannelId>,
}

impl Envelope {
    /// An event with its JSON, in the trace in which it is made, and nothing else set.
    pub fn new(event_id: u64, kind: EventKind, writer: Writer, data: impl Into<Bytes>) -> Self {
        Self {
            event_id,
            kind,
            writer,
            guild_id: None,
            revision: None,
            channel_id: None,
            user_id: None,
            mentions: Vec::new(),
            data: data.into(),
            data_without_content: None,
            view: None,
            traceparent: trace::current(),
            token_id: None,
            moved_to: None,
        }
    }

    pub fn encode(&self) -> Bytes {
        let writer = v1::Writer {
            set: self.writer.set.into(),
            slot: self.writer.slot.into(),
            epoch: self.writer.epoch,
        };
        let envelope = v1::Envelope {
            version: VERSION,
            event_id: self.event_id,
            kind: self.kind as u32,
            writer: Some(writer),
            guild_id: self.guild_id.map(u64::from),
            revision: self.revision,
            channel_id: self.channel_id.map(u64::from),
            user_id: self.user_id.map(u64::from),
            mentions: numbers(&self.mentions),
            data: self.data.clone(),
            data_without_content: self.data_without_content.clone().unwrap_or_default(),
            view: self.view.as_ref().map(Into::into),
            traceparent: self.traceparent.clone(),
            token_id: self.token_id,
            moved_to: self.moved_to.map(u64::from),
        };
        envelope.encode_to_vec().into()
    }

    /// Decodes without copying the JSON.
    pub fn decode(bytes: Bytes) -> Result<Self, EnvelopeError> {
        let envelope = v1::Envelope::decode(bytes)?;
        if !(VERSION - 1..=VERSION + 1).contains(&envelope.version) {
            return Err(EnvelopeError::Version(envelope.version));
        }
        let kind = EventKind::from_number(envelope.kind).ok_or(EnvelopeError::UnknownKind(envelope.kind))?;
        let writer = required("envelope.writer", envelope.writer)?;
        let stripped = envelope.data_without_content;
        Ok(Self {
            event_id: id::<()>("envelope.event_id", envelope.event_id)?.get(),
            kind,
            writer: Writer {
                set: u8::try_from(writer.set).map_err(|_| Malformed::new("writer.set", "no such set"))?,
                slot: u16::try_from(writer.slot)
                    .map_err(|_| Malformed::new("writer.slot", "no such slot"))?,
                epoch: writer.epoch,
            },
            guild_id: optional_id(envelope.guild_id),
            revision: envelope.revision,
            channel_id: optional_id(envelope.channel_id),
            user_id: optional_id(envelope.user_id),
            mentions: ids("envelope.mentions", &envelope.mentions)?,
            data: envelope.data,
            data_without_content: (!stripped.is_empty()).then_some(stripped),
            view: envelope.view.map(TryInto::try_into).transpose()?,
            traceparent: envelope.traceparent,
            token_id: envelope.token_id,
            moved_to: optional_id(envelope.moved_to),
        })
    }
}

/// What arrived is no event that this version can take.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EnvelopeError {
    #[error("envelope has version {0}, this binary reads {min} to {max}: finish the rolling upgrade one version at a time", min = VERSION - 1, max = VERSION + 1)]
    Version(u32),
    #[error("envelope has the unknown event kind {0}")]
    UnknownKind(u32),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("not an envelope: {0}")]
    Decode(#[from] prost::DecodeError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::view::MemberView;
    use proptest::prelude::*;

    fn sample() -> Envelope {
        let writer = Writer { set: 2, slot: 1023, epoch: 7 };
        let mut envelope = Envelope::new(99, EventKind::GuildMemberUpdate, writer, r#"{"a":1}"#);
        envelope.guild_id = GuildId::new(5);
        envelope.revision = Some(12);
        envelope.moved_to = ChannelId::new(4);
        envelope.user_id = UserId::new(6);
        envelope.mentions = vec![UserId::new(8).unwrap()];
        envelope.data_without_content = Some(Bytes::from_static(b"{}"));
        let before = Some(MemberView { roles: vec![model::RoleId::new(3).unwrap()], timed_out_until: None });
        let after = Some(MemberView { roles: vec![], timed_out_until: Some(model::Timestamp::from_ms(10)) });
        envelope.view = Some(ViewChange::Member { id: UserId::new(6).unwrap(), before, after });
        envelope
    }

    #[test]
    fn round_trip() {
        assert_eq!(Envelope::decode(sample().encode()), Ok(sample()));
    }

    #[test]
    fn a_version_from_the_future_is_refused_by_name() {
        let raw = v1::Envelope { version: VERSION + 2, ..v1::Envelope::default() };
        assert_eq!(Envelope::decode(raw.encode_to_vec().into()), Err(EnvelopeError::Version(VERSION + 2)));
    }

    proptest! {
        #[test]
        fn garbage_is_an_error_and_never_a_panic(bytes: Vec<u8>) {
            let _ = Envelope::decode(bytes.into());
        }
    }
}
