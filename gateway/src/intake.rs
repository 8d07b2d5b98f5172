//! The intake: takes each event off the backplane once and hands it to the shards that want it.
//!
//! One task a partition follows its guild events (which come in order, or as a loss), another listens to what is never
//! stored, and one takes what `fanout` delivers to this pod: there it drops what a replaced owner wrote and what comes
//! twice. A shard that is behind holds its intake up; the backplane's
//! subscription then overflows, and what was missed is read from the stream.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use backplane::fence::{Fence, Verdict};
use backplane::{Delivery, Followed, Follower, Listener, Partition, Unavailable, UserEvent};
use model::{EventKind, GuildId, limits};
use proto::Envelope;
use rustc_hash::FxHashMap;
use tasks::Spawner;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::interest::ShardSet;
use crate::live::LiveEvent;
use crate::services::Services;
use crate::shard::Input;
use crate::shared_ring::EventRef;
use crate::stats::Count;

/// What every task of the intake has.
#[derive(Clone)]
pub(crate) struct Intake {
    pub(crate) services: Arc<Services>,
    pub(crate) shards: Arc<[mpsc::Sender<Input>]>,
    pub(crate) stop: CancellationToken,
}

impl Intake {
    /// Subscribes to everything, then starts the tasks.
    pub(crate) async fn start(self, tasks: &Spawner) -> Result<(), Unavailable> {
        let backplane = self.services.backplane.clone();
        for partition in backplane.layout().guild_partitions() {
            let follower = match self.services.interest.open_guilds() {
                Some(open) => Follower::start_for(backplane.clone(), partition, open.clone()).await?,
                None => Follower::start(backplane.clone(), partition).await?,
            };
            self.services.positions.follow(follower.status());
            let listener = backplane.listen_ephemeral(partition).await?;
            let name = format!("the intake of partition {}", partition.0);
            tasks.spawn_lasting(name, self.clone().follow(partition, follower));
            let name = format!("the ephemeral intake of partition {}", partition.0);
            tasks.spawn_lasting(name, self.clone().listen(listener));
        }
        let inbox = backplane.serve_pod(&self.services.pod).await?;
        tasks.spawn_lasting("the intake of user events", self.receive(inbox));
        Ok(())
    }

    async fn follow(self, partition: Partition, mut follower: Follower) {
        loop {
            let followed = tokio::select! {
                () = self.stop.cancelled() => return,
                followed = follower.next() => followed,
            };
            match followed {
                None => return error!(partition = partition.0, "backplane has closed a subscription"),
                Some(Followed::Event(event)) => {
                    let event = stored(&self.services, partition.0, event.sequence, event.envelope);
                    self.give(event).await;
                }
                Some(lost) => {
                    warn!(
                        partition = partition.0,
                        ?lost,
                        "events are lost, the sessions that miss them start again"
                    );
                    let guild = if let Followed::Lost { guild, .. } = lost { guild } else { None };
                    self.lose(partition, guild).await;
                }
            }
        }
    }

    async fn listen(self, mut listener: Listener) {
        loop {
            let delivery = tokio::select! {
                () = self.stop.cancelled() => return,
                delivery = listener.next() => delivery,
            };
            let Some(delivery) = delivery else { return };
            let Delivery::Ephemeral(bytes) = delivery else {
                // These events may get lost; but a presence is shown until the next one, so it is asked for again.
                self.services.presences.suspect_all();
                continue;
            };
            match Envelope::decode(bytes) {
                Ok(envelope) => {
                    if let (EventKind::PresenceUpdate, Some(guild)) = (envelope.kind, envelope.guild_id) {
                        self.services.presences.copies.take(guild, &envelope.data);
                    }
                    self.give(Arc::new(ephemeral(&self.services, envelope))).await;
                }
                Err(_) => self.services.stats.events_malformed.add(1),
            }
        }
    }

