//! One channel's task.
//!
//! ```text
//! commands → checks, id → stores (concurrent) → publish (in order of id, one at a time) → answer
//! ```
//!
//! Changes of messages that are there (edits, deletes, reactions) are stored in one write at a time: while one is under
//! way the next ones gather, and then go together. So each sees what the one before made, however many react at once.
//!
//! A publish that fails is repeated in place, for ever: what is behind it would otherwise overtake it. Who waits is told
//! after `PUBLISH_WAIT` that the outcome is unknown, and new sends are refused until it has gone through.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, StreamExt};
use model::limits::{ACTOR_IDLE_MS, CHANNEL_QUEUE_MAX};
use model::{ChannelId, MessageId, UserId};
use proto::{Failure, v1};
use storage::{Bucket, Lease, Open};
use tasks::fail_point::reach;
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::change::{self, Group};
use super::create::{self, Pending};
use super::limiter::Limiter;
use super::load::{self, Loaded};
use super::nonces::{Found, Key, Nonces};
use super::staged::{Answer, ChangeAnswer, ChangesAnswer, CreateAnswer, Staged, publish};
use super::{
    Change, Changed, Channels, Command, Created, Draft, Reply, Shared, SlowMode, not_owner, overloaded,
    unknown_outcome,
};
use crate::limits::{CHANGES_PER_WRITE_MAX, PUBLISH_WAIT};

/// Runs until the channel is idle or the service stops.
pub(super) async fn run(channels: &Channels, channel: ChannelId, mut commands: mpsc::Receiver<Command>) {
    match load::load(&channels.shared, channel).await {
        Ok(loaded) => Actor::new(channels, channel, loaded).run(commands).await,
        Err(failure) => {
            channels.remove(channel);
            while let Some(command) = commands.recv().await {
                command.refuse(failure.clone());
            }
        }
    }
}

struct Actor<'a> {
    channels: &'a Channels,
    shared: &'a Arc<Shared>,
    channel: ChannelId,
    lease: Lease,
    nonces: Nonces,
    limiter: Limiter,
    /// The newest bucket whose marker is stored.
    marked: Option<Bucket>,
    stores: FuturesOrdered<BoxFuture<'static, Staged>>,
    /// Changes that wait for the write before them.
    changes: VecDeque<(Change, Reply<Changed>)>,
    is_changing: bool,
    stored: VecDeque<Staged>,
    head: Option<Head>,
}

/// What is being published.
struct Head {
    staged: Staged,
    publish: BoxFuture<'static, bool>,
    waits_until: Instant,
    is_stalled: bool,
}

