//! Publishes again what earlier owners stored and perhaps did not publish, and deletes what came too late.
//!
//! What the stream has already it knows by its id; of what is older than that it is asked first. What is published is
//! published as ours: readers take nothing more of an owner who was followed by another. A message is published as it is
//! stored now, so one that was edited before its creation was published is created with its new content; one that was
//! deleted is not published at all.
//!
//! A message that is first seen half a minute after its slot was taken was written by an owner that had lost it: nobody
//! was told that it is there, and it would stand in the history before messages that were published before it. Its channel
//! deletes it as any other: who has read it meanwhile hears of that, and its nonce is free again. A change that came so
//! late leaves its rows as they are; readers drop its events, which are of an older epoch.
//!
//! It is deleted only if it was surely never published. That the stream does not have it shows this as long as the stream
//! has everything since the message was stored ([`Kept`]); if it may have lost something the message stays, and is counted.

use async_trait::async_trait;
use backplane::Kept;
use model::{ChannelId, Message, MessageId, snowflake};
use proto::{Failure, FailureKind};
use storage::{
    Lease, Marker, OutboxEvent, OutboxRow, Republish, RepublishError, SWEEP_TRIES, Scope, Slot, SlotSet,
    Unpublished,
};
use tracing::Span;

use crate::channel::{Change, Op};
use crate::events::Origin;
use crate::limits::PAGE_LEN;
use crate::place::Place;
use crate::render::Scene;
use crate::slots::Slots;
use crate::store::Page;

/// The publisher of a sweep.
pub(crate) struct Sweeper<'a> {
    pub(crate) slots: &'a Slots,
    /// Ours, of what is swept.
    pub(crate) leases: &'a [Lease],
    /// Events that had not been published.
    pub(crate) published: u64,
    /// Messages that came too late.
    pub(crate) removed: u64,
    /// Messages of which nobody knows whether they did.
    pub(crate) unsure: u64,
}

/// What is known of a message that was not seen by the first sweep.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Past {
    Published,
    /// Nobody was told of it.
    Unpublished,
    Unknown,
}

#[async_trait]
impl Republish for Sweeper<'_> {
    async fn republish(&mut self, unpublished: Unpublished) -> Result<(), RepublishError> {
        match unpublished {
            Unpublished::Row(OutboxRow { set, slot, events, .. }) => {
                let lease = self.ours(set, slot)?;
                for event in events {
                    self.publish(lease, &event.written_by(&lease)?).await?;
                }
                Ok(())
            }
            Unpublished::Marker { marker, published_ms } => {
                let lease = self.ours(marker.set, marker.slot)?;
                for message in self.messages(&marker, published_ms).await? {
                    for event in self.events(lease, &message).await? {
                        self.publish(lease, &event).await?;
                    }
                }
                Ok(())
            }
        }
    }

    async fn too_late(&mut self, unpublished: Unpublished) -> Result<(), RepublishError> {
        let Unpublished::Marker { marker, published_ms } = unpublished else { return Ok(()) };
        let lease = self.ours(marker.set, marker.slot)?;
        for message in self.messages(&marker, published_ms).await? {
            let Some(place) = self.place(&message).await? else { continue };
            let event_id = message.id.get();
            // The marker's ten seconds may be our own first ones, and what we have stored then need not be published yet.
            if self.slots.ids.is_of(&lease, event_id)
                || self.slots.seen.has(marker.set, marker.slot, event_id)
            {
                continue;
            }
            match self.past(&marker, place, event_id).await? {
                Past::Unpublished => self.remove(place, &message).await?,
                // One of the two users may lack it.
                Past::Published if matches!(place, Place::Private(_)) => {
                    for event in self.events(lease, &message).await? {
                        self.publish(lease, &event).await?;
                    }
                }
                Past::Published => {}
                Past::Unknown => {
                    let Message { id, channel_id: channel, .. } = message;
                    tracing::warn!(%channel, %id, "nobody knows whether a message was published; it stays");
                    self.unsure += 1;
                }
            }
        }
        Ok(())
    }
}

