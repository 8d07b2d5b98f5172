//! A backplane that misbehaves, over any that does not.
//!
//! Every fault is decided by a hash of the seed, the kind of fault and what it strikes (partition and sequence, or event
//! id and attempt), so the same seed strikes the same events, however tasks are scheduled.
//!
//! A change of incarnation is a [`view::View`]: the sequences that the wrapped backplane has so far are hidden, and those
//! that follow are counted from 1 again.

mod dice;
mod pump;
mod users;
mod view;

use std::ops::RangeInclusive;
use std::sync::Arc;

use async_trait::async_trait;
use backplane::port::{DeliverError, GuildSubscriptions, PodBatch, Told, UserConsumer};
use backplane::{
    Ack, Backplane, Ephemeral, Kept, Layout, Listener, Partition, PodName, ReadError, Stored, Stream,
    StreamState, Subject, Unavailable, UserEvent,
};
use bytes::Bytes;
use model::{GuildId, UserId};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use dice::{Attempts, Fault};
use pump::Pump;
use users::FaultyConsumer;
use view::{Cut, View};

/// How often each fault strikes: of so many thousand events or calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    pub seed: u64,
    /// A delivery is dropped, and nobody says so.
    pub drop_silently: u32,
    /// A delivery is dropped, and a gap stands in its place.
    pub drop_with_gap: u32,
    /// A delivery comes twice.
    pub repeat: u32,
    /// A delivery comes behind the next one.
    pub swap: u32,
    /// A delivery, and all behind it, waits up to [`Self::delay_ms_max`].
    pub delay: u32,
    pub delay_ms_max: u32,
    /// The connection is away for a few deliveries.
    pub reconnect: u32,
    /// A publish fails, and nothing is stored.
    pub publish_refused: u32,
    /// A publish fails, although its event is stored.
    pub publish_unanswered: u32,
    /// A publish reaches the stream twice.
    pub publish_repeated: u32,
    /// An event is stored twice, as if it were published again after the duplicate window.
    pub store_twice: u32,
    /// A question (state, ends, read, last, contains) or an acknowledgement of user events fails.
    pub question: u32,
    /// A pod's answer to a batch gets lost, although it has taken it.
    pub deliver_unanswered: u32,
    /// The streams begin anew after a publish.
    pub begin_anew: u32,
    /// Nobody tells how far he has published.
    pub is_tailless: bool,
}

impl Faults {
    /// Everything but a change of incarnation, often.
    pub fn rough(seed: u64) -> Self {
        Self {
            seed,
            drop_silently: 20,
            drop_with_gap: 20,
            repeat: 40,
            swap: 40,
            delay: 10,
            delay_ms_max: 5,
            reconnect: 5,
            publish_refused: 50,
            publish_unanswered: 50,
            publish_repeated: 50,
            store_twice: 20,
            question: 100,
            deliver_unanswered: 50,
            begin_anew: 0,
            is_tailless: false,
        }
    }
}

/// Wraps a backplane and injects faults.
pub struct Faulty<B> {
    inner: Arc<B>,
    shared: Arc<Shared>,
    publishes: Attempts,
    questions: Attempts,
    pumps: Mutex<JoinSet<()>>,
}

/// What the tasks and consumers of one faulty backplane share.
struct Shared {
    faults: Faults,
    view: View,
    /// Calls of the consumers of each partition: a consumer that is opened again goes on counting, so that no fate
    /// repeats for ever.
    user_calls: Attempts,
}

impl<B: Backplane> Faulty<B> {
    pub fn new(inner: Arc<B>, faults: Faults) -> Arc<Self> {
        let view = View::new(inner.layout());
        Arc::new(Self {
            inner,
            shared: Arc::new(Shared { faults, view, user_calls: Attempts::default() }),
            publishes: Attempts::default(),
            questions: Attempts::default(),
            pumps: Mutex::default(),
        })
    }

    /// What is wrapped.
    pub fn inner(&self) -> &Arc<B> {
        &self.inner
    }

    /// All streams begin anew, empty and with another incarnation, and every listener is told of a reconnect.
    pub async fn begin_anew(&self) -> Result<(), Unavailable> {
        let layout = self.inner.layout();
        let guilds = layout.guild_partitions().map(Stream::Guilds);
        let users = layout.user_partitions().map(Stream::Users);
        let mut bases = Vec::new();
        for stream in guilds.chain(users) {
            bases.push((stream, self.inner.state(stream).await?.last));
        }
        self.shared.view.begin_anew(&bases);
        Ok(())
    }

