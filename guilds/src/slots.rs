//! What the directory does when slots of guilds and users come and go.
//!
//! Before a slot is served, the events that earlier owners stored in it are published; what they stored only after that is
//! told anew half a minute later ([`late`]). When it goes, guilds of it begin nothing (their actors hold the lease, which
//! tells its end), changes that have begun are finished, and the watermark tells the next owner how little is left.

use std::sync::Arc;

use async_trait::async_trait;
use storage::{
    Lease, OutboxEvent, OutboxKeeper, OutboxRow, Pass, Republish, RepublishError, SWEEP_TRIES, Scope, Seen,
    ServiceError, SlotService, Unpublished,
};

use crate::accounts::Accounts;
use crate::changes::Changes;
use crate::store::DirectoryStore;
use crate::{cleanup, late};

/// The slots of guilds and users, for whoever owns them.
pub(crate) struct Slots {
    pub(crate) changes: Arc<Changes>,
    pub(crate) accounts: Arc<Accounts>,
    /// One for each set.
    pub(crate) keepers: Vec<Arc<OutboxKeeper<dyn DirectoryStore>>>,
    pub(crate) seen: Seen,
}

/// The publisher of a sweep.
struct Sweeper<'a> {
    slots: &'a Slots,
    /// Ours, of what is swept. What is found there is published under them.
    leases: &'a [Lease],
    /// Events that had not been published.
    published: u64,
}

#[async_trait]
impl SlotService for Slots {
    async fn sweep(&self, leases: &[Lease], pass: Pass) -> Result<(), ServiceError> {
        let mut sweeper = Sweeper { slots: self, leases, published: 0 };
        self.changes.store.sweep(leases, pass, &mut sweeper).await?;
        if sweeper.published > 0 {
            tracing::info!(events = sweeper.published, "published what an earlier owner left");
        }
        if pass == Pass::First {
            for keeper in &self.keepers {
                let of_set: Vec<Lease> =
                    leases.iter().filter(|lease| lease.set == keeper.set()).copied().collect();
                keeper.begin(&of_set).await?;
            }
        }
        if pass == Pass::Late {
            self.seen.forget(leases);
            for lease in leases {
                cleanup::resume(&self.accounts, lease.set, vec![lease.slot]);
            }
        }
        Ok(())
    }

    async fn drain(&self, leases: &[Lease]) {
        self.seen.forget(leases);
        self.accounts.cache.forget_slots(leases);
        self.changes.ledger.drain(leases).await;
        for keeper in &self.keepers {
            let of_set: Vec<Lease> =
                leases.iter().filter(|lease| lease.set == keeper.set()).copied().collect();
            keeper.finish(&of_set).await;
        }
        self.changes.ledger.forget(leases);
    }
}

#[async_trait]
impl Republish for Sweeper<'_> {
    async fn republish(&mut self, unpublished: Unpublished) -> Result<(), RepublishError> {
        let OutboxRow { set, slot, events, .. } = row(unpublished)?;
        let Changes { backplane, clock, store, .. } = &*self.slots.changes;
        let is_of_slot = |lease: &&Lease| (lease.set, lease.slot) == (set, slot);
        let ours = self.leases.iter().find(is_of_slot).ok_or("it is of a slot that is not swept")?;
        for event in events {
            let OutboxEvent { subject, event_id, envelope } = event.written_by(ours)?;
            let again = |attempts| attempts < SWEEP_TRIES;
            let is_new =
                backplane::publish(&**backplane, &**clock, subject, event_id, &envelope, again).await?;
            self.published += u64::from(is_new);
            // A store that one process alone writes to has no late pass.
            if store.scope() == Scope::Slot {
                self.slots.seen.note(set, slot, event_id);
            }
        }
        Ok(())
    }

    /// A change of an owner that had lost its slot: it is told anew, see [`late`].
    async fn too_late(&mut self, unpublished: Unpublished) -> Result<(), RepublishError> {
        let OutboxRow { set, slot, events, .. } = row(unpublished)?;
        let seen = &self.slots.seen;
        if events.iter().all(|event| seen.has(set, slot, event.event_id)) {
            return Ok(());
        }
        tracing::warn!(
            ?set,
            slot = slot.get(),
            events = events.len(),
            "a change came too late and is told anew"
        );
        late::tell(&self.slots.accounts, set, &events).await?;
        // The pass may be made once more.
        events.iter().for_each(|event| seen.note(set, slot, event.event_id));
        Ok(())
    }
}

fn row(unpublished: Unpublished) -> Result<OutboxRow, RepublishError> {
    match unpublished {
        Unpublished::Row(row) => Ok(row),
        Unpublished::Marker { .. } => {
            Err("the directory writes no markers: the slot set has another writer".into())
        }
    }
}
