//! The comparison of what was acknowledged with what every client received and what the history has. Pure: no I/O.
//!
//! - A client gets each message of its channels once, in the order of their ids, and each edit and deletion once.
//! - What passed by while its session was lost for good it finds in the history when it has identified anew. Nothing else
//!   excuses a message that did not come.
//! - Nothing comes that was not acknowledged: senders repeat with the same nonce until they have an answer.
//! - Ids keep the order in which sends were acknowledged before others began.
//! - The history is what was acknowledged and not deleted, in its last version.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

/// A snowflake.
pub type Id = u64;

/// A message as its sender knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    pub channel: Id,
    pub author: Id,
    pub id: Id,
    /// What it says, and what it was edited to, in order.
    pub contents: Vec<String>,
    pub is_deleted: bool,
    /// When its first attempt began and when it was acknowledged, in milliseconds of one clock.
    pub began_ms: u64,
    pub acknowledged_ms: u64,
}

/// A message as somebody sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub channel: Id,
    pub author: Id,
    pub id: Id,
    pub content: String,
}

/// What a client gets, in the order in which it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Created(Seen),
    Updated(Seen),
    Deleted {
        channel: Id,
        id: Id,
    },
    /// A new session in the place of one that was lost for good.
    Identified,
    /// Found in the history after that.
    Found(Seen),
}

/// What one client got.
#[derive(Debug, Clone, Default)]
pub struct Received {
    pub who: String,
    /// The channels that its user may see.
    pub sees: BTreeSet<Id>,
    pub events: Vec<Event>,
}

/// A whole channel, oldest first, as one reader sees it.
#[derive(Debug, Clone)]
pub struct History {
    pub who: String,
    pub channel: Id,
    pub messages: Vec<Seen>,
}

/// What kind of wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Lost,
    Doubled,
    Reordered,
    /// Somebody else's, or nobody's.
    Foreign,
    /// Not what was said.
    Altered,
    /// Said to be offline while connected.
    Untrue,
    /// An answer that does not tell a client what to do.
    Imprecise,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub kind: Kind,
    pub text: String,
}

impl Finding {
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.text)
    }
}

/// Everything that is wrong. `channels` are those of the traffic: what else is said there is foreign.
pub fn judge(
    channels: &BTreeSet<Id>,
    sent: &[Sent],
    received: &[Received],
    histories: &[History],
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut by_id = HashMap::new();
    for message in sent {
        if by_id.insert(message.id, message).is_some() {
            findings.push(Finding::new(Kind::Doubled, format!("two sends were given the id {}", message.id)));
        }
    }
    findings.extend(order_of_ids(sent));
    for one in received {
        Client { channels, by_id: &by_id, one, findings: &mut findings }.judge();
    }
    histories.iter().for_each(|history| judge_history(sent, history, &mut findings));
    findings
}

/// What was acknowledged before something else began has the lower id.
fn order_of_ids(sent: &[Sent]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut by_channel: BTreeMap<Id, Vec<&Sent>> = BTreeMap::new();
    sent.iter().for_each(|message| by_channel.entry(message.channel).or_default().push(message));
    for messages in by_channel.values() {
        let mut begun: Vec<&Sent> = messages.clone();
        begun.sort_by_key(|message| message.began_ms);
        let mut answered: Vec<&Sent> = messages.clone();
        answered.sort_by_key(|message| message.acknowledged_ms);
        let (mut highest, mut next) = (None::<&Sent>, 0);
        for message in begun {
            while next < answered.len() && answered[next].acknowledged_ms < message.began_ms {
                highest = highest.into_iter().chain([answered[next]]).max_by_key(|message| message.id);
                next += 1;
            }
            if let Some(before) = highest.filter(|before| before.id >= message.id) {
                let text = format!(
                    "channel {}: {:?} ({}) was sent after the answer to {:?} ({})",
                    message.channel, message.contents[0], message.id, before.contents[0], before.id
                );
                findings.push(Finding::new(Kind::Reordered, text));
            }
        }
    }
    findings
}

struct Client<'a> {
    channels: &'a BTreeSet<Id>,
    by_id: &'a HashMap<Id, &'a Sent>,
    one: &'a Received,
    findings: &'a mut Vec<Finding>,
}

/// How often what comes once has come.
#[derive(Default)]
struct Progress {
    created: BTreeSet<Id>,
    found: BTreeSet<Id>,
    /// How many edits have come or were skipped.
    edits: HashMap<Id, usize>,
    deleted: BTreeSet<Id>,
    highest: HashMap<Id, Id>,
    has_identified: bool,
}

