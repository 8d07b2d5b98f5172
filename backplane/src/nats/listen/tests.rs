//! What a listener is told, driven by hand: messages, and what has happened to the connection.

use std::sync::Arc;
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use futures_util::stream;
use model::GuildId;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::*;
use crate::port::{Delivery, Listener};
use crate::subject::Layout;

struct Rig {
    messages: mpsc::Sender<Message>,
    marks: Arc<Mutex<Marks>>,
    wake: watch::Sender<()>,
    listener: Listener,
    pump: JoinSet<()>,
}

fn rig(kind: Kind) -> Rig {
    let (messages, mut receiver) = mpsc::channel(16);
    let known = Marks { connects: 1, drops: 0 };
    let marks = Arc::new(Mutex::new(known));
    let wake = watch::Sender::new(());
    let (outlet, listener) = Outlet::new(16);
    let shown = Arc::clone(&marks);
    let subscriber = stream::poll_fn(move |context| receiver.poll_recv(context));
    let wakes = wake.subscribe();
    let mut pump = JoinSet::new();
    let marks_of_now = move || *shown.lock();
    let names = Names::new("", Layout { guild_partitions: 1, user_partitions: 1 }).unwrap();
    pump.spawn(Pump { names, subscriber, marks: marks_of_now, wakes, known, outlet, kind, last: 0 }.run());
    Rig { messages, marks, wake, listener, pump }
}

impl Rig {
    fn send(&self, sequence: Option<u64>) {
        let mut headers = HeaderMap::new();
        if let Some(sequence) = sequence {
            headers.insert(header::NATS_SEQUENCE, sequence.to_string());
            headers.insert(header::NATS_LAST_SEQUENCE, (sequence - 1).to_string());
        }
        let message = Message {
            subject: "live.0.7".into(),
            reply: None,
            payload: Bytes::new(),
            headers: Some(headers),
            status: None,
            description: None,
            length: 0,
        };
        self.messages.try_send(message).unwrap();
    }

    fn mark(&self, change: impl FnOnce(&mut Marks)) {
        change(&mut self.marks.lock());
        self.wake.send_replace(());
    }

    async fn expect(&mut self, deliveries: &[Delivery]) {
        for delivery in deliveries {
            let next = tokio::time::timeout(Duration::from_secs(10), self.listener.next()).await;
            assert_eq!(next.expect("in time").as_ref(), Some(delivery));
        }
        let more = tokio::time::timeout(Duration::from_millis(1), self.listener.next()).await;
        assert!(more.is_err(), "{more:?}");
    }
}

fn event(sequence: u64) -> Delivery {
    let guild = GuildId::new(7).unwrap();
    Delivery::Event { guild, sequence, previous: sequence - 1, envelope: Bytes::new() }
}

#[tokio::test(start_paused = true)]
async fn a_hole_is_a_gap_and_a_message_without_a_sequence_is_none() {
    let mut rig = rig(Kind::Events);
    for sequence in [Some(5), Some(6), None, Some(9)] {
        rig.send(sequence);
    }
    rig.expect(&[event(5), event(6), Delivery::Gap, event(9)]).await;
}

#[tokio::test(start_paused = true)]
async fn what_other_guilds_have_is_no_hole() {
    let mut rig = rig(Kind::GuildEvents);
    for sequence in [Some(5), Some(9)] {
        rig.send(sequence);
    }
    rig.expect(&[event(5), event(9)]).await;
    rig.mark(|marks| marks.drops += 1);
    rig.expect(&[Delivery::Gap]).await;
}

#[tokio::test(start_paused = true)]
async fn a_reconnect_comes_before_the_first_message_of_the_new_connection() {
    let mut rig = rig(Kind::Events);
    rig.send(Some(5));
    rig.expect(&[event(5)]).await;
    rig.marks.lock().connects += 1;
    rig.send(Some(2));
    rig.expect(&[Delivery::Reconnected, event(2)]).await;
    rig.mark(|marks| marks.connects += 1);
    rig.expect(&[Delivery::Reconnected]).await;
}

#[tokio::test(start_paused = true)]
async fn what_the_client_dropped_is_a_gap_behind_what_it_did_not() {
    let mut rig = rig(Kind::Events);
    rig.mark(|marks| marks.drops += 7);
    for sequence in 1..=3 {
        rig.send(Some(sequence));
    }
    rig.expect(&[event(1), event(2), event(3), Delivery::Gap]).await;
    rig.wake.send_replace(());
    rig.expect(&[]).await;
}

#[tokio::test(start_paused = true)]
async fn ephemeral_events_are_given_and_nothing_else() {
    let mut rig = rig(Kind::Ephemeral);
    rig.mark(|marks| (marks.drops, marks.connects) = (1, 2));
    rig.send(None);
    rig.expect(&[Delivery::Ephemeral(Bytes::new())]).await;
}

#[tokio::test(start_paused = true)]
async fn a_pump_ends_with_its_listener_and_a_listener_with_its_connection() {
    let mut one = rig(Kind::Events);
    drop(one.listener);
    one.pump.join_next().await.unwrap().unwrap();
    let mut other = rig(Kind::Events);
    drop(other.messages);
    assert_eq!(other.listener.next().await, None);
}
