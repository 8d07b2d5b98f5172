//! The sending end of a [`Listener`], for adapters: a bounded queue that never loses anything silently.
//!
//! Its last place is kept free for a [`Delivery::Gap`]: when the queue fills, what comes is dropped, and the gap stands
//! exactly where it would have been. From then on the gap is the newest in the queue until there are two free places
//! again: it stands for all that is dropped. Only one task, or whoever holds one lock, may send.

use bytes::Bytes;
use model::GuildId;
use tokio::sync::mpsc;

use crate::port::{Delivery, Listener};

pub(crate) struct Outlet {
    queue: mpsc::Sender<Delivery>,
    /// A reconnect for which there was no place: it comes before the next event that has one.
    owes_reconnected: bool,
}

impl Outlet {
    /// A queue of so many deliveries, besides the place for the gap.
    pub(crate) fn new(deliveries_max: usize) -> (Self, Listener) {
        let (queue, receiver) = mpsc::channel(deliveries_max.max(1) + 1);
        (Self { queue, owes_reconnected: false }, Listener::new(receiver))
    }

    /// Gives an event, or a gap in its place.
    pub(crate) fn event(&mut self, guild: GuildId, sequence: u64, previous: u64, envelope: &Bytes) {
        self.settle();
        match self.queue.capacity() {
            0 => {}
            1 => self.put(Delivery::Gap),
            _ => self.put(Delivery::Event { guild, sequence, previous, envelope: envelope.clone() }),
        }
    }

    /// Something before this point was lost.
    pub(crate) fn gap(&mut self) {
        self.settle();
        self.put(Delivery::Gap);
    }

    /// The connection was away.
    pub(crate) fn reconnected(&mut self) {
        self.owes_reconnected = true;
        self.settle();
        if self.owes_reconnected {
            self.put(Delivery::Gap);
        }
    }

    /// Gives what may be lost, if there is a place.
    pub(crate) fn ephemeral(&mut self, envelope: Bytes) {
        self.put(Delivery::Ephemeral(envelope));
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Waits until the listener is gone.
    pub(crate) async fn closed(&self) {
        self.queue.closed().await;
    }

    fn settle(&mut self) {
        if self.owes_reconnected && self.queue.capacity() > 1 {
            self.owes_reconnected = false;
            self.put(Delivery::Reconnected);
        }
    }

    /// A full queue has a gap as its newest, and a closed one nobody who reads it.
    fn put(&self, delivery: Delivery) {
        let _ = self.queue.try_send(delivery);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(listener: &mut Listener) -> Option<Delivery> {
        futures_util::FutureExt::now_or_never(listener.next()).flatten()
    }

    fn guild() -> GuildId {
        GuildId::new(7).unwrap()
    }

    fn event(sequence: u64) -> Delivery {
        Delivery::Event { guild: guild(), sequence, previous: 0, envelope: Bytes::new() }
    }

    #[test]
    fn a_gap_stands_where_events_are_missing() {
        let (mut outlet, mut listener) = Outlet::new(2);
        for sequence in 1..=4 {
            outlet.event(guild(), sequence, 0, &Bytes::new());
        }
        for expected in [event(1), event(2), Delivery::Gap] {
            assert_eq!(take(&mut listener), Some(expected));
        }
        outlet.event(guild(), 5, 0, &Bytes::new());
        assert_eq!(take(&mut listener), Some(event(5)));
        assert_eq!(take(&mut listener), None);
    }

    #[test]
    fn a_reconnect_that_finds_no_place_comes_before_the_next_event() {
        let (mut outlet, mut listener) = Outlet::new(1);
        outlet.event(guild(), 1, 0, &Bytes::new());
        outlet.reconnected();
        outlet.event(guild(), 2, 0, &Bytes::new());
        assert_eq!(take(&mut listener), Some(event(1)));
        assert_eq!(take(&mut listener), Some(Delivery::Gap));
        outlet.event(guild(), 3, 0, &Bytes::new());
        assert_eq!(take(&mut listener), Some(Delivery::Reconnected));
        assert_eq!(take(&mut listener), Some(Delivery::Gap), "the third is lost, and that is said");
    }

    #[test]
    fn ephemeral_events_fill_the_queue_and_no_more() {
        let (mut outlet, mut listener) = Outlet::new(1);
        for _ in 0..5 {
            outlet.ephemeral(Bytes::new());
        }
        assert!(
            take(&mut listener).is_some() && take(&mut listener).is_some() && take(&mut listener).is_none()
        );
        drop(listener);
        assert!(outlet.is_closed());
    }
}
