//! What each session had to be given, worked out from the stream and the directory's history alone.
//!
//! A message is for those who could see its channel at its place in the stream: at the revision of the last change before
//! it. Two things widen that. A guild is opened from a snapshot that may be ahead of the stream: between the two either
//! counts. And a replay leaves out what can no longer be seen by then.

use std::collections::BTreeMap;

use model::view::ViewChange;
use model::{ChannelId, EventKind, UserId};
use proto::Envelope;

use super::super::Admission;
use super::super::rig::{GUILD, Sim};
use super::super::world::{guild_id, user_id};
use super::peer::{Peer, Received, Resumed};

pub struct Message {
    pub channel: ChannelId,
    /// Its place in the stream.
    pub sequence: u64,
}

/// The guild's stream.
pub struct History {
    pub messages: Vec<Message>,
    /// Revisions by the place of their event, the first before everything.
    revisions: Vec<(u64, u64)>,
    /// Where members were removed, and at which revision.
    removals: Vec<(u64, u64, UserId)>,
    /// Where the stream was when users were told that they had joined, and at which revision.
    joins: Vec<(u64, u64, UserId)>,
}

impl History {
    pub fn new(first: u64) -> Self {
        Self { messages: Vec::new(), revisions: vec![(0, first)], removals: Vec::new(), joins: Vec::new() }
    }

    pub fn published(&mut self, sequence: u64, envelope: &Envelope) {
        let revision = envelope.revision.expect("events of the directory have one");
        self.revisions.push((sequence, revision));
        if let Some(ViewChange::Member { id, after: None, .. }) = &envelope.view {
            self.removals.push((sequence, revision, *id));
        }
    }

    pub fn told(&mut self, user: UserId, envelope: &Envelope) {
        if let (EventKind::GuildJoined, Some(revision)) = (envelope.kind, envelope.revision) {
            self.joins.push((self.last(), revision, user));
        }
    }

    /// The place of the last event.
    pub fn last(&self) -> u64 {
        let message = self.messages.last().map_or(0, |message| message.sequence);
        message.max(self.revisions.last().map_or(0, |(sequence, _)| *sequence))
    }

    /// The revision at a place in the stream.
    pub fn revision_at(&self, sequence: u64) -> u64 {
        let place = self.revisions.partition_point(|(other, _)| *other < sequence);
        self.revisions[place - 1].1
    }
}

/// One session's case.
struct Case<'a> {
    sim: &'a Sim,
    history: &'a History,
    peer: &'a Peer,
    user: UserId,
    admissions: Vec<Admission>,
    /// Those of all sessions of the user on the same shard: each brings what is known of the member up to date for all.
    neighbours: Vec<Admission>,
}

pub fn check(sim: &Sim, history: &History, peer: &Peer) -> Result<(), String> {
    let user = user_id(peer.user);
    let guild = guild_id(GUILD);
    let (mut admissions, mut neighbours) = (Vec::new(), Vec::new());
    for shard in &sim.shards {
        let shard = shard.borrow();
        let of_guild: Vec<Admission> =
            shard.admissions.iter().filter(|other| other.guild == guild).copied().collect();
        let is_own = |other: &&Admission| other.session.to_string() == peer.session_id;
        if of_guild.iter().any(|other| is_own(&other)) {
            admissions.extend(of_guild.iter().filter(is_own));
            neighbours.extend(of_guild.iter().filter(|other| other.user == user));
        }
    }
    let case = Case { sim, history, peer, user, admissions, neighbours };
    if let Some(problem) = peer.problems.first() {
        return Err(problem.clone());
    }
    case.check_view()?;
    case.check_received()?;
    case.check_missing()
}

