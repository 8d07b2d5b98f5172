//! Drops what an owner wrote after it had lost its slot, and what was published twice.
//!
//! A replica that was cut off may still publish when another has taken its slot over: its epoch is below the highest
//! that was seen for the slot. In guild mode the guilds of a partition are not in order among each other, so an event
//! counts as replaced only if it lies behind the first that is known of the higher epoch. And a new owner publishes
//! again what it cannot know to be published: the event id was seen before. Ids are remembered in a ring of bounded
//! length.

use std::cmp::Ordering;
use std::collections::VecDeque;

use model::UserId;
use proto::Envelope;
use rustc_hash::{FxHashMap, FxHashSet};

/// What a reader of one partition has seen of writers and event ids.
#[derive(Debug)]
pub struct Fence {
    epochs: FxHashMap<(u8, u16), Epoch>,
    /// With the user whose event it is; 0 of guilds.
    ids: FxHashSet<(u64, u64)>,
    order: VecDeque<(u64, u64)>,
    ids_max: usize,
}

/// The highest epoch of a slot, and the lowest sequence that it was seen at.
#[derive(Debug)]
struct Epoch {
    number: u64,
    from: u64,
}

/// What is to be done with an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    /// Its writer has been replaced.
    Fenced,
    /// It came before.
    Repeat,
}

impl Fence {
    pub fn new(ids_max: usize) -> Self {
        let ids_max = ids_max.max(1);
        Self { epochs: FxHashMap::default(), ids: FxHashSet::default(), order: VecDeque::new(), ids_max }
    }

    /// The sequences begin anew: what was known so far lies before all that comes.
    pub fn begin_anew(&mut self) {
        self.epochs.values_mut().for_each(|epoch| epoch.from = 0);
    }

    /// Judges an event of a guild at its place in the stream, and remembers it.
    pub fn check(&mut self, envelope: &Envelope, sequence: u64) -> Verdict {
        self.check_for(0, envelope, sequence)
    }

    /// The same of a user's event: others may have it as well.
    pub fn check_of_user(&mut self, user: UserId, envelope: &Envelope, sequence: u64) -> Verdict {
        self.check_for(user.get(), envelope, sequence)
    }

    fn check_for(&mut self, user: u64, envelope: &Envelope, sequence: u64) -> Verdict {
        let writer = envelope.writer;
        let here = Epoch { number: writer.epoch, from: sequence };
        let highest = self.epochs.entry((writer.set, writer.slot)).or_insert(here);
        match writer.epoch.cmp(&highest.number) {
            Ordering::Less if sequence > highest.from => return Verdict::Fenced,
            Ordering::Less => {}
            Ordering::Equal => highest.from = highest.from.min(sequence),
            Ordering::Greater => *highest = Epoch { number: writer.epoch, from: sequence },
        }
        let id = (user, envelope.event_id);
        if !self.ids.insert(id) {
            return Verdict::Repeat;
        }
        self.order.push_back(id);
        if self.order.len() > self.ids_max
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        Verdict::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::EventKind;
    use proto::Writer;

    fn envelope(event_id: u64, slot: u16, epoch: u64) -> Envelope {
        Envelope::new(event_id, EventKind::MessageCreate, Writer { set: 1, slot, epoch }, "{}")
    }

    #[test]
    fn a_replaced_writer_is_fenced_on_its_slot_alone() {
        let mut fence = Fence::new(16);
        assert_eq!(fence.check(&envelope(1, 5, 2), 1), Verdict::Pass);
        assert_eq!(fence.check(&envelope(2, 5, 1), 2), Verdict::Fenced);
        assert_eq!(fence.check(&envelope(3, 6, 1), 3), Verdict::Pass);
        assert_eq!(fence.check(&envelope(4, 5, 3), 4), Verdict::Pass);
        assert_eq!(fence.check(&envelope(5, 5, 2), 5), Verdict::Fenced);
    }

    #[test]
    fn what_lies_before_a_higher_epoch_is_not_fenced_if_it_comes_later() {
        let mut fence = Fence::new(16);
        assert_eq!(fence.check(&envelope(1, 5, 2), 10), Verdict::Pass);
        assert_eq!(fence.check(&envelope(2, 5, 1), 9), Verdict::Pass);
        assert_eq!(fence.check(&envelope(3, 5, 2), 7), Verdict::Pass);
        assert_eq!(fence.check(&envelope(4, 5, 1), 8), Verdict::Fenced);
        fence.begin_anew();
        assert_eq!(fence.check(&envelope(5, 5, 1), 1), Verdict::Fenced);
    }

    #[test]
    fn a_fenced_event_may_come_from_the_new_writer() {
        let mut fence = Fence::new(16);
        fence.check(&envelope(1, 5, 2), 1);
        assert_eq!(fence.check(&envelope(2, 5, 1), 2), Verdict::Fenced);
        assert_eq!(fence.check(&envelope(2, 5, 2), 3), Verdict::Pass);
        assert_eq!(fence.check(&envelope(2, 5, 2), 4), Verdict::Repeat);
    }

    #[test]
    fn an_event_of_two_users_is_none_of_them_twice() {
        let mut fence = Fence::new(16);
        for user in [7, 8].map(|id| UserId::new(id).unwrap()) {
            let at = user.get();
            assert_eq!(fence.check_of_user(user, &envelope(1, 5, 2), at), Verdict::Pass);
            assert_eq!(fence.check_of_user(user, &envelope(1, 5, 2), at + 10), Verdict::Repeat);
            assert_eq!(fence.check_of_user(user, &envelope(2, 5, 1), at + 20), Verdict::Fenced);
        }
    }

    #[test]
    fn ids_are_forgotten_oldest_first() {
        let mut fence = Fence::new(2);
        for id in [1, 2, 3] {
            assert_eq!(fence.check(&envelope(id, 5, 1), id), Verdict::Pass);
        }
        assert_eq!(fence.check(&envelope(2, 5, 1), 4), Verdict::Repeat);
        assert_eq!(fence.check(&envelope(1, 5, 1), 5), Verdict::Pass);
        assert_eq!(fence.ids.len(), 2);
    }
}
