//! Channels as actors: one task per channel that is in use, behind a queue.
//!
//! The actor is what makes the order of a channel. It gives ids, and everything that it writes leaves through one
//! pipeline: stores run concurrently, publishes follow in the order of ids, one at a time. It ends when nobody needed it
//! for a while; who comes next starts it anew from what is stored.

mod actor;
mod certain;
mod change;
mod create;
mod limiter;
mod load;
mod nonces;
mod staged;

use std::collections::HashMap;
use std::sync::Arc;

use backplane::Backplane;
use bytes::Bytes;
use model::emoji::Emoji;
use model::limits::CHANNEL_QUEUE_MAX;
use model::{ChannelId, Member, Message, MessageId, UserId};
use parking_lot::Mutex;
use proto::{Failure, v1};
use storage::{Leases, Ledger};
use tasks::Spawner;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tracing::Span;

use crate::config::RateLimitConfig;
use crate::limits::RETRY_MS;
use crate::mentions::Mentions;
use crate::people::Cast;
use crate::place::{Person, Place};
use crate::stats::Stats;
use crate::store::{MessageStore, StoreError};

/// What all actors use.
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn MessageStore>,
    pub(crate) backplane: Arc<dyn Backplane>,
    pub(crate) leases: Arc<dyn Leases>,
    pub(crate) ids: Arc<Ledger>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) rate_limit: RateLimitConfig,
}

/// The channels that are in use.
pub(crate) struct Channels {
    shared: Arc<Shared>,
    /// Sent to and taken from under the lock, so an actor that ends never leaves a command behind.
    queues: Mutex<HashMap<ChannelId, mpsc::Sender<Command>>>,
    tasks: Spawner,
}

/// What an actor is asked to do.
pub(crate) enum Command {
    Create(Box<Draft>, Reply<Created>),
    Change(Box<Change>, Reply<Changed>),
}

pub(crate) type Reply<T> = oneshot::Sender<Result<T, Failure>>;

/// A message that was checked and has no id yet.
pub(crate) struct Draft {
    pub(crate) place: Place,
    /// Its id means nothing.
    pub(crate) message: Message,
    pub(crate) author: Person,
    pub(crate) cast: Cast,
    pub(crate) referenced: Option<Message>,
    pub(crate) enforce_nonce: bool,
    /// `None`: the author needs not wait.
    pub(crate) slow_mode: Option<SlowMode>,
    /// What the request's trace has of it.
    pub(crate) span: Span,
}

/// How long the author waits between two messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SlowMode {
    pub(crate) secs: u32,
    /// The author's last message as the store knows it.
    pub(crate) last_sent: Option<MessageId>,
}

/// A message that is stored and published.
#[derive(Debug, Clone)]
pub(crate) struct Created {
    pub(crate) id: MessageId,
    /// The answer's JSON; `None` when it has to be read again.
    pub(crate) json: Option<Bytes>,
    pub(crate) rate_limit: Option<v1::RateLimit>,
    pub(crate) repeated: bool,
    /// It was found in the store: who made it may have lost the slot before, and then it is perhaps not published.
    pub(crate) is_restored: bool,
}

/// A change of messages that are there.
pub(crate) struct Change {
    pub(crate) place: Place,
    pub(crate) op: Op,
    /// What the request's trace has of it.
    pub(crate) span: Span,
}

pub(crate) enum Op {
    Edit(Box<Edit>),
    Delete {
        ids: Vec<MessageId>,
        actor: UserId,
        may_manage: bool,
        bulk: bool,
    },
    React {
        message: MessageId,
        emoji: Emoji,
        person: Person,
        /// Otherwise only an emoji that is there already.
        may_add: bool,
    },
    Unreact {
        message: MessageId,
        emoji: Emoji,
        user: UserId,
    },
    ClearReactions {
        message: MessageId,
        emoji: Option<Emoji>,
    },
}

/// New parts of a message; absent ones stay.
pub(crate) struct Edit {
    pub(crate) id: MessageId,
    pub(crate) editor: UserId,
    /// Otherwise the message must be the editor's.
    pub(crate) may_edit_others: bool,
    /// The message's author, if they are a member.
    pub(crate) author: Option<Arc<Member>>,
    pub(crate) content: Option<String>,
    pub(crate) mentions: Option<Mentions>,
    pub(crate) embeds_json: Option<String>,
    pub(crate) components_json: Option<String>,
    /// As they were asked for.
    pub(crate) flags: Option<u32>,
    pub(crate) cast: Cast,
    pub(crate) referenced: Option<Message>,
}