impl Case<'_> {
    /// In the end the client's picture of the guild is the truth.
    fn check_view(&self) -> Result<(), String> {
        let world = self.sim.world();
        let guild = world.now(guild_id(GUILD));
        let visible = guild.channels.values().filter(|channel| guild.sees(self.user, channel.id));
        let truth: BTreeMap<String, String> =
            visible.map(|channel| (channel.id.to_string(), channel.name.clone())).collect();
        let truth = guild.is_member(self.user).then_some(truth);
        let picture = self.peer.guilds.get(&GUILD.to_string());
        if truth.as_ref() == picture {
            Ok(())
        } else {
            Err(format!("it has {picture:?}, the truth is {truth:?}"))
        }
    }

    fn is_member_at(&self, revision: u64) -> bool {
        self.sim.world().at(guild_id(GUILD), revision).is_member(self.user)
    }

    fn sees_at(&self, revision: u64, channel: ChannelId) -> bool {
        self.sim.world().at(guild_id(GUILD), revision).sees(self.user, channel)
    }

    /// Each message once, in order, and none that the user could not see.
    fn check_received(&self) -> Result<(), String> {
        let mut last = 0;
        for received in &self.peer.messages {
            let message = &self.history.messages[received.number];
            if message.sequence <= last {
                return Err(format!("message {} came twice or out of order", received.number));
            }
            last = message.sequence;
            let Some(admission) = self.admission_before(received) else {
                return Err(format!("message {} came before the guild", received.number));
            };
            if message.sequence <= admission.after {
                return Err(format!("message {} was in the guild already", received.number));
            }
            let revision = self.history.revision_at(message.sequence);
            let known = self.neighbours.iter().filter(|other| other.at_ms <= received.at_ms);
            let newest = known.map(|other| other.revision).max().unwrap_or(0);
            let mut revisions = revision..=revision.max(newest);
            if !revisions.any(|revision| self.sees_at(revision, message.channel)) {
                return Err(format!("message {} was not for this user", received.number));
            }
        }
        Ok(())
    }

    fn admission_before(&self, received: &Received) -> Option<&Admission> {
        self.admissions.iter().rfind(|admission| u64::from(admission.seq) < received.seq)
    }

    fn check_missing(&self) -> Result<(), String> {
        for (index, admission) in self.admissions.iter().enumerate() {
            // What came before the next opening may have been cut off by it, or by what began it.
            let from = admission.after;
            let until = self.end_of(admission);
            let next = self.admissions.get(index + 1).map_or(0, |next| next.after);
            let cut = next.max(self.next_join(admission));
            for (number, message) in self.history.messages.iter().enumerate() {
                let is_covered =
                    message.sequence > from && message.sequence < until && message.sequence > cut;
                let is_given = self.peer.messages.iter().any(|received| received.number == number);
                if is_covered && !is_given && self.is_owed(admission, message) {
                    return Err(format!("message {number} of {:?} is missing", message.channel));
                }
            }
        }
        Ok(())
    }

    /// Where the stream was when the user was told that they had joined after this opening, and so that they had left.
    fn next_join(&self, admission: &Admission) -> u64 {
        let is_next =
            |(_, revision, user): &&(u64, u64, UserId)| *user == self.user && *revision > admission.revision;
        self.history.joins.iter().find(is_next).map_or(0, |(sequence, ..)| *sequence)
    }

    /// Where the user was removed after this opening.
    fn end_of(&self, admission: &Admission) -> u64 {
        let removal = self
            .history
            .removals
            .iter()
            .find(|(_, revision, user)| *user == self.user && *revision > admission.revision);
        removal.map_or(u64::MAX, |(sequence, ..)| *sequence)
    }

    /// Whether nothing excuses that the message was not given.
    fn is_owed(&self, admission: &Admission, message: &Message) -> bool {
        let revision = self.history.revision_at(message.sequence);
        let replays = self.peer.resumes.iter().filter(|resumed| resumed.until >= message.sequence);
        let last = self.sim.world().now(guild_id(GUILD)).guild.revision;
        // A guild that is to be made again for a replay is not when the directory knows it to be left.
        let asked = replays.clone().map(|resumed| resumed.revision.min(last)).max().unwrap_or(revision);
        if !(revision..=asked).all(|revision| self.is_member_at(revision)) {
            return false;
        }
        // And then it is left for good.
        let is_left = |resumed: &Resumed| {
            let mut known = admission.revision..=resumed.revision.min(last);
            resumed.until < message.sequence && !known.all(|revision| self.is_member_at(revision))
        };
        if self.peer.resumes.iter().any(is_left) {
            return false;
        }
        let replayed_at = replays.map(|resumed| match resumed.until {
            u64::MAX => last,
            until => self.history.revision_at(until + 1),
        });
        let known = self.neighbours.iter().map(|other| other.revision).max().unwrap_or(admission.revision);
        let until = replayed_at.max().unwrap_or(0).max(known).max(revision);
        (revision..=until).all(|revision| self.sees_at(revision, message.channel))
    }
}
