//! What stands in the streams at the end: of each slot of channels one writer after the other, never two at once.
//!
//! A replica that was replaced and did not know it would show here: as an event of an earlier epoch behind one of a later
//! one, as an id of an earlier worker behind one of the owner's, or as a lower id behind a higher one. An owner begins with what
//! its sweep publishes for those before it, whose ids are theirs.

use std::collections::HashMap;

use backplane::nats::Config;
use backplane::{Backplane, Nats, Partition, Stream};
use model::{ChannelId, EventKind};
use proto::Envelope;

use crate::town::Town;

pub async fn one_writer_at_a_time(town: &Town) {
    let urls = town.members("nats").iter().map(|node| format!("nats://{}", node.address())).collect();
    let nats = Nats::connect(&Config { layout: LAYOUT, ..Config::new(urls) }).await.unwrap();
    let mut audit = Audit::default();
    for partition in 0..LAYOUT.guild_partitions {
        let stream = Stream::Guilds(Partition(partition));
        let state = nats.state(stream).await.unwrap();
        let mut next = state.first;
        while next <= state.last {
            let events = nats.read(stream, next..=state.last, PAGE).await.unwrap();
            next = events.last().unwrap().sequence + 1;
            events.into_iter().for_each(|event| audit.take(&Envelope::decode(event.envelope).unwrap()));
        }
    }
    println!("{} messages in the streams, of {} epochs", audit.messages, audit.workers.len());
    assert!(audit.messages > 100, "{} messages prove little", audit.messages);
}

#[derive(Default)]
struct Audit {
    /// The highest epoch of each slot so far.
    epochs: HashMap<u16, u64>,
    /// Who gave the ids in each epoch of a slot, one after the other: its owner comes last.
    workers: HashMap<(u16, u64), Vec<u64>>,
    newest: HashMap<ChannelId, u64>,
    messages: usize,
}

impl Audit {
    fn take(&mut self, envelope: &Envelope) {
        let Envelope { event_id, kind, writer, channel_id, .. } = envelope;
        if writer.set != CHANNELS {
            return;
        }
        let highest = self.epochs.entry(writer.slot).or_default();
        assert!(
            writer.epoch >= *highest,
            "an event of epoch {} behind one of {highest}: {envelope:?}",
            writer.epoch
        );
        *highest = writer.epoch;
        let worker = event_id >> INCREMENT_BITS & WORKER_MASK;
        let workers = self.workers.entry((writer.slot, writer.epoch)).or_default();
        if workers.last() != Some(&worker) {
            assert!(!workers.contains(&worker), "a worker goes on after another in one epoch: {envelope:?}");
            workers.push(worker);
        }
        if let (EventKind::MessageCreate, Some(channel)) = (kind, channel_id) {
            let newest = self.newest.entry(*channel).or_default();
            assert!(event_id > newest, "{event_id} behind {newest}: {envelope:?}");
            *newest = *event_id;
            self.messages += 1;
        }
    }
}

const LAYOUT: backplane::Layout = backplane::Layout { guild_partitions: 4, user_partitions: 2 };
/// The number of the slot set in an envelope.
const CHANNELS: u8 = 1;
const INCREMENT_BITS: u32 = 12;
const WORKER_MASK: u64 = 0x3ff;
const PAGE: usize = 500;