impl<'a> Actor<'a> {
    fn new(channels: &'a Channels, channel: ChannelId, loaded: Loaded) -> Self {
        let shared = &channels.shared;
        Self {
            channels,
            shared,
            channel,
            lease: loaded.lease,
            nonces: loaded.nonces,
            limiter: Limiter::new(shared.rate_limit),
            marked: None,
            stores: FuturesOrdered::new(),
            changes: VecDeque::new(),
            is_changing: false,
            stored: VecDeque::new(),
            head: None,
        }
    }

    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let idle = Duration::from_millis(ACTOR_IDLE_MS);
        let mut idle_at = Instant::now() + idle;
        let mut is_open = true;
        // The slot goes to another replica.
        let end = self.shared.leases.end_of(&self.lease);
        loop {
            self.begin_changes();
            self.begin_publish();
            if !is_open && self.is_quiet() {
                return;
            }
            let stalls_at = self.head.as_ref().filter(|head| !head.is_stalled).map(|head| head.waits_until);
            tokio::select! {
                biased;
                () = either(self.channels.tasks.stop_token(), &end), if is_open => {
                    is_open = false;
                    self.channels.remove(self.channel);
                    commands.close();
                    while let Ok(command) = commands.try_recv() {
                        self.take(command);
                    }
                }
                is_published = published(&mut self.head) => self.published(is_published),
                Some(staged) = self.stores.next() => self.stored(staged),
                () = until(stalls_at) => self.stall(),
                command = commands.recv(), if is_open && self.has_room() => match command {
                    Some(command) => {
                        idle_at = Instant::now() + idle;
                        self.take(command);
                    }
                    None => is_open = false,
                },
                () = sleep_until(idle_at), if is_open && self.is_quiet() => {
                    if self.channels.retire(self.channel, &commands) {
                        return;
                    }
                    idle_at = Instant::now() + idle;
                }
            }
        }
    }

    fn take(&mut self, command: Command) {
        if self.is_stalled() {
            return command.refuse(overloaded());
        }
        if let Err(error) = self.shared.leases.check(&self.lease) {
            return command.refuse(not_owner(&error));
        }
        match command {
            Command::Create(draft, reply) => self.create(*draft, reply),
            Command::Change(change, reply) => self.changes.push_back((*change, reply)),
        }
    }

    fn create(&mut self, draft: Draft, reply: Reply<Created>) {
        let author = draft.message.author_id;
        let now_ms = self.shared.ids.now_ms();
        self.nonces.expire(now_ms);
        let key = draft.message.nonce.clone().map(|nonce| (author, nonce));
        let enforced = key.as_ref().filter(|_| draft.enforce_nonce);
        let Some(reply) = self.unless_repeated(enforced, reply) else { return };
        let rate_limit = match self.limit(author, draft.slow_mode, now_ms) {
            Ok(rate_limit) => rate_limit,
            Err(failure) => {
                self.shared.stats.rate_limited.add(1);
                return answer(reply, Err(failure));
            }
        };
        let open = match self.shared.ids.begin(&self.lease) {
            Ok(open) => open,
            Err(error) => return answer(reply, Err(not_owner(&error))),
        };
        let message_id = MessageId::new(open.id()).expect("a snowflake is never 0");
        if draft.slow_mode.is_some() {
            self.limiter.note_sent(author, message_id);
        }
        let bucket = Bucket::of_snowflake(open.id());
        let pending = Pending {
            open,
            created: Created {
                id: message_id,
                json: None,
                rate_limit: Some(rate_limit),
                repeated: false,
                is_restored: false,
            },
            key: key.filter(|key| self.nonces.begin(key, now_ms)),
            // Until one is known to be stored every message brings the marker: any of them may be the only one.
            mark: (self.marked < Some(bucket)).then_some(bucket),
            reply,
        };
        let span = draft.span.clone();
        let store = create::store(Arc::clone(self.shared), self.lease, draft, pending);
        self.stores.push_back(Box::pin(store.instrument(span)));
    }

    /// Answers a send whose nonce has made a message, or will; gives the reply back of one that is new.
    fn unless_repeated(&mut self, key: Option<&Key>, reply: Reply<Created>) -> Option<Reply<Created>> {
        let Some(key) = key else { return Some(reply) };
        let (id, is_restored, reply) = match self.nonces.find(key, reply) {
            Found::New(reply) if self.nonces.is_full() => {
                answer(reply, Err(overloaded()));
                return None;
            }
            Found::New(reply) => return Some(reply),
            Found::Waiting => return None,
            Found::Refused(reply) => {
                answer(reply, Err(unknown_outcome()));
                return None;
            }
            Found::Made(id, reply) => (id, false, reply),
            Found::Restored(id, reply) => (id, true, reply),
        };
        self.shared.stats.repeated.add(1);
        answer(reply, Ok(Created { id, json: None, rate_limit: None, repeated: true, is_restored }));
        None
    }

    fn limit(
        &mut self,
        author: UserId,
        slow: Option<SlowMode>,
        now_ms: u64,
    ) -> Result<v1::RateLimit, Failure> {
        let rate_limit = self.limiter.take(author)?;
        let Some(slow) = slow else { return Ok(rate_limit) };
        // Clients know the route by one bucket, whatever they are refused for.
        match self.limiter.check_slow_mode(author, slow.secs, slow.last_sent, now_ms) {
            Ok(()) => Ok(rate_limit),
            Err(failure) => Err(Failure { rate_limit: Some(Box::new(rate_limit)), ..failure }),
        }
    }

    /// Stores the changes that have gathered, when the write before is done.
    fn begin_changes(&mut self) {
        if self.is_changing || self.changes.is_empty() {
            return;
        }
        let mut group = Group::new(self.lease, self.channel);
        while let Some((next, _)) = self.changes.front()
            && group.len() < CHANGES_PER_WRITE_MAX
            && group.takes(&next.op)
            && let Some((change, reply)) = self.changes.pop_front()
        {
            match self.shared.ids.begin(&self.lease) {
                Ok(open) => group.push(open, change, reply),
                Err(error) => answer(reply, Err(not_owner(&error))),
            }
        }
        self.is_changing = true;
        self.stores.push_back(Box::pin(change::store(Arc::clone(self.shared), group)));
    }

    fn stored(&mut self, mut staged: Staged) {
        match &staged.answer {
            Answer::Create(create) => {
                if create.outcome.is_ok() {
                    self.marked = self.marked.max(create.marked);
                }
            }
            Answer::Changes(_) => self.is_changing = false,
        }
        if self.is_stalled() {
            self.give_up_waiting(&mut staged);
        }
        self.stored.push_back(staged);
    }

    fn begin_publish(&mut self) {
        if self.head.is_some() {
            return;
        }
        let Some(staged) = self.stored.pop_front() else { return };
        let publish = publish(Arc::clone(self.shared), self.lease, staged.events.clone());
        let publish = publish.instrument(staged.span.clone());
        self.head = Some(Head {
            staged,
            publish: Box::pin(publish),
            waits_until: Instant::now() + PUBLISH_WAIT,
            is_stalled: false,
        });
    }

    fn published(&mut self, is_published: bool) {
        let Some(head) = self.head.take() else { return };
        let mut staged = head.staged;
        if !is_published {
            // The ids stay in flight: the watermark must not pass what another owner has to publish.
            return self.give_up_waiting(&mut staged);
        }
        staged.open.into_iter().for_each(Open::close);
        match staged.answer {
            Answer::Create(create) => self.finish_create(create),
            Answer::Changes(changes) => self.finish_changes(changes),
        }
    }

    /// A message that is gone gives its nonce back: a retry makes a new one, as it would after a restart, which finds
    /// only the nonces of messages that are there.
    fn finish_changes(&mut self, changes: ChangesAnswer) {
        reach("messages.change_published");
        for (key, id) in &changes.deleted {
            self.nonces.deleted(key, *id, changes.is_unknown);
        }
        changes.answers.into_iter().for_each(finish_change);
    }

    fn finish_create(&mut self, create: CreateAnswer) {
        reach("messages.published");
        let CreateAnswer { outcome, key, is_unknown, reply, .. } = create;
        let waiting = match (&key, &outcome) {
            (None, _) => Vec::new(),
            (Some(key), Ok(created)) => self.nonces.made(key, created.id),
            (Some(key), Err(_)) if is_unknown => self.nonces.lost(key),
            (Some(key), Err(_)) => self.nonces.failed(key),
        };
        self.shared.stats.created.add(u64::from(outcome.is_ok()));
        for reply in waiting {
            self.shared.stats.repeated.add(1);
            answer(reply, outcome.clone().map(|created| Created { repeated: true, ..created }));
        }
        if let Some(reply) = reply {
            answer(reply, outcome);
        }
        reach("messages.answered");
    }

    /// The head has not gone through in time: whoever waits is told so.
    fn stall(&mut self) {
        let Some(mut head) = self.head.take() else { return };
        self.shared.stats.stalls.add(1);
        head.is_stalled = true;
        self.give_up_waiting(&mut head.staged);
        self.head = Some(head);
        let mut stored = std::mem::take(&mut self.stored);
        stored.iter_mut().for_each(|staged| self.give_up_waiting(staged));
        self.stored = stored;
        for (_, reply) in self.changes.drain(..) {
            answer(reply, Err(overloaded()));
        }
    }

    fn give_up_waiting(&mut self, staged: &mut Staged) {
        match &mut staged.answer {
            Answer::Create(create) => {
                let waiting = create.key.as_ref().map(|key| self.nonces.take_waiting(key));
                let failure = || create.outcome.as_ref().err().cloned().unwrap_or_else(unknown_outcome);
                for reply in waiting.into_iter().flatten().chain(create.reply.take()) {
                    answer(reply, Err(failure()));
                }
            }
            Answer::Changes(changes) => {
                for reply in changes.answers.iter_mut().filter_map(|change| change.reply.take()) {
                    answer(reply, Err(unknown_outcome()));
                }
            }
        }
    }

    fn is_stalled(&self) -> bool {
        self.head.as_ref().is_some_and(|head| head.is_stalled)
    }

    fn is_quiet(&self) -> bool {
        self.head.is_none() && self.stored.is_empty() && self.stores.is_empty() && self.changes.is_empty()
    }

    fn has_room(&self) -> bool {
        self.stores.len() + self.stored.len() + self.changes.len() < CHANNEL_QUEUE_MAX
    }
}

fn finish_change(change: ChangeAnswer) {
    if let Some(reply) = change.reply {
        answer(reply, change.outcome);
    }
}

fn answer<T>(reply: Reply<T>, outcome: Result<T, Failure>) {
    // An error means that the caller has gone.
    let _ = reply.send(outcome);
}

async fn published(head: &mut Option<Head>) -> bool {
    match head {
        Some(head) => (&mut head.publish).await,
        None => pending().await,
    }
}

async fn either(one: &CancellationToken, other: &CancellationToken) {
    tokio::select! {
        () = one.cancelled() => {}
        () = other.cancelled() => {}
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}