    async fn receive(self, mut inbox: mpsc::Receiver<backplane::port::PodBatch>) {
        let mut taken: FxHashMap<Partition, Taken> = FxHashMap::default();
        loop {
            let batch = tokio::select! {
                () = self.stop.cancelled() => return,
                batch = inbox.recv() => batch,
            };
            let Some(batch) = batch else { return };
            let order = self.services.user_events.lock().await;
            for event in batch.events {
                self.take_of_user(&mut taken, event).await;
            }
            drop(order);
            // Whoever waits for it may be gone: then it comes again, and once more is no harm.
            let _ = batch.taken.send(());
        }
    }

    async fn take_of_user(&self, taken: &mut FxHashMap<Partition, Taken>, event: UserEvent) {
        let UserEvent { user, sequence, envelope } = event;
        let partition = self.services.backplane.layout().user(user);
        let taken = taken.entry(partition).or_insert_with(Taken::new);
        if sequence > 0 && sequence <= taken.sequence {
            return;
        }
        taken.sequence = taken.sequence.max(sequence);
        let Ok(envelope) = Envelope::decode(envelope) else {
            return self.services.stats.events_malformed.add(1);
        };
        let live = match sequence {
            0 => Arc::new(ephemeral(&self.services, envelope)),
            _ if taken.fence.check_of_user(user, &envelope, sequence) != Verdict::Pass => return,
            _ => stored_for_user(&self.services, partition, sequence, envelope),
        };
        let shards = self.services.interest.user(user);
        self.send(shards, || Input::UserEvent(user, live.clone())).await;
        self.services.positions.took_of_user(partition, sequence);
    }

    async fn give(&self, event: Arc<LiveEvent>) {
        let Some(guild) = event.envelope.guild_id else { return };
        let shards = self.services.interest.guild(guild);
        self.send(shards, || Input::Event(event.clone())).await;
    }

    /// Events of one guild are lost, or of any of the partition.
    async fn lose(&self, partition: Partition, only: Option<GuildId>) {
        let layout = self.services.backplane.layout();
        for shard in self.shards.iter() {
            let is_lost = Arc::new(move |guild| match only {
                Some(only) => guild == only,
                None => layout.guild(guild) == partition,
            });
            let _ = shard.send(Input::Lost(is_lost)).await;
        }
    }

    async fn send(&self, shards: ShardSet, input: impl Fn() -> Input) {
        for shard in shards.iter() {
            tokio::select! {
                () = self.stop.cancelled() => return,
                // A shard that has ended has no sessions.
                _ = self.shards[shard].send(input()) => {}
            }
        }
    }
}

/// What was taken of a partition of users.
struct Taken {
    /// Up to here: a delivery whose answer got lost comes again.
    sequence: u64,
    fence: Fence,
}

impl Taken {
    fn new() -> Self {
        Self { sequence: 0, fence: Fence::new(limits::FENCE_IDS_MAX) }
    }
}

/// Gives an event of a guild its number among all that this pod takes.
fn stored(services: &Services, ring: u16, sequence: u64, envelope: Envelope) -> Arc<LiveEvent> {
    let index = 1 + services.events.fetch_add(1, Ordering::Relaxed);
    let event = match EventRef::new(ring, index) {
        Some(place) => LiveEvent::stored(sequence, envelope, place),
        // Out of numbers after thousands of years: it is not kept.
        None => LiveEvent::ephemeral(sequence, envelope),
    };
    Arc::new(event.in_forms(services.forms.count()))
}

/// One that is in no stream.
fn ephemeral(services: &Services, envelope: Envelope) -> LiveEvent {
    LiveEvent::ephemeral(0, envelope).in_forms(services.forms.count())
}

/// The same for an event of a user; the rings of users come behind those of guilds.
pub(crate) fn stored_for_user(
    services: &Services,
    partition: Partition,
    sequence: u64,
    envelope: Envelope,
) -> Arc<LiveEvent> {
    let ring = services.backplane.layout().guild_partitions.saturating_add(partition.0);
    stored(services, ring, sequence, envelope)
}
