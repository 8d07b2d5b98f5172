//! Publishes again what earlier epochs stored and perhaps did not publish.
//!
//! What the stream has already is left out. A message is published as it is stored now, so one that was edited before
//! its creation was published is created with its new content; one that was deleted is not published at all.

use std::sync::Arc;

use async_trait::async_trait;
use backplane::Backplane;
use model::clock::SharedClock;
use model::{ChannelId, Message, MessageId, Subject, snowflake};
use proto::{Failure, FailureKind};
use storage::{Lease, Marker, OutboxEvent, Republish, RepublishError, SWEEP_TRIES, Unpublished};

use crate::events::Origin;
use crate::limits::PAGE_LEN;
use crate::people::People;
use crate::render::Scene;
use crate::store::{MessageStore, Page};

/// The publisher of a sweep.
pub(crate) struct Sweeper {
    pub(crate) store: Arc<dyn MessageStore>,
    pub(crate) backplane: Arc<dyn Backplane>,
    pub(crate) clock: SharedClock,
    pub(crate) people: People,
    /// Events that had not been published.
    pub(crate) published: u64,
}

#[async_trait]
impl Republish for Sweeper {
    async fn republish(&mut self, unpublished: Unpublished) -> Result<(), RepublishError> {
        match unpublished {
            Unpublished::Row(row) => {
                for event in row.events {
                    self.publish(event.subject, event.event_id, async |_| Ok(Some(event))).await?;
                }
                Ok(())
            }
            Unpublished::Marker { marker, published_ms } => self.messages(marker, published_ms).await,
        }
    }
}

impl Sweeper {
    async fn messages(&mut self, marker: Marker, published_ms: u64) -> Result<(), RepublishError> {
        let Some(channel) = ChannelId::new(marker.channel) else { return Ok(()) };
        let lease = Lease { set: marker.set, slot: marker.slot, epoch: marker.epoch };
        let end = snowflake::lowest_at(marker.bucket.end_ms());
        let begin = snowflake::lowest_at(published_ms.max(marker.bucket.start_ms()));
        let mut after = MessageId::new(begin.saturating_sub(1).max(1));
        while let Some(from) = after {
            let mut page = self.store.list(channel, Page::After(from), PAGE_LEN).await?;
            after = page.first().map(|message| message.id).filter(|_| page.len() == PAGE_LEN);
            page.reverse();
            for message in page {
                if message.id.get() >= end {
                    return Ok(());
                }
                let Some(guild) = message.guild_id else { continue };
                let subject = Subject::Guild(guild);
                self.publish(subject, message.id.get(), async |sweeper| sweeper.event(lease, &message).await)
                    .await?;
            }
        }
        Ok(())
    }

    /// The event of a message, with its author as they are now.
    async fn event(&self, lease: Lease, message: &Message) -> Result<Option<OutboxEvent>, RepublishError> {
        let Some(guild) = message.guild_id else { return Ok(None) };
        let mut message = message.clone();
        message.reactions.clear();
        let referenced = match &message.reference {
            Some(reference) => self.store.get(message.channel_id, reference.message_id).await?,
            None => None,
        };
        let people = [Some(&message), referenced.as_ref()].into_iter().flatten();
        let people: Vec<_> =
            people.flat_map(|message| message.mentions.iter().copied().chain([message.author_id])).collect();
        let shown = async {
            let cast = self.people.cast(guild, people).await?;
            Ok((cast, self.people.member(guild, message.author_id).await?))
        };
        let (cast, member) = match shown.await {
            Ok(shown) => shown,
            // The guild is gone: nobody may see the message any more.
            Err(Failure { kind: FailureKind::NotFound, .. }) => return Ok(None),
            Err(failure) => return Err(failure.into()),
        };
        let scene = Scene { member: member.as_deref(), referenced: referenced.as_ref(), ..Scene::new(&cast) };
        Ok(Some(Origin { lease, guild, channel: message.channel_id }.create(&message, &scene)))
    }

    /// Publishes an event unless the stream has it; it is made only then.
    async fn publish(
        &mut self,
        subject: Subject,
        event_id: u64,
        event: impl AsyncFnOnce(&Self) -> Result<Option<OutboxEvent>, RepublishError>,
    ) -> Result<(), RepublishError> {
        if self.backplane.contains(subject, event_id).await? {
            return Ok(());
        }
        let Some(OutboxEvent { envelope, .. }) = event(self).await? else { return Ok(()) };
        let again = |attempts| attempts < SWEEP_TRIES;
        backplane::publish(&*self.backplane, &*self.clock, subject, event_id, &envelope, again).await?;
        self.published += 1;
        Ok(())
    }
}
