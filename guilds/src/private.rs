//! Private channels: one for each two users, for ever.
//!
//! Who owns the slot of the lower id makes the channel of a pair, closes it and opens it again, so two users who open it at
//! once, wherever that is, get the same one. What the pair's row names is the channel: one that an owner made who had lost
//! the slot is left with rows and without a pair, and counts for nobody.
//!
//! Users close a channel for themselves. That is a mark, above which a message opens it again: nobody has to write for
//! that. Who has not opened it yet has the lowest mark.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use model::limits::PRIVATE_CHANNELS_MAX;
use model::{Channel, ChannelId, MessageId, Pair, User, UserId};
use proto::convert::{id, optional_id};
use proto::failure::{FailureKind, code};
use proto::{Failure, Malformed, v1};
use storage::SlotSet;

use crate::accounts::Accounts;
use crate::changes::Draft;
use crate::directory::Directory;
use crate::events::Event;
use crate::state::unknown_channel;
use crate::store::{DirectoryStore, PrivatePlace, StoreError, Write};

/// Which of two users does something with their channel.
#[derive(Debug, Clone, Copy)]
struct Side {
    pair: Pair,
    user: UserId,
    other: UserId,
}

impl Side {
    fn new(lower: u64, higher: u64, user: u64) -> Result<Self, Failure> {
        let (lower, higher): (UserId, UserId) = (id("lower_id", lower)?, id("higher_id", higher)?);
        let user = id("user_id", user)?;
        if lower == higher {
            return Err(cannot_message_user());
        }
        // The slot was chosen by what stands in the field.
        let pair = Pair::new(lower, higher).filter(|pair| pair.lower() == lower);
        let pair = pair.ok_or(Malformed::new("lower_id", "it is above higher_id"))?;
        let other = pair.other(user).ok_or(Malformed::new("user_id", "it is none of the two users"))?;
        Ok(Self { pair, user, other })
    }

    fn place(self, channel: ChannelId, closed_at: Option<MessageId>) -> PrivatePlace {
        PrivatePlace { user: self.user, channel, other: self.other, closed_at }
    }

    fn others_place(self, channel: ChannelId) -> PrivatePlace {
        Self { user: self.other, other: self.user, ..self }.place(channel, Some(lowest()))
    }
}

impl Accounts {
    pub(crate) async fn open_private(
        self: &Arc<Self>,
        request: v1::OpenPrivateChannelRequest,
    ) -> Result<Channel, Failure> {
        let side = Side::new(request.lower_id, request.higher_id, request.user_id)?;
        let accounts = self.clone();
        self.run(async move {
            let _pair = accounts.users.lock(&[side.pair.lower().get()]).await;
            accounts.open(side).await
        })
        .await
    }

    async fn open(&self, side: Side) -> Result<Channel, Failure> {
        let store = &self.changes.store;
        // What is read counts only in this epoch.
        let lease = self.changes.lease(SlotSet::Users, side.pair.lower().get())?;
        let user = self.user(side.user).await?;
        let other = store.user(side.other).await?.ok_or_else(invalid_recipients)?;
        if user.bot && other.bot {
            return Err(cannot_message_user());
        }
        let mut draft = Draft::default();
        let channel = match store.private_channel_of(side.pair).await? {
            Some(channel) => channel,
            None => {
                let channel = self.changes.ledger.next_id();
                draft.writes.push(Write::PutPrivateChannel(channel, side.pair));
                draft.writes.push(Write::PutPrivatePlace(side.others_place(channel)));
                channel
            }
        };
        let shown = Channel::private(channel, vec![other]);
        let place = store.private_place(side.user, channel).await?;
        if place.is_none_or(|place| place.closed_at.is_some()) {
            draft.writes.push(Write::PutPrivatePlace(side.place(channel, None)));
            // Bots are not told of their private channels.
            draft.events.extend((!user.bot).then(|| Event::private_channel_create(user.id, &shown)));
        }
        if !draft.is_empty() {
            let stored = self.changes.store(&lease, draft).await?;
            self.changes.publish(stored).await?;
        }
        Ok(shown)
    }

    pub(crate) async fn close_private(
        self: &Arc<Self>,
        request: v1::ClosePrivateChannelRequest,
    ) -> Result<Channel, Failure> {
        let side = Side::new(request.lower_id, request.higher_id, request.user_id)?;
        let closed_at = optional_id(request.last_message_id).unwrap_or_else(lowest);
        let accounts = self.clone();
        self.run(async move {
            let _pair = accounts.users.lock(&[side.pair.lower().get()]).await;
            accounts.close(side, closed_at).await
        })
        .await
    }

