//! Writers that go on until they are told to stop, and the comparison of what was acknowledged with what arrived.

use std::sync::Arc;
use std::time::Duration;

use backplane::{Backplane, Followed, Follower, GuildMode, Mode, Nats, Partition, Subject};
use model::GuildId;
use testkit::conformance::backplane::by_guild::start_by_guild;
use testkit::conformance::backplane::{event, fresh, guild_in, in_time};
use tokio::sync::watch;
use tokio::task::JoinSet;

const WRITERS: usize = 4;

/// Guilds to write to, and whoever wants may follow these alone.
pub fn guilds(backplane: &Nats, partition: Partition) -> Vec<GuildId> {
    std::iter::repeat_with(|| guild_in(backplane, partition)).take(WRITERS).collect()
}

/// Follows the first partition, or these guilds of it, which it keeps to.
pub async fn follower(backplane: &Arc<Nats>, mode: Mode, guilds: &[GuildId]) -> Follower {
    let dynamic = Arc::clone(backplane) as Arc<dyn Backplane>;
    match mode {
        Mode::Partition => in_time(Follower::start(dynamic, Partition(0))).await.unwrap(),
        Mode::Guilds => {
            let few = GuildMode { settle: Duration::ZERO, ..GuildMode::default() };
            start_by_guild(&dynamic, guilds, few).await.0
        }
    }
}

/// Tasks that publish, each on a guild of its own and in its own order.
pub struct Writers {
    tasks: JoinSet<Vec<u64>>,
    stop: watch::Sender<bool>,
}

impl Writers {
    pub fn start(backplane: &Arc<Nats>, guilds: &[GuildId]) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for guild in guilds {
            let (backplane, stopped) = (Arc::clone(backplane), stopped.clone());
            let subject = Subject::Guild(*guild);
            tasks.spawn(async move {
                let mut acknowledged = Vec::new();
                while !*stopped.borrow() {
                    let id = fresh();
                    while backplane.publish(subject, id, event(id)).await.is_err() {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    acknowledged.push(id);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                acknowledged
            });
        }
        Self { tasks, stop }
    }

    /// Stops them when what they are at is acknowledged; the ids of each in order.
    pub async fn stop(self) -> Vec<Vec<u64>> {
        self.stop.send_replace(true);
        in_time(self.tasks.join_all()).await
    }
}

/// Takes everything that was acknowledged, each once and in the order of its writer, and nothing else.
pub async fn assert_all_arrive(follower: &mut Follower, acknowledged: &[Vec<u64>]) {
    let count: usize = acknowledged.iter().map(Vec::len).sum();
    assert!(count > 100, "{count} events prove little");
    let mut arrived = Vec::new();
    while arrived.len() < count {
        match in_time(follower.next()).await {
            Some(Followed::Event(event)) => arrived.push(event.envelope.event_id),
            other => panic!("neither lost nor anew: {other:?} after {} of {count}", arrived.len()),
        }
    }
    for own in acknowledged {
        let got: Vec<u64> = arrived.iter().copied().filter(|id| own.contains(id)).collect();
        assert!(got == *own, "{} of {} events arrived, or in another order", got.len(), own.len());
    }
    let more = tokio::time::timeout(Duration::from_millis(700), follower.next()).await;
    assert!(more.is_err(), "more than was published: {more:?}");
}