    fn mistreated(&self, partition: Partition, inner: Listener) -> Listener {
        let (pump, listener) = Pump::new(Arc::clone(&self.shared), partition);
        let mut pumps = self.pumps.lock();
        while pumps.try_join_next().is_some() {}
        pumps.spawn(pump.run(inner));
        listener
    }

    fn strikes(&self, fault: Fault, rate: u32, event_id: u64, attempt: u64) -> bool {
        dice::strikes(self.shared.faults.seed, fault, rate, event_id, attempt)
    }

    /// Fails now and then; a question that is asked again has another fate.
    fn question(&self, key: u64) -> Result<(), Unavailable> {
        let attempt = self.questions.next(key);
        if self.strikes(Fault::Question, self.shared.faults.question, key, attempt) {
            return Err(Unavailable("injected: the question was lost".into()));
        }
        Ok(())
    }

    /// Publishes until the event lies in the present incarnation.
    async fn store(&self, subject: Subject, event_id: u64, envelope: &Bytes) -> Result<Ack, Unavailable> {
        let stream = self.inner.layout().stream(subject);
        loop {
            let id = self.shared.view.event_id(event_id);
            let ack = self.inner.publish(subject, id, envelope.clone()).await?;
            if let Some(sequence) = self.shared.view.outer(stream, ack.sequence) {
                return Ok(Ack { sequence, ..ack });
            }
        }
    }
}

/// What a read of the wrapped backplane gave, as the view has it.
fn shown(
    cut: Cut,
    range: &RangeInclusive<u64>,
    read: Result<Vec<Stored>, ReadError>,
) -> Result<Vec<Stored>, ReadError> {
    match read {
        Ok(stored) => {
            let shown = stored
                .into_iter()
                .filter_map(|stored| Some(Stored { sequence: cut.outer(stored.sequence)?, ..stored }));
            Ok(shown.collect())
        }
        Err(ReadError::BeyondEnd(_, last)) => {
            Err(ReadError::BeyondEnd(range.clone(), cut.outer(last).unwrap_or(0)))
        }
        Err(error) => Err(error),
    }
}

#[async_trait]
impl<B: Backplane> Backplane for Faulty<B> {
    fn layout(&self) -> Layout {
        self.inner.layout()
    }

    async fn publish(&self, subject: Subject, event_id: u64, envelope: Bytes) -> Result<Ack, Unavailable> {
        let faults = self.shared.faults;
        let attempt = self.publishes.next(event_id);
        if self.strikes(Fault::PublishRefused, faults.publish_refused, event_id, attempt) {
            return Err(Unavailable("injected: the publish was lost".into()));
        }
        let ack = self.store(subject, event_id, &envelope).await?;
        if self.strikes(Fault::PublishRepeated, faults.publish_repeated, event_id, attempt) {
            self.store(subject, event_id, &envelope).await?;
        }
        if self.strikes(Fault::StoreTwice, faults.store_twice, event_id, 0) {
            self.store(subject, dice::other_id(event_id), &envelope).await?;
        }
        if self.strikes(Fault::BeginAnew, faults.begin_anew, event_id, 0) {
            self.begin_anew().await?;
        }
        if self.strikes(Fault::PublishUnanswered, faults.publish_unanswered, event_id, attempt) {
            return Err(Unavailable("injected: the acknowledgement was lost".into()));
        }
        self.publishes.forget(event_id);
        Ok(ack)
    }

    fn publish_ephemeral(&self, subject: Ephemeral, envelope: Bytes) {
        self.inner.publish_ephemeral(subject, envelope);
    }

    fn tell_user(&self, user: UserId, envelope: Bytes) {
        self.inner.tell_user(user, envelope);
    }

    async fn told_users(&self) -> Result<mpsc::Receiver<Told>, Unavailable> {
        self.inner.told_users().await
    }

    async fn listen(&self, partition: Partition) -> Result<Listener, Unavailable> {
        Ok(self.mistreated(partition, self.inner.listen(partition).await?))
    }