    async fn close(&self, side: Side, closed_at: MessageId) -> Result<Channel, Failure> {
        let store = &self.changes.store;
        let lease = self.changes.lease(SlotSet::Users, side.pair.lower().get())?;
        let user = self.user(side.user).await?;
        let channel = store.private_channel_of(side.pair).await?.ok_or_else(unknown_channel)?;
        let shown = Channel::private(channel, vec![known(side.other, store.user(side.other).await?)]);
        let mut draft = Draft::default();
        draft.writes.push(Write::PutPrivatePlace(side.place(channel, Some(closed_at))));
        draft.events.extend((!user.bot).then(|| Event::private_channel_delete(user.id, &shown)));
        let stored = self.changes.store(&lease, draft).await?;
        self.changes.publish(stored).await?;
        Ok(shown)
    }
}

impl Directory {
    /// A private channel: with the other user for one of the two, with both without a reader, and for nobody else.
    pub(crate) async fn private_channel(
        &self,
        channel: ChannelId,
        reader: Option<UserId>,
    ) -> Result<Channel, Failure> {
        let pair = self.users_of(channel).await?.ok_or_else(unknown_channel)?;
        let shown = match reader {
            None => pair.users().to_vec(),
            Some(reader) => vec![pair.other(reader).ok_or_else(Failure::missing_access)?],
        };
        let mut recipients = Vec::with_capacity(shown.len());
        for user in shown {
            recipients.push(known(user, self.changes.store.user(user).await?));
        }
        Ok(Channel::private(channel, recipients))
    }

    /// What is told to somebody who wants to do with a private channel what can be done to a guild's alone.
    pub(crate) async fn refuse_private(&self, channel: ChannelId, actor: UserId) -> Failure {
        match self.users_of(channel).await {
            Ok(Some(pair)) if pair.other(actor).is_some() => Failure::not_in_private(),
            Ok(Some(_)) => Failure::missing_access(),
            Ok(None) => unknown_channel(),
            Err(failure) => failure,
        }
    }

    async fn users_of(&self, channel: ChannelId) -> Result<Option<Pair>, Failure> {
        let Some(pair) = self.changes.store.private_channel(channel).await? else { return Ok(None) };
        let is_theirs = self.changes.store.private_channel_of(pair).await? == Some(channel);
        Ok(is_theirs.then_some(pair))
    }

    pub(crate) async fn list_private_channels(
        &self,
        request: v1::ListPrivateChannelsRequest,
    ) -> Result<v1::ListPrivateChannelsReply, Failure> {
        let store = &self.changes.store;
        let places = store.private_places(id("user_id", request.user_id)?, PRIVATE_CHANNELS_MAX).await?;
        let shown: Vec<_> = places.into_iter().map(|place| private_channel_at(&**store, place)).collect();
        let shown: Vec<Option<v1::PrivateChannel>> =
            stream::iter(shown).buffered(READS_AT_ONCE).try_collect().await?;
        Ok(v1::ListPrivateChannelsReply { channels: shown.into_iter().flatten().collect() })
    }
}

/// The channel as the user has it there, if it is the pair's.
async fn private_channel_at(
    store: &dyn DirectoryStore,
    place: PrivatePlace,
) -> Result<Option<v1::PrivateChannel>, StoreError> {
    let Some(pair) = Pair::new(place.user, place.other) else { return Ok(None) };
    if store.private_channel_of(pair).await? != Some(place.channel) {
        return Ok(None);
    }
    let other = known(place.other, store.user(place.other).await?);
    let channel = Channel::private(place.channel, vec![other]);
    Ok(Some(v1::PrivateChannel {
        channel: Some((&channel).into()),
        closed_at: place.closed_at.map(u64::from),
    }))
}

/// The mark below every message.
fn lowest() -> MessageId {
    MessageId::new(1).expect("it is not 0")
}

fn known(id: UserId, found: Option<User>) -> User {
    found.unwrap_or_else(|| User::new(id, "deleted_user", false))
}

fn cannot_message_user() -> Failure {
    let message = "Cannot send messages to this user";
    Failure::new(FailureKind::Forbidden, code::CANNOT_MESSAGE_USER, message)
}

fn invalid_recipients() -> Failure {
    Failure::new(FailureKind::Invalid, code::INVALID_RECIPIENTS, "Invalid Recipient(s)")
}

/// Channels of one list that are read at one time.
const READS_AT_ONCE: usize = 32;