/// The answer's JSON, if there is one.
pub(crate) type Changed = Option<Bytes>;

impl Channels {
    pub(crate) fn new(shared: Arc<Shared>, tasks: Spawner) -> Arc<Self> {
        Arc::new(Self { shared, queues: Mutex::default(), tasks })
    }

    /// Stores and publishes a message.
    pub(crate) async fn create(self: &Arc<Self>, draft: Draft) -> Result<Created, Failure> {
        let (reply, answer) = oneshot::channel();
        self.send(draft.message.channel_id, Command::Create(Box::new(draft), reply))?;
        answer.await.unwrap_or_else(|_| Err(unknown_outcome()))
    }

    /// Stores and publishes a change.
    pub(crate) async fn change(
        self: &Arc<Self>,
        channel: ChannelId,
        change: Change,
    ) -> Result<Changed, Failure> {
        let (reply, answer) = oneshot::channel();
        self.send(channel, Command::Change(Box::new(change), reply))?;
        answer.await.unwrap_or_else(|_| Err(unknown_outcome()))
    }

    /// Actors that take commands.
    pub(crate) fn len(&self) -> usize {
        self.queues.lock().len()
    }

    fn send(self: &Arc<Self>, channel: ChannelId, command: Command) -> Result<(), Failure> {
        let mut queues = self.queues.lock();
        if self.tasks.is_stopping() {
            return Err(Failure::unavailable("the message service is shutting down: try again", RETRY_MS));
        }
        let command = match queues.get(&channel) {
            None => command,
            Some(queue) => match queue.try_send(command) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(_)) => {
                    self.shared.stats.overloaded.add(1);
                    return Err(overloaded());
                }
                // Its actor has ended by a panic.
                Err(TrySendError::Closed(command)) => command,
            },
        };
        self.start(&mut queues, channel, command);
        Ok(())
    }

    fn start(
        self: &Arc<Self>,
        queues: &mut HashMap<ChannelId, mpsc::Sender<Command>>,
        channel: ChannelId,
        command: Command,
    ) {
        let (queue, commands) = mpsc::channel(CHANNEL_QUEUE_MAX);
        if queue.try_send(command).is_ok() {
            queues.insert(channel, queue);
            let channels = Arc::clone(self);
            self.shared.stats.channels_started.add(1);
            self.tasks.spawn(async move {
                let _ended = Ended(&channels.shared);
                actor::run(&channels, channel, commands).await;
            });
        }
    }

    /// Ends a channel's actor unless a command waits. Afterwards nothing more comes from `commands`.
    fn retire(&self, channel: ChannelId, commands: &mpsc::Receiver<Command>) -> bool {
        let mut queues = self.queues.lock();
        let is_idle = commands.is_empty();
        if is_idle {
            queues.remove(&channel);
        }
        is_idle
    }

    /// Takes the channel's actor out of use; what waits comes from `commands` still.
    fn remove(&self, channel: ChannelId) {
        self.queues.lock().remove(&channel);
    }
}

/// Counts an actor that has ended, also by a panic.
struct Ended<'a>(&'a Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.stats.channels_ended.add(1);
    }
}

impl Command {
    fn refuse(self, failure: Failure) {
        // An error means that the caller has gone.
        let _ = match self {
            Self::Create(_, reply) => reply.send(Err(failure)).map_err(|_| ()),
            Self::Change(_, reply) => reply.send(Err(failure)).map_err(|_| ()),
        };
    }
}

fn overloaded() -> Failure {
    Failure::unavailable("too much is happening in this channel, nothing was done: try again", RETRY_MS)
}

/// What a failure of the store is for a caller.
pub(crate) fn store_failure(error: &StoreError) -> Failure {
    tracing::error!(%error, "message store failed");
    match error {
        StoreError::Unknown => unknown_outcome(),
        StoreError::Unavailable(_) => {
            Failure::unavailable("messages can't be stored or read now: try again", RETRY_MS)
        }
        StoreError::Refused(_) => Failure::internal("the message store does not take this, nothing was done"),
        StoreError::Corrupt { .. } => Failure::internal("a stored message is damaged"),
    }
}

/// What a caller is told who has come to the wrong replica. Nothing was done.
pub(crate) fn not_owner(error: &storage::NotOwner) -> Failure {
    Failure::not_owner(error.set, error.slot, error.owner.as_deref().map(str::to_owned))
}

/// Nobody knows whether it was done, or it was done and must not be told.
pub(crate) fn unknown_outcome() -> Failure {
    let message = "not confirmed in time, outcome unknown: try again with the same nonce";
    Failure::unavailable(message, RETRY_MS)
}
