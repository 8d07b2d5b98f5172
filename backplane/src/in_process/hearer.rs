//! Who listens to a partition: to all of it, or to the guilds that he chooses.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use model::GuildId;
use parking_lot::Mutex;
use rustc_hash::FxHashSet;

use crate::outlet::Outlet;
use crate::port::{GuildSubscriptions, Unavailable};

pub(super) struct Hearer {
    outlet: Outlet,
    chosen: Option<Chosen>,
}

/// The guilds of one listener.
#[derive(Clone, Default)]
pub(super) struct Chosen(Arc<Mutex<FxHashSet<GuildId>>>);

impl Hearer {
    pub(super) fn of_all(outlet: Outlet) -> Self {
        Self { outlet, chosen: None }
    }

    pub(super) fn of_chosen(outlet: Outlet, chosen: Chosen) -> Self {
        Self { outlet, chosen: Some(chosen) }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.outlet.is_closed()
    }

    pub(super) fn event(&mut self, guild: GuildId, sequence: u64, previous: u64, envelope: &Bytes) {
        if self.chosen.as_ref().is_none_or(|chosen| chosen.0.lock().contains(&guild)) {
            self.outlet.event(guild, sequence, previous, envelope);
        }
    }
}

#[async_trait]
impl GuildSubscriptions for Chosen {
    async fn add(&self, guilds: &[GuildId]) -> Result<(), Unavailable> {
        self.0.lock().extend(guilds);
        Ok(())
    }

    fn remove(&self, guild: GuildId) {
        self.0.lock().remove(&guild);
    }
}
