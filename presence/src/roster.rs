//! Reads the roster again and again: seldom while all is well, often while a lease waits for its word.

use std::sync::Arc;
use std::time::Duration;

use backplane::{PodName, Roster, Unavailable};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use model::limits::{PRESENCE_ROSTER_MS, PRESENCE_ROSTER_URGENT_MS};
use tokio::time::{Instant, sleep_until};

/// The pods that live, with the time that is left to each.
pub(crate) type Living = Vec<(PodName, Duration)>;

pub(crate) struct Reader {
    roster: Arc<dyn Roster>,
    reading: Option<BoxFuture<'static, Result<Living, Unavailable>>>,
    read_at: Instant,
    next_at: Instant,
}

impl Reader {
    pub(crate) fn new(roster: Arc<dyn Roster>) -> Self {
        let now = Instant::now();
        Self { roster, reading: None, read_at: now, next_at: now }
    }

    /// It is waited for.
    pub(crate) fn hurry(&mut self) {
        self.next_at = self.next_at.min(self.read_at + Duration::from_millis(PRESENCE_ROSTER_URGENT_MS));
    }

    /// What the roster says the next time. Cancel-safe: a question that was asked is answered by the next call.
    pub(crate) async fn read(&mut self) -> Result<Living, Unavailable> {
        if self.reading.is_none() {
            sleep_until(self.next_at).await;
        }
        let roster = &self.roster;
        let reading = self.reading.get_or_insert_with(|| {
            let roster = roster.clone();
            async move { roster.living().await }.boxed()
        });
        let living = reading.await;
        self.reading = None;
        self.read_at = Instant::now();
        self.next_at = self.read_at + Duration::from_millis(PRESENCE_ROSTER_MS);
        living
    }
}
