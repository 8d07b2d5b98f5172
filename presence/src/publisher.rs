//! Publishes stored events: in order for each guild, several guilds at a time, each repeated with the same event id until
//! the backplane has acknowledged it.
//!
//! A voice state is changed before its event is acknowledged, so an event that is given up would leave every client with
//! the old one for ever: nothing is given up before shutdown. What waits is bounded by refusing further changes.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use backplane::{Backplane, Subject, publish};
use bytes::Bytes;
use model::GuildId;
use model::clock::SharedClock;
use model::limits::{VOICE_PUBLISHES_MAX, VOICE_QUEUE_MAX};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

/// One event to be stored on its guild's subject.
pub(crate) struct Publication {
    pub guild_id: GuildId,
    pub event_id: u64,
    pub envelope: Bytes,
    /// Told when the backplane has acknowledged it.
    pub published: Option<oneshot::Sender<()>>,
}

pub(crate) struct Publisher {
    backplane: Arc<dyn Backplane>,
    clock: SharedClock,
    /// A guild is here while it has an event in flight or waiting.
    lanes: HashMap<GuildId, VecDeque<Publication>>,
    /// Guilds with events and none in flight, because too many others have.
    waiting: VecDeque<GuildId>,
    in_flight: JoinSet<GuildId>,
    queued: usize,
}

impl Publisher {
    pub(crate) fn new(backplane: Arc<dyn Backplane>, clock: SharedClock) -> Self {
        let (lanes, waiting) = (HashMap::new(), VecDeque::new());
        Self { backplane, clock, lanes, waiting, in_flight: JoinSet::new(), queued: 0 }
    }

    /// Whether so much waits that no further changes may be taken.
    pub(crate) fn is_full(&self) -> bool {
        self.queued >= VOICE_QUEUE_MAX
    }

    pub(crate) fn queued(&self) -> usize {
        self.queued
    }

    pub(crate) fn push(&mut self, publication: Publication) {
        self.queued += 1;
        let guild = publication.guild_id;
        let lane = self.lanes.entry(guild).or_default();
        lane.push_back(publication);
        if lane.len() == 1 {
            self.waiting.push_back(guild);
            self.start();
        }
    }

    /// Waits until an event is acknowledged; for ever when none is in flight. Cancel-safe.
    pub(crate) async fn progress(&mut self) {
        match self.in_flight.join_next().await {
            Some(Ok(guild)) => self.done(guild),
            Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
            None => std::future::pending().await,
        }
    }

    fn done(&mut self, guild: GuildId) {
        self.queued -= 1;
        let lane = self.lanes.get_mut(&guild).expect("a lane stays while its event is in flight");
        if let Some(published) = lane.pop_front().and_then(|publication| publication.published) {
            // Whoever asked may have stopped waiting.
            let _ = published.send(());
        }
        if lane.is_empty() {
            self.lanes.remove(&guild);
        } else {
            self.waiting.push_back(guild);
        }
        self.start();
    }

    fn start(&mut self) {
        while self.in_flight.len() < VOICE_PUBLISHES_MAX {
            let Some(guild) = self.waiting.pop_front() else { return };
            let first =
                self.lanes.get(&guild).and_then(VecDeque::front).expect("a waiting lane has an event");
            let (event_id, envelope) = (first.event_id, first.envelope.clone());
            let (backplane, clock) = (self.backplane.clone(), self.clock.clone());
            self.in_flight.spawn(async move {
                let subject = Subject::Guild(guild);
                let published = publish(&*backplane, &*clock, subject, event_id, &envelope, |_| true).await;
                published.expect("nobody says that it is enough");
                guild
            });
        }
    }
}