impl Sweeper<'_> {
    /// What the channel has in the marker's bucket that may not be published, in order of id.
    async fn messages(&self, marker: &Marker, published_ms: u64) -> Result<Vec<Message>, RepublishError> {
        let mut messages = Vec::new();
        let Some(channel) = ChannelId::new(marker.channel) else { return Ok(messages) };
        let end = snowflake::lowest_at(marker.bucket.end_ms());
        let begin = snowflake::lowest_at(published_ms.max(marker.bucket.start_ms()));
        let mut after = MessageId::new(begin.saturating_sub(1).max(1));
        while let Some(from) = after {
            let mut page = self.slots.store.list(channel, Page::After(from), PAGE_LEN).await?;
            after =
                page.first().map(|message| message.id).filter(|id| page.len() == PAGE_LEN && id.get() < end);
            page.reverse();
            messages.extend(page.into_iter().filter(|message| message.id.get() < end));
        }
        Ok(messages)
    }

    /// Our lease of a slot in which something of an earlier owner was found. It is what is published under: readers drop
    /// what is of an older epoch than they have seen, and another owner may have come between that one and us.
    fn ours(&self, set: SlotSet, slot: Slot) -> Result<Lease, RepublishError> {
        let is_of_slot = |lease: &&Lease| (lease.set, lease.slot) == (set, slot);
        Ok(*self.leases.iter().find(is_of_slot).ok_or("it is of a slot that is not swept")?)
    }

    /// What the stream, and the memory of the first sweep, say of a message.
    async fn past(&self, marker: &Marker, place: Place, event_id: u64) -> Result<Past, RepublishError> {
        let Slots { backplane, clock, seen, .. } = self.slots;
        for subject in place.subjects() {
            if backplane.contains(subject, event_id).await? {
                return Ok(Past::Published);
            }
        }
        let stored_ms = snowflake::timestamp_ms(event_id);
        let mut is_sure = seen.is_whole(marker.set, marker.slot);
        for subject in place.subjects() {
            let kept: Kept = backplane.kept(backplane.layout().stream(subject)).await?;
            is_sure &= kept.covers(stored_ms, clock.now_ms());
        }
        Ok(if is_sure { Past::Unpublished } else { Past::Unknown })
    }

    async fn remove(&mut self, place: Place, message: &Message) -> Result<(), RepublishError> {
        let Message { id, channel_id: channel, author_id: actor, .. } = *message;
        tracing::warn!(%channel, %id, "a message came too late and is deleted");
        let op = Op::Delete { ids: vec![id], actor, may_manage: true, bulk: false };
        match self.slots.channels.change(channel, Change { place, op, span: Span::none() }).await {
            Ok(_) => self.removed += 1,
            // Somebody was faster.
            Err(Failure { kind: FailureKind::NotFound, .. }) => {}
            Err(failure) => return Err(failure.into()),
        }
        Ok(())
    }

    /// What the message's channel belongs to, if it is still there.
    async fn place(&self, message: &Message) -> Result<Option<Place>, RepublishError> {
        if let Some(guild) = message.guild_id {
            return Ok(Some(Place::Guild(guild)));
        }
        match self.slots.people.place(message.channel_id).await {
            Ok(place) => Ok(Some(place)),
            Err(Failure { kind: FailureKind::NotFound, .. }) => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    /// The events of a message, with its author as they are now.
    async fn events(&self, lease: Lease, message: &Message) -> Result<Vec<OutboxEvent>, RepublishError> {
        let Some(place) = self.place(message).await? else { return Ok(Vec::new()) };
        let mut message = message.clone();
        message.reactions.clear();
        let referenced = match &message.reference {
            Some(reference) => self.slots.store.get(message.channel_id, reference.message_id).await?,
            None => None,
        };
        let people = [Some(&message), referenced.as_ref()].into_iter().flatten();
        let people: Vec<_> =
            people.flat_map(|message| message.mentions.iter().copied().chain([message.author_id])).collect();
        let shown = async {
            let cast = self.slots.people.cast(place.guild(), people).await?;
            let member = match place {
                Place::Guild(guild) => self.slots.people.member(guild, message.author_id).await?,
                Place::Private(_) => None,
            };
            Ok((cast, member))
        };
        let (cast, member) = match shown.await {
            Ok(shown) => shown,
            // The guild is gone: nobody may see the message any more.
            Err(Failure { kind: FailureKind::NotFound, .. }) => return Ok(Vec::new()),
            Err(failure) => return Err(failure.into()),
        };
        let scene = Scene { member: member.as_deref(), referenced: referenced.as_ref(), ..Scene::new(&cast) };
        Ok(Origin { lease, place, channel: message.channel_id }.create(&message, &scene))
    }

    /// Publishes an event unless the stream has it.
    async fn publish(&mut self, lease: Lease, event: &OutboxEvent) -> Result<(), RepublishError> {
        let OutboxEvent { subject, event_id, envelope } = event;
        let Slots { backplane, clock, store, seen, .. } = self.slots;
        let again = |attempts| attempts < SWEEP_TRIES;
        let is_new = backplane::publish(&**backplane, &**clock, *subject, *event_id, envelope, again).await?;
        self.published += u64::from(is_new);
        // A store that one process alone writes to has no late pass.
        if store.scope() == Scope::Slot {
            seen.note(lease.set, lease.slot, *event_id);
        }
        Ok(())
    }
}
