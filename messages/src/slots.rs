//! What the service does when slots of channels come and go.
//!
//! Before a slot is served, what earlier owners stored in it is published. When it goes no channel of it begins anything,
//! what has begun is finished, and the watermark tells the next owner how little is left. The channels' actors end by
//! themselves: they hold the lease, which tells its end.

use std::sync::Arc;

use async_trait::async_trait;
use backplane::Backplane;
use model::clock::SharedClock;
use storage::{Lease, Ledger, OutboxKeeper, Pass, Seen, ServiceError, SlotService};

use crate::channel::Channels;
use crate::people::People;
use crate::stats::Stats;
use crate::store::MessageStore;
use crate::sweep::Sweeper;

/// The channels' slots, for whoever owns them.
pub(crate) struct Slots {
    pub(crate) store: Arc<dyn MessageStore>,
    pub(crate) channels: Arc<Channels>,
    pub(crate) backplane: Arc<dyn Backplane>,
    pub(crate) clock: SharedClock,
    pub(crate) people: People,
    pub(crate) ids: Arc<Ledger>,
    pub(crate) keeper: Arc<OutboxKeeper<dyn MessageStore>>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) seen: Seen,
}

#[async_trait]
impl SlotService for Slots {
    async fn sweep(&self, leases: &[Lease], pass: Pass) -> Result<(), ServiceError> {
        let mut sweeper = Sweeper { slots: self, leases, published: 0, removed: 0, unsure: 0 };
        self.store.sweep(leases, pass, &mut sweeper).await?;
        self.stats.swept.add(sweeper.published);
        self.stats.late.add(sweeper.removed);
        self.stats.unsure.add(sweeper.unsure);
        match pass {
            Pass::First => self.keeper.begin(leases).await?,
            Pass::Late => self.seen.forget(leases),
        }
        Ok(())
    }

    async fn drain(&self, leases: &[Lease]) {
        self.seen.forget(leases);
        self.ids.drain(leases).await;
        self.keeper.finish(leases).await;
        self.ids.forget(leases);
    }
}
