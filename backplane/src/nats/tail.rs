//! How far each partition is published: from our own acknowledgements, and from what other publishers tell.
//!
//! A publisher tells every `TAIL_TELL_MS` what it has published in the last `TAIL_TOLD_MS`: a version, then the pairs of
//! guild and sequence in the order of publishing, eight bytes each, the lowest first. A reader in partition mode needs
//! the highest only, one in guild mode the highest of each of its guilds; those are forgotten again, since the check of
//! such a reader finds what a tail did not tell. What lies above the stream's last sequence is of an earlier
//! incarnation: whoever asks for the state takes it back.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use model::GuildId;
use model::limits;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
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
    guilds: Mutex<FxHashMap<GuildId, GuildTail>>,
}

struct GuildTail {
    at: Instant,
    sequence: u64,
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

    pub(super) fn highest_of(&self, partition: Partition, guild: GuildId) -> u64 {
        let tail = self.get(partition);
        tail.and_then(|tail| tail.guilds.lock().get(&guild).map(|tail| tail.sequence)).unwrap_or(0)
    }

    /// Our own publish was acknowledged.
    pub(super) fn published(&self, partition: Partition, guild: GuildId, sequence: u64) {
        let Some(tail) = self.get(partition) else { return };
        tail.take([(guild, sequence)]);
        let mut recent = tail.recent.lock();
        if recent.len() >= limits::TAIL_EVENTS_MAX {
            recent.pop_front();
        }
        recent.push_back(Published { at: Instant::now(), guild, sequence });
    }

    /// Somebody told how far he has published.
    pub(super) fn heard(&self, partition: Partition, message: &[u8]) {
        if let (Some(tail), Some(pairs)) = (self.get(partition), decode(message)) {
            tail.take(pairs);
        }
    }

    /// The stream ends at `last`, and did so when the tail was known to be `before`.
    pub(super) fn ends_at(&self, partition: Partition, before: u64, last: u64) {
        let Some(tail) = self.get(partition).filter(|_| before > last) else { return };
        if tail.highest.compare_exchange(before, last, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            tail.guilds.lock().clear();
        }
    }

    /// What is to be told now.
    pub(super) fn news(&self) -> Vec<(Partition, Bytes)> {
        let oldest = Instant::now().checked_sub(Duration::from_millis(limits::TAIL_TOLD_MS));
        let mut news = Vec::new();
        for (partition, tail) in (0..).map(Partition).zip(&self.partitions) {
            tail.forget_old(oldest);
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

impl Tail {
    fn take(&self, pairs: impl IntoIterator<Item = (GuildId, u64)>) {
        let (at, mut guilds) = (Instant::now(), self.guilds.lock());
        for (guild, sequence) in pairs {
            self.highest.fetch_max(sequence, Ordering::AcqRel);
            if guilds.len() < limits::TAIL_GUILDS_MAX || guilds.contains_key(&guild) {
                let tail = guilds.entry(guild).or_insert(GuildTail { at, sequence });
                *tail = GuildTail { at, sequence: tail.sequence.max(sequence) };
            }
        }
    }

    /// A reader looks twice while a tail is remembered: it is told for as long again.
    fn forget_old(&self, oldest: Option<Instant>) {
        let mut guilds = self.guilds.lock();
        guilds.retain(|_, tail| oldest.is_none_or(|oldest| tail.at >= oldest));
        if guilds.is_empty() {
            guilds.shrink_to_fit();
        }
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

fn decode(message: &[u8]) -> Option<impl Iterator<Item = (GuildId, u64)>> {
    let (version, pairs) = message.split_first()?;
    if !(VERSION..=VERSION + 1).contains(version) {
        return None;
    }
    Some(pairs.chunks_exact(16).filter_map(|pair| {
        let (guild, rest) = pair.split_first_chunk::<8>()?;
        let guild = GuildId::new(u64::from_le_bytes(*guild))?;
        Some((guild, u64::from_le_bytes(*rest.first_chunk::<8>()?)))
    }))
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
        assert_eq!([7, 8, 9].map(|number| theirs.highest_of(FIRST, guild(number))), [5, 4, 0]);
        tokio::time::advance(Duration::from_millis(limits::TAIL_TOLD_MS + 1)).await;
        assert_eq!(ours.news(), []);
        assert_eq!((ours.highest(FIRST), ours.highest_of(FIRST, guild(7))), (5, 0));
    }

    #[tokio::test]
    async fn tails_of_guilds_are_bounded_and_the_partitions_is_not() {
        let tails = Tails::new(1);
        let guilds = limits::TAIL_GUILDS_MAX as u64;
        for number in 1..=guilds + 1 {
            tails.published(FIRST, guild(number), number);
        }
        assert_eq!(tails.highest_of(FIRST, guild(guilds)), guilds);
        assert_eq!((tails.highest_of(FIRST, guild(guilds + 1)), tails.highest(FIRST)), (0, guilds + 1));
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
        assert_eq!((tails.highest(FIRST), tails.highest_of(FIRST, guild(7))), (3, 0));
        tails.ends_at(FIRST, 3, 8);
        assert_eq!(tails.highest(FIRST), 3);
    }

    #[tokio::test]
    async fn a_kept_tail_is_heard() {
        let (ours, theirs) = (Tails::new(1), Tails::new(1));
        for (number, sequence) in [(7, 5), (8, 4), (7, 6)] {
            ours.published(FIRST, guild(number), sequence);
        }
        let today = &ours.news()[0].1;
        let kept = doubles::fixture(env!("CARGO_MANIFEST_DIR"), "v1/tail.bin", today);
        assert_eq!(today[..], kept, "what is written has changed: raise the version, and keep this one");
        theirs.heard(FIRST, &kept);
        let heard = |number| theirs.highest_of(FIRST, guild(number));
        assert_eq!((theirs.highest(FIRST), heard(7), heard(8)), (6, 6, 4));
    }

    #[test]
    fn garbage_says_nothing() {
        for garbage in [&[][..], &[0; 17], &[VERSION + 2; 17], &[VERSION; 9]] {
            assert_eq!(decode(garbage).into_iter().flatten().next(), None);
        }
        let mut next = vec![VERSION + 1];
        next.extend([1; 16]);
        let ones = u64::from_le_bytes([1; 8]);
        assert!(decode(&next).into_iter().flatten().eq([(guild(ones), ones)]));
    }
}