    async fn listen_guilds(
        &self,
        partition: Partition,
    ) -> Result<(Box<dyn GuildSubscriptions>, Listener), Unavailable> {
        let (subscriptions, inner) = self.inner.listen_guilds(partition).await?;
        Ok((subscriptions, self.mistreated(partition, inner)))
    }

    async fn listen_ephemeral(&self, partition: Partition) -> Result<Listener, Unavailable> {
        self.inner.listen_ephemeral(partition).await
    }

    async fn state(&self, stream: Stream) -> Result<StreamState, Unavailable> {
        self.question(0)?;
        // The view is taken first: an event that is published meanwhile only makes the state younger.
        let cut = self.shared.view.cut(stream);
        let state = self.inner.state(stream).await?;
        Ok(cut.state(state))
    }

    async fn last(&self, subject: Subject) -> Result<u64, Unavailable> {
        self.question(1)?;
        let last = self.inner.last(subject).await?;
        Ok(self.shared.view.outer(self.inner.layout().stream(subject), last).unwrap_or(0))
    }

    fn tail(&self, partition: Partition) -> u64 {
        if self.shared.faults.is_tailless {
            return 0;
        }
        let tail = self.inner.tail(partition);
        self.shared.view.outer(Stream::Guilds(partition), tail).unwrap_or(0)
    }

    fn tail_of(&self, guild: GuildId) -> u64 {
        if self.shared.faults.is_tailless {
            return 0;
        }
        let stream = self.inner.layout().stream(Subject::Guild(guild));
        self.shared.view.outer(stream, self.inner.tail_of(guild)).unwrap_or(0)
    }

    async fn ends(
        &self,
        partition: Partition,
        guilds: &[GuildId],
        at_least: u64,
    ) -> Result<Vec<u64>, Unavailable> {
        self.question(2)?;
        let cut = self.shared.view.cut(Stream::Guilds(partition));
        let ends = self.inner.ends(partition, guilds, cut.inner(at_least)).await?;
        Ok(ends.into_iter().map(|end| cut.outer(end).unwrap_or(0)).collect())
    }

    async fn read_subject(
        &self,
        subject: Subject,
        range: RangeInclusive<u64>,
        max: usize,
    ) -> Result<Vec<Stored>, ReadError> {
        self.question(*range.start())?;
        let cut = self.shared.view.cut(self.inner.layout().stream(subject));
        shown(cut, &range, self.inner.read_subject(subject, cut.inner_range(&range), max).await)
    }

    async fn read(
        &self,
        stream: Stream,
        range: RangeInclusive<u64>,
        max: usize,
    ) -> Result<Vec<Stored>, ReadError> {
        self.question(*range.start())?;
        let cut = self.shared.view.cut(stream);
        shown(cut, &range, self.inner.read(stream, cut.inner_range(&range), max).await)
    }

    async fn contains(&self, subject: Subject, event_id: u64) -> Result<bool, Unavailable> {
        self.question(event_id)?;
        self.inner.contains(subject, self.shared.view.event_id(event_id)).await
    }

    async fn kept(&self, stream: Stream) -> Result<Kept, Unavailable> {
        self.question(3)?;
        let kept = self.inner.kept(stream).await?;
        match self.shared.view.cut(stream).generation {
            0 => Ok(kept),
            // Nobody has noted when it was made, so nothing is known of it.
            _ => Ok(Kept { made_ms: u64::MAX, ..kept }),
        }
    }

    async fn consume_users(&self, partition: Partition) -> Result<Box<dyn UserConsumer>, Unavailable> {
        let inner = self.inner.consume_users(partition).await?;
        Ok(Box::new(FaultyConsumer::new(inner, Arc::clone(&self.shared), partition)))
    }

    async fn serve_pod(&self, pod: &PodName) -> Result<mpsc::Receiver<PodBatch>, Unavailable> {
        self.inner.serve_pod(pod).await
    }

    async fn deliver(&self, pod: &PodName, events: Vec<UserEvent>) -> Result<(), DeliverError> {
        let key = events.first().map_or(0, |event| event.sequence);
        let attempt = self.questions.next(key);
        self.inner.deliver(pod, events).await?;
        if self.strikes(Fault::DeliverUnanswered, self.shared.faults.deliver_unanswered, key, attempt) {
            return Err(DeliverError::Timeout(pod.clone()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
