//! Private channels: what a session hears of them beside their events.
//!
//! A client knows the channels that READY had and those that it was told of since. Who opens one is told so by the
//! directory; whom a first message comes from is not. So before a message of a channel that a person's client does not
//! know goes a CHANNEL_CREATE, which shows the message's author: there is nobody else in it. Bots are not told of their
//! private channels, as in the protocol.

use std::sync::Arc;

use model::{Channel, ChannelId, EventKind};
use proto::convert::{numbers, open_private_channels};
use proto::{Failure, v1};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;
use tracing::warn;

use super::Shard;
use crate::audience::SessionKey;
use crate::live::LiveEvent;
use crate::made::Fresh;
use crate::services::Services;
use crate::session::About;

/// What of a message says whom it is from.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    author: &'a RawValue,
}

impl Shard {
    /// Takes an event that a session is about to be given, and is in no guild.
    pub(super) fn note_private(&mut self, key: SessionKey, event: &Arc<LiveEvent>) {
        let Some(channel) = event.envelope.channel_id else { return };
        let Some(slot) = self.sessions.get_mut(key).filter(|slot| !slot.session.profile.is_bot) else {
            return;
        };
        match event.envelope.kind {
            EventKind::ChannelCreate => slot.session.private.insert(channel),
            EventKind::ChannelDelete => slot.session.private.remove(channel),
            EventKind::MessageCreate
                if !slot.session.private.has(channel)
                    && event.envelope.user_id != Some(slot.session.profile.user_id) =>
            {
                let Some(created) = channel_create(channel, event) else { return };
                slot.session.private.insert(channel);
                self.give_own(key, &created, About::User);
            }
            _ => {}
        }
    }
}

/// The CHANNEL_CREATE of a channel with the author of this message.
fn channel_create(channel: ChannelId, event: &LiveEvent) -> Option<Fresh> {
    let message: Message<'_> = serde_json::from_slice(&event.envelope.data).ok()?;
    let author = serde_json::to_value(message.author).ok()?;
    let object =
        json!({"id": channel, "type": 1, "flags": 0, "last_message_id": null, "recipients": [author]});
    Some(Fresh::new(EventKind::ChannelCreate.name(), object.to_string().as_bytes()))
}

/// Those of a person's private channels that are open.
pub(super) async fn open_ones(
    services: &Services,
    channels: Vec<v1::PrivateChannel>,
) -> Result<Vec<Channel>, Failure> {
    if channels.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<ChannelId> = channels
        .iter()
        .filter_map(|private| private.channel.as_ref().and_then(|channel| ChannelId::new(channel.id)))
        .collect();
    let request = v1::LastMessageIdsRequest { channel_ids: numbers(&ids) };
    let newest = match services.messages.clone().last_message_ids(request).await {
        Ok(reply) => reply.into_inner().message_ids,
        // Without them those are missing that only a message has opened; it opens them again.
        Err(status) => {
            warn!(%status, "private channels are shown without their last messages");
            Default::default()
        }
    };
    open_private_channels(channels, &newest).map_err(Failure::from)
}