impl Client<'_> {
    fn judge(&mut self) {
        let mut progress = Progress::default();
        for event in &self.one.events {
            match event {
                Event::Identified => progress.has_identified = true,
                Event::Created(seen) if self.is_ours(seen.channel) => self.created(seen, &mut progress),
                Event::Updated(seen) if self.is_ours(seen.channel) => self.updated(seen, &mut progress),
                Event::Found(seen) if self.is_ours(seen.channel) => {
                    if self.is_known(seen, |sent| sent.contents.contains(&seen.content)) {
                        progress.found.insert(seen.id);
                    }
                }
                Event::Deleted { channel, id } if self.is_ours(*channel) => {
                    self.deleted(*channel, *id, &mut progress);
                }
                Event::Created(_) | Event::Updated(_) | Event::Found(_) | Event::Deleted { .. } => {}
            }
        }
        self.completeness(&progress);
    }

    fn is_ours(&self, channel: Id) -> bool {
        self.channels.contains(&channel)
    }

    fn find(&mut self, kind: Kind, text: &str) {
        self.findings.push(Finding::new(kind, format!("{}: {text}", self.one.who)));
    }

    /// Whether it is a message that was acknowledged, of a channel that this client may see, as it should be.
    fn is_known(&mut self, seen: &Seen, has_content: impl Fn(&Sent) -> bool) -> bool {
        let Seen { channel, author, id, content } = seen;
        if !self.one.sees.contains(channel) {
            self.find(Kind::Foreign, &format!("got {id} {content:?} of {channel}, which it may not see"));
            return false;
        }
        match self.by_id.get(id) {
            None => {
                self.find(Kind::Foreign, &format!("got {id} {content:?}, which nobody has sent"));
                false
            }
            Some(sent) if (sent.channel, sent.author) != (*channel, *author) || !has_content(sent) => {
                self.find(Kind::Altered, &format!("got {seen:?} where {sent:?} was sent"));
                false
            }
            Some(_) => true,
        }
    }

    fn created(&mut self, seen: &Seen, progress: &mut Progress) {
        let Seen { channel, id, content, .. } = seen;
        if !self.is_known(seen, |sent| sent.contents[0] == *content) {
            return;
        }
        if !progress.created.insert(*id) {
            return self.find(Kind::Doubled, &format!("got {id} {content:?} again"));
        }
        let highest = progress.highest.entry(*channel).or_default();
        if *highest > *id {
            let text = format!("got {id} {content:?} after {highest}");
            self.find(Kind::Reordered, &text);
        } else {
            *highest = *id;
        }
    }

    fn updated(&mut self, seen: &Seen, progress: &mut Progress) {
        let Seen { id, content, .. } = seen;
        let had = progress.edits.get(id).copied().unwrap_or(0);
        let by_id = self.by_id;
        if !self.is_known(seen, |sent| sent.contents[1..].contains(content)) {
            return;
        }
        let edits = by_id.get(id).map_or(&[][..], |sent| &sent.contents[1..]);
        let number = edits.iter().position(|edit| edit == content).map_or(0, |at| at + 1);
        let is_next = number == had + 1 || (progress.has_identified && number > had);
        if !is_next {
            let kind = if number <= had { Kind::Doubled } else { Kind::Lost };
            self.find(kind, &format!("got edit {number} of {id} {content:?} after {had} of them"));
        }
        progress.edits.insert(*id, number.max(had));
    }

    fn deleted(&mut self, channel: Id, id: Id, progress: &mut Progress) {
        let is_deleted = self.by_id.get(&id).is_some_and(|sent| sent.channel == channel && sent.is_deleted);
        if !self.one.sees.contains(&channel) || !is_deleted {
            self.find(Kind::Foreign, &format!("was told that {id} of {channel} was deleted"));
        } else if !progress.deleted.insert(id) {
            self.find(Kind::Doubled, &format!("was told again that {id} was deleted"));
        }
    }

    /// What was acknowledged and did not come.
    fn completeness(&mut self, progress: &Progress) {
        let Progress { created, found, edits, deleted, has_identified, .. } = progress;
        let mut sent: Vec<&Sent> = self.by_id.values().copied().collect();
        sent.sort_by_key(|message| message.id);
        for message in sent.into_iter().filter(|message| self.one.sees.contains(&message.channel)) {
            let Sent { id, contents, is_deleted, .. } = message;
            let is_found = found.contains(id) || (*is_deleted && *has_identified);
            if !created.contains(id) && !is_found {
                self.find(Kind::Lost, &format!("never got {id} {:?} of {}", contents[0], message.channel));
            }
            let had = edits.get(id).copied().unwrap_or(0);
            if had != contents.len() - 1 && !has_identified {
                self.find(Kind::Lost, &format!("got {had} of {} edits of {id}", contents.len() - 1));
            }
            if *is_deleted && !deleted.contains(id) && !has_identified {
                self.find(Kind::Lost, &format!("was never told that {id} was deleted"));
            }
        }
    }
}

fn judge_history(sent: &[Sent], history: &History, findings: &mut Vec<Finding>) {
    let History { who, channel, messages } = history;
    let mut find = |kind, text: String| {
        findings.push(Finding::new(kind, format!("the history of {channel} as {who} sees it: {text}")));
    };
    for pair in messages.windows(2).filter(|pair| pair[0].id >= pair[1].id) {
        let kind = if pair[0].id == pair[1].id { Kind::Doubled } else { Kind::Reordered };
        find(kind, format!("{} stands before {}", pair[0].id, pair[1].id));
    }
    let stands: HashMap<Id, &Seen> = messages.iter().map(|seen| (seen.id, seen)).collect();
    let is_there = |message: &&Sent| message.channel == *channel && !message.is_deleted;
    let should: HashMap<Id, &Sent> =
        sent.iter().filter(is_there).map(|message| (message.id, message)).collect();
    for (id, message) in &should {
        match stands.get(id) {
            None => find(Kind::Lost, format!("{id} {:?} is not in it", message.contents[0])),
            Some(seen) if message.contents.last() != Some(&seen.content) || message.author != seen.author => {
                find(Kind::Altered, format!("{seen:?} stands for {message:?}"));
            }
            Some(_) => {}
        }
    }
    for seen in messages.iter().filter(|seen| !should.contains_key(&seen.id)) {
        find(Kind::Foreign, format!("{} {:?} should not be in it", seen.id, seen.content));
    }
}

#[cfg(test)]
mod tests;
