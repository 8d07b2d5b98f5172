//! What the senders and receivers of one traffic note, and what can be said of it while it runs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::judge::{Event, Finding, Id, Kind, Received, Seen, Sent};

/// Everything that was noted.
#[derive(Debug)]
pub(super) struct Book {
    /// The channels of the traffic.
    pub(super) channels: BTreeSet<Id>,
    /// Users who are connected all the time, to one gateway at least.
    pub(super) people: BTreeSet<Id>,
    began: Instant,
    senders: Mutex<Senders>,
    pub(super) receivers: Vec<Receiver>,
}

#[derive(Debug, Default)]
struct Senders {
    sent: Vec<Sent>,
    findings: Vec<Finding>,
    counts: Counts,
}

/// What one receiver noted.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) who: String,
    pub(super) sees: BTreeSet<Id>,
    notes: Mutex<Notes>,
}

#[derive(Debug, Default)]
struct Notes {
    events: Vec<Event>,
    /// When each message came, or was found.
    had_ms: HashMap<Id, u64>,
    highest: BTreeMap<Id, Id>,
    resumes: usize,
    identifies: usize,
    found: usize,
    /// The guilds of its session that have not come yet; none before the first session.
    unopened: Option<BTreeSet<Id>>,
}

/// What happened, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sends, edits and deletions that were acknowledged.
    pub acknowledged: usize,
    /// 503 with `Retry-After`.
    pub refused: usize,
    /// Connections that broke before the answer.
    pub broken: usize,
    /// From the first attempt to the acknowledgement.
    pub longest_send_ms: u64,
    /// From the acknowledgement to the receiver that got it last.
    pub longest_delivery_ms: u64,
    pub resumes: usize,
    /// New sessions in the place of lost ones.
    pub identifies: usize,
    /// What receivers found in the history after that.
    pub found: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = |ms: u64| Duration::from_millis(ms).as_secs_f64();
        write!(
            f,
            "{} acknowledged, {} 503s, {} broken, longest send {:.1} s, longest delivery {:.1} s, {} resumes, \
             {} identifies, {} found in the history",
            self.acknowledged,
            self.refused,
            self.broken,
            secs(self.longest_send_ms),
            secs(self.longest_delivery_ms),
            self.resumes,
            self.identifies,
            self.found
        )
    }
}

/// Where in the book a time begins.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    sent: usize,
    counts: Counts,
    receivers: Vec<(usize, usize, usize)>,
}

impl Book {
    pub(super) fn new(
        channels: BTreeSet<Id>,
        people: BTreeSet<Id>,
        receivers: Vec<(String, BTreeSet<Id>)>,
    ) -> Self {
        let receiver = |(who, sees)| Receiver { who, sees, notes: Mutex::default() };
        Self {
            channels,
            people,
            began: Instant::now(),
            senders: Mutex::default(),
            receivers: receivers.into_iter().map(receiver).collect(),
        }
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }

    pub(super) fn find(&self, kind: Kind, text: String) {
        self.senders.lock().findings.push(Finding::new(kind, text));
    }

    /// A message is acknowledged; gives its place for [`Self::edited`] and [`Self::deleted`].
    pub(super) fn acknowledged(&self, sent: Sent) -> usize {
        let mut senders = self.senders.lock();
        senders.sent.push(sent);
        senders.sent.len() - 1
    }

    pub(super) fn edited(&self, at: usize, content: String) {
        self.senders.lock().sent[at].contents.push(content);
    }

    pub(super) fn deleted(&self, at: usize) {
        self.senders.lock().sent[at].is_deleted = true;
    }

    /// An answer other than the one that is hoped for.
    pub(super) fn count(&self, note: impl FnOnce(&mut Counts)) {
        note(&mut self.senders.lock().counts);
    }

    pub(super) fn mark(&self) -> Mark {
        let receivers = self.receivers.iter().map(|receiver| receiver.notes.lock().sessions()).collect();
        let mut senders = self.senders.lock();
        // The longest of the time that begins now.
        senders.counts.longest_send_ms = 0;
        Mark { sent: senders.sent.len(), counts: senders.counts, receivers }
    }

