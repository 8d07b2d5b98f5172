//! The private channels that a session's client knows of: those of READY, and what was opened since.

use model::{ChannelId, limits};
use rustc_hash::FxHashSet;

/// See the module. Without any it holds no heap memory.
#[derive(Debug, Default)]
pub struct PrivateChannels(Option<Box<FxHashSet<ChannelId>>>);

impl PrivateChannels {
    pub fn has(&self, channel: ChannelId) -> bool {
        self.0.as_ref().is_some_and(|known| known.contains(&channel))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = ChannelId> + '_ {
        self.0.iter().flat_map(|known| known.iter().copied())
    }

    /// When there are too many all are forgotten: their clients are then told of them once more.
    pub fn insert(&mut self, channel: ChannelId) {
        let known = self.0.get_or_insert_default();
        if known.len() >= limits::PRIVATE_CHANNELS_MAX {
            known.clear();
        }
        known.insert(channel);
    }

    pub fn remove(&mut self, channel: ChannelId) {
        let Some(known) = &mut self.0 else { return };
        known.remove(&channel);
        if known.is_empty() {
            self.0 = None;
        }
    }
}
