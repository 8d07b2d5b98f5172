//! Carries what a subscription brings to one listener, with everything that may be missing said in its place.
//!
//! Three things are lost on the way, and each is seen apart. A hole in the sequences is a [`Delivery::Gap`] before the
//! event behind it. Messages that the client dropped, without a message behind them, are a gap once all before them were
//! given. A connection that was away is a [`Delivery::Reconnected`] before the first message of the new one.
//!
//! [`Delivery::Gap`]: crate::Delivery::Gap
//! [`Delivery::Reconnected`]: crate::Delivery::Reconnected

use async_nats::{Message, header};
use futures_util::{Stream, StreamExt};
use tokio::sync::watch;

use super::link::Marks;
use super::names::Names;
use super::read::number;
use crate::outlet::Outlet;

/// Between a subscription and a listener. `M` tells the marks of now.
pub(super) struct Pump<S, M> {
    pub(super) names: Names,
    pub(super) subscriber: S,
    pub(super) marks: M,
    /// Changes when the marks may have.
    pub(super) wakes: watch::Receiver<()>,
    /// The marks from before the subscription.
    pub(super) known: Marks,
    pub(super) outlet: Outlet,
    pub(super) kind: Kind,
    /// The last sequence that came; 0 before the first.
    pub(super) last: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Of a whole partition.
    Events,
    /// Of single guilds: their chains show the holes.
    GuildEvents,
    Ephemeral,
}

impl<S: Stream<Item = Message> + Unpin, M: Fn() -> Marks> Pump<S, M> {
    /// Runs until the listener is gone, or the connection is given up.
    pub(super) async fn run(mut self) {
        loop {
            tokio::select! {
                biased;
                message = self.subscriber.next() => match message {
                    Some(message) => {
                        self.compare_connects();
                        self.take(message);
                    }
                    None => return,
                },
                // Nothing waits in the subscription: what the client dropped lies behind all that was given.
                _ = self.wakes.changed() => {
                    self.compare_connects();
                    self.compare_drops();
                }
                () = self.outlet.closed() => return,
            }
        }
    }

    fn take(&mut self, message: Message) {
        match self.kind {
            Kind::Ephemeral => self.outlet.ephemeral(message.payload),
            Kind::Events | Kind::GuildEvents => self.take_event(message),
        }
    }

    fn take_event(&mut self, message: Message) {
        let of = |name: &str| message.headers.as_ref().and_then(|headers| number(headers, name));
        let guild = self.names.parse_live(&message.subject);
        let (Some(guild), Some(sequence)) = (guild, of(header::NATS_SEQUENCE.as_ref())) else {
            return tracing::warn!(subject = %message.subject, "message without a sequence skipped");
        };
        if self.kind == Kind::Events && self.last > 0 && sequence > self.last + 1 {
            self.outlet.gap();
        }
        self.last = sequence;
        let previous = of(header::NATS_LAST_SEQUENCE.as_ref()).unwrap_or(0);
        self.outlet.event(guild, sequence, previous, &message.payload);
    }

    fn compare_connects(&mut self) {
        let connects = (self.marks)().connects;
        if connects != self.known.connects {
            self.known.connects = connects;
            self.last = 0;
            if self.kind != Kind::Ephemeral {
                self.outlet.reconnected();
            }
        }
    }

    fn compare_drops(&mut self) {
        let drops = (self.marks)().drops;
        if drops != self.known.drops {
            self.known.drops = drops;
            if self.kind != Kind::Ephemeral {
                self.outlet.gap();
            }
        }
    }
}

#[cfg(test)]
mod tests;
