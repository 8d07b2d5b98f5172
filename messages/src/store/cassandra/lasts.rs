//! Newest messages of channels that are not stored as such yet, by slot.

use std::collections::HashMap;

use model::{ChannelId, MessageId};
use parking_lot::Mutex;
use storage::Slot;

#[derive(Debug, Default)]
pub(super) struct Lasts {
    fresh: Mutex<HashMap<Slot, HashMap<ChannelId, MessageId>>>,
}

impl Lasts {
    pub(super) fn get(&self, channel: ChannelId) -> Option<MessageId> {
        self.fresh.lock().get(&Slot::of(channel.get()))?.get(&channel).copied()
    }

    /// The channel has this message, and perhaps a newer one.
    pub(super) fn note(&self, channel: ChannelId, id: MessageId) {
        let mut fresh = self.fresh.lock();
        let last = fresh.entry(Slot::of(channel.get())).or_default().entry(channel).or_insert(id);
        *last = id.max(*last);
    }

    pub(super) fn of_slot(&self, slot: Slot) -> Vec<(ChannelId, MessageId)> {
        let fresh = self.fresh.lock();
        fresh.get(&slot).into_iter().flatten().map(|(channel, last)| (*channel, *last)).collect()
    }

    /// This one is stored; what was raised meanwhile is not.
    pub(super) fn note_written(&self, channel: ChannelId, written: MessageId) {
        let mut fresh = self.fresh.lock();
        let slot = Slot::of(channel.get());
        let Some(lasts) = fresh.get_mut(&slot) else { return };
        if lasts.get(&channel) == Some(&written) {
            lasts.remove(&channel);
        }
        if lasts.is_empty() {
            fresh.remove(&slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_raised_while_it_is_written_stays() {
        let lasts = Lasts::default();
        let (channel, other) = (ChannelId::new(7).unwrap(), ChannelId::new(8).unwrap());
        let [one, two] = [1, 2].map(|id| MessageId::new(id).unwrap());
        lasts.note(channel, two);
        lasts.note(channel, one);
        lasts.note(other, one);
        assert_eq!(lasts.of_slot(Slot::of(7)), [(channel, two)]);
        lasts.note_written(channel, one);
        assert_eq!(lasts.get(channel), Some(two));
        lasts.note_written(channel, two);
        assert_eq!((lasts.get(channel), lasts.get(other)), (None, Some(one)));
        lasts.note_written(other, one);
        assert!(lasts.fresh.lock().is_empty());
    }
}
