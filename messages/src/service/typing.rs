//! Typing: told to whoever listens just now, and never stored.

use backplane::Ephemeral;
use model::{ChannelId, Permissions, UserId};
use proto::convert::id;
use proto::{Failure, v1};
use storage::{Slot, SlotSet};
use tokio::time::Instant;

use super::Messages;
use crate::channel::not_owner;
use crate::events::Origin;
use crate::limits::TYPING_EVERY;
use crate::place::Place;

impl Messages {
    pub(super) async fn type_in(&self, request: v1::StartTypingRequest) -> Result<(), Failure> {
        let channel: ChannelId = id("channel_id", request.channel_id)?;
        let user: UserId = id("user_id", request.user_id)?;
        let access = self.access(channel, user, &[]).await?;
        if !access.channel.kind.has_messages() {
            return Err(super::no_text_channel());
        }
        access.require(Permissions::SEND_MESSAGES)?;
        if !self.is_due(channel, user) {
            return Ok(());
        }
        let shared = &self.inner.shared;
        let lease = shared.leases.lease(SlotSet::Channels, Slot::of(channel.get()));
        let lease = lease.map_err(|error| not_owner(&error))?;
        let origin = Origin { lease, place: access.place, channel };
        let envelope = origin.typing(shared.ids.next(), &access.person, shared.ids.now_ms() / 1000);
        match access.place {
            Place::Guild(guild) => {
                let subject = Ephemeral { guild, channel: Some(channel) };
                shared.backplane.publish_ephemeral(subject, envelope);
            }
            Place::Private(pair) => {
                pair.users().into_iter().for_each(|user| shared.backplane.tell_user(user, envelope.clone()));
            }
        }
        shared.stats.typings.add(1);
        Ok(())
    }

    /// Whether the user's typing was last told long enough ago.
    fn is_due(&self, channel: ChannelId, user: UserId) -> bool {
        let mut typists = self.inner.typists.lock();
        let key = (channel, user);
        if typists.get(&key).is_some_and(|last| last.elapsed() < TYPING_EVERY) {
            return false;
        }
        typists.insert(key, Instant::now());
        true
    }
}
