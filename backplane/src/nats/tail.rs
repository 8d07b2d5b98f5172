//! How far each partition is published: from our own acknowledgements, and from what other publishers tell.
//!
//! A publisher tells every `TAIL_TELL_MS` what it has published in the last `TAIL_TOLD_MS`: a version, then the pairs of
//! guild and sequence in the order of publishing, eight bytes each, the lowest first. A reader in partition mode needs
//! the highest only. What lies above the stream's last sequence is of an earlier incarnation: whoever asks for the
//! state takes it back.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use model::GuildId;
use model::limits;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::subject::Partition;

/// The version that is written; the next one is read as well, and may have more behind the pairs of a version.
const VERSION: u8 = 1;

pub(super) struct Tails {
    partitions: Box<[Tail]>,
}

#[derive(Default)]
struct Tail {
    highest: AtomicU64,
    recent: Mutex<VecDeque<Published>>,
}

struct Published {
    at: Instant,
    guild: GuildId,
    sequence: u64,
}

impl Tails {
    pub(super) fn new(partitions: u16) -> Self {
        Self { partitions: (0..partitions).map(|_| Tail::default()).collect() }
    }

    pub(super) fn highest(&self, partition: Partition) -> u64 {
        self.get(partition).map_or(0, |tail| tail.highest.load(Ordering::Acquire))
    }

    /// Our own publish was acknowledged.
    pub(super) fn published(&self, partition: Partition, guild: GuildId, sequence: u64) {
        let Some(tail) = self.get(partition) else { return };
        tail.highest.fetch_max(sequence, Ordering::AcqRel);
        let mut recent = tail.recent.lock();
        if recent.len() >= limits::TAIL_EVENTS_MAX {
            recent.pop_front();
        }
        recent.push_back(Published { at: Instant::now(), guild, sequence });
    }

    /// Somebody told how far he has published.
    pub(super) fn heard(&self, partition: Partition, message: &[u8]) {
        let (Some(tail), Some(highest)) = (self.get(partition), decode(message)) else { return };
        tail.highest.fetch_max(highest, Ordering::AcqRel);
    }

    /// The stream ends at `last`, and did so when the tail was known to be `before`.
    pub(super) fn ends_at(&self, partition: Partition, before: u64, last: u64) {
        if let Some(tail) = self.get(partition).filter(|_| before > last) {
            let _ = tail.highest.compare_exchange(before, last, Ordering::AcqRel, Ordering::Acquire);
        }
    }

    /// What is to be told now.
    pub(super) fn news(&self) -> Vec<(Partition, Bytes)> {
        let oldest = Instant::now().checked_sub(Duration::from_millis(limits::TAIL_TOLD_MS));
        let mut news = Vec::new();
        for (partition, tail) in (0..).map(Partition).zip(&self.partitions) {
            let mut recent = tail.recent.lock();
            while recent.front().is_some_and(|published| oldest.is_some_and(|oldest| published.at < oldest)) {
                recent.pop_front();
            }
            if !recent.is_empty() {
                news.push((partition, encode(&recent)));
            }
        }
        news
    }

    fn get(&self, partition: Partition) -> Option<&Tail> {
        self.partitions.get(usize::from(partition.0))
    }
}

fn encode(recent: &VecDeque<Published>) -> Bytes {
    let mut bytes = Vec::with_capacity(1 + recent.len() * 16);
    bytes.push(VERSION);
    for published in recent {
        bytes.extend(published.guild.get().to_le_bytes());
        bytes.extend(published.sequence.to_le_bytes());
    }
    bytes.into()
}

fn decode(message: &[u8]) -> Option<u64> {
    let (version, pairs) = message.split_first()?;
    if !(VERSION..=VERSION + 1).contains(version) {
        return None;
    }
    let sequences = pairs.chunks_exact(16).filter_map(|pair| pair.last_chunk::<8>());
    sequences.map(|sequence| u64::from_le_bytes(*sequence)).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Partition = Partition(0);

    fn guild(number: u64) -> GuildId {
        GuildId::new(number).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_published_lately_is_told_and_then_no_more() {
        let (ours, theirs) = (Tails::new(2), Tails::new(2));
        ours.published(FIRST, guild(7), 5);
        ours.published(FIRST, guild(8), 4);
        assert_eq!(ours.highest(FIRST), 5);
        let [(partition, message)] = &ours.news()[..] else { panic!("one partition has news") };
        theirs.heard(*partition, message);
        assert_eq!((theirs.highest(FIRST), theirs.highest(Partition(1))), (5, 0));
        tokio::time::advance(Duration::from_millis(limits::TAIL_TOLD_MS + 1)).await;
        assert_eq!(ours.news(), []);
        assert_eq!(ours.highest(FIRST), 5);
    }

    #[tokio::test]
    async fn the_newest_are_told_and_no_more_than_the_bound() {
        let (ours, theirs) = (Tails::new(1), Tails::new(1));
        for sequence in 1..=limits::TAIL_EVENTS_MAX as u64 + 9 {
            ours.published(FIRST, guild(7), sequence);
        }
        let news = ours.news();
        assert_eq!(news[0].1.len(), 1 + 16 * limits::TAIL_EVENTS_MAX);
        theirs.heard(FIRST, &news[0].1);
        assert_eq!(theirs.highest(FIRST), ours.highest(FIRST));
    }

    #[test]
    fn a_tail_of_an_earlier_incarnation_is_taken_back() {
        let tails = Tails::new(1);
        tails.published(FIRST, guild(7), 100);
        tails.ends_at(FIRST, 99, 3);
        assert_eq!(tails.highest(FIRST), 100, "it rose after the question");
        tails.ends_at(FIRST, 100, 3);
        assert_eq!(tails.highest(FIRST), 3);
        tails.ends_at(FIRST, 3, 8);
        assert_eq!(tails.highest(FIRST), 3);
    }

    #[test]
    fn garbage_says_nothing() {
        for garbage in [&[][..], &[0; 17], &[VERSION + 2; 17], &[VERSION; 9]] {
            assert_eq!(decode(garbage), None);
        }
        let mut next = vec![VERSION + 1];
        next.extend([1; 16]);
        assert_eq!(decode(&next), Some(u64::from_le_bytes([1; 8])));
    }
}