    /// What happened since then.
    pub(super) fn since(&self, mark: &Mark) -> Counts {
        let senders = self.senders.lock();
        let Counts { acknowledged, refused, broken, .. } = mark.counts;
        let mut counts = Counts {
            acknowledged: senders.counts.acknowledged - acknowledged,
            refused: senders.counts.refused - refused,
            broken: senders.counts.broken - broken,
            ..senders.counts
        };
        for (receiver, (resumes, identifies, found)) in self.receivers.iter().zip(&mark.receivers) {
            let notes = receiver.notes.lock();
            counts.resumes += notes.resumes - resumes;
            counts.identifies += notes.identifies - identifies;
            counts.found += notes.found - found;
            for message in &senders.sent[mark.sent..] {
                let had_ms = notes.had_ms.get(&message.id).copied().unwrap_or(0);
                let delay_ms = had_ms.saturating_sub(message.acknowledged_ms);
                counts.longest_delivery_ms = counts.longest_delivery_ms.max(delay_ms);
            }
        }
        counts
    }

    /// Which of the first so many messages somebody who may see them has not got yet, by receiver.
    pub(super) fn missing(&self, count: usize) -> Vec<(String, Vec<Id>)> {
        let senders = self.senders.lock();
        let stands = senders.sent[..count].iter().filter(|message| !message.is_deleted);
        let stands: Vec<(Id, Id)> = stands.map(|message| (message.channel, message.id)).collect();
        drop(senders);
        let of = |receiver: &Receiver| {
            let notes = receiver.notes.lock();
            let is_missing =
                |(channel, id): &&(Id, Id)| receiver.sees.contains(channel) && !notes.had_ms.contains_key(id);
            (receiver.who.clone(), stands.iter().filter(is_missing).map(|(_, id)| *id).collect::<Vec<Id>>())
        };
        self.receivers.iter().map(of).filter(|(_, missing)| !missing.is_empty()).collect()
    }

    pub(super) fn sent_count(&self) -> usize {
        self.senders.lock().sent.len()
    }

    /// How much has come to all receivers.
    pub(super) fn event_count(&self) -> usize {
        self.receivers.iter().map(|receiver| receiver.notes.lock().events.len()).sum()
    }

    /// How many sends to each channel were acknowledged so far.
    pub(super) fn by_channel(&self) -> BTreeMap<Id, usize> {
        let mut counts: BTreeMap<Id, usize> = self.channels.iter().map(|channel| (*channel, 0)).collect();
        for message in &self.senders.lock().sent {
            *counts.entry(message.channel).or_default() += 1;
        }
        counts
    }

    pub(super) fn sent(&self) -> Vec<Sent> {
        self.senders.lock().sent.clone()
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        self.senders.lock().findings.clone()
    }

    pub(super) fn received(&self) -> Vec<Received> {
        let of = |receiver: &Receiver| Received {
            who: receiver.who.clone(),
            sees: receiver.sees.clone(),
            events: receiver.notes.lock().events.clone(),
        };
        self.receivers.iter().map(of).collect()
    }
}

impl Receiver {
    pub(super) fn event(&self, event: Event, now_ms: u64) {
        let mut notes = self.notes.lock();
        match &event {
            Event::Created(Seen { channel, id, .. }) | Event::Found(Seen { channel, id, .. }) => {
                notes.had_ms.entry(*id).or_insert(now_ms);
                let highest = notes.highest.entry(*channel).or_default();
                *highest = (*highest).max(*id);
                notes.found += usize::from(matches!(event, Event::Found(_)));
            }
            Event::Identified => notes.identifies += 1,
            Event::Updated(_) | Event::Deleted { .. } => {}
        }
        notes.events.push(event);
    }

    /// A session begins with these guilds; whether it takes the place of another.
    pub(super) fn begin(&self, guilds: Vec<Id>) -> bool {
        self.notes.lock().unopened.replace(guilds.into_iter().collect()).is_some()
    }

    pub(super) fn opened(&self, guild: Option<Id>) {
        if let (Some(guild), Some(unopened)) = (guild, &mut self.notes.lock().unopened) {
            unopened.remove(&guild);
        }
    }

    /// Whether all guilds of its session are there.
    pub(super) fn is_open(&self) -> bool {
        self.notes.lock().unopened.as_ref().is_some_and(BTreeSet::is_empty)
    }

    pub(super) fn resumed(&self) {
        self.notes.lock().resumes += 1;
    }

    /// The newest message that it has of each of its channels.
    pub(super) fn newest(&self) -> BTreeMap<Id, Id> {
        let notes = self.notes.lock();
        self.sees.iter().map(|channel| (*channel, notes.highest.get(channel).copied().unwrap_or(0))).collect()
    }

    pub(super) fn has(&self, id: Id) -> bool {
        self.notes.lock().had_ms.contains_key(&id)
    }
}

impl Notes {
    fn sessions(&self) -> (usize, usize, usize) {
        (self.resumes, self.identifies, self.found)
    }
}
