//! What was published, where it stands in whose stream, and what was true when.

use std::collections::BTreeMap;
use std::rc::Rc;

use model::{ChannelId, UserId};

use super::super::rig::{GUILD, OTHER_GUILD};
use super::super::world::{World, channel_id, guild_id, user_id};

/// Whose events are in one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    Guild(u64),
    User(u64),
}

pub const GUILDS: [u64; 2] = [GUILD, OTHER_GUILD];

/// A message, or an edit of one; its text is its number.
pub struct Said {
    pub channel: u64,
    /// Where it stands.
    pub places: BTreeMap<Source, u64>,
}

#[derive(Default)]
pub struct History {
    pub said: Vec<Said>,
    /// By guild: the places of its changes, each with the revision from there on.
    revisions: BTreeMap<u64, Vec<(u64, u64)>>,
    last: BTreeMap<Source, u64>,
}

/// How things are when something is read.
#[derive(Debug, Clone, Default)]
pub struct Moment {
    /// What the directory knows of each guild.
    pub revisions: BTreeMap<u64, u64>,
    /// The last event of each source.
    pub last: BTreeMap<Source, u64>,
}

impl History {
    pub fn new(world: &World) -> Self {
        let first = |guild: u64| (guild, vec![(0, world.now(guild_id(guild)).guild.revision)]);
        Self { revisions: GUILDS.map(first).into(), ..Self::default() }
    }

    pub fn published(&mut self, source: Source, place: u64) {
        self.last.insert(source, place);
    }

    pub fn changed(&mut self, guild: u64, place: u64, revision: u64) {
        self.published(Source::Guild(guild), place);
        self.revisions.entry(guild).or_default().push((place, revision));
    }

    pub fn moment(&self, world: &World) -> Rc<Moment> {
        let now = |guild: u64| (guild, world.now(guild_id(guild)).guild.revision);
        Rc::new(Moment { revisions: GUILDS.map(now).into(), last: self.last.clone() })
    }

    /// What the stream had told of the guild before this place.
    pub fn revision_at(&self, guild: u64, place: u64) -> u64 {
        let revisions = &self.revisions[&guild];
        revisions[revisions.partition_point(|(other, _)| *other < place) - 1].1
    }

    /// Whether the user sees the channel of what was said at all revisions between its place and a moment, and at any.
    pub fn seen(
        &self,
        world: &World,
        user: u64,
        source: Source,
        number: usize,
        until: &Moment,
    ) -> (bool, bool) {
        let Source::Guild(guild) = source else { return (true, true) };
        let said = &self.said[number];
        let (user, channel): (UserId, ChannelId) = (user_id(user), channel_id(said.channel));
        let mut revisions = self.revision_at(guild, said.places[&source])..=until.revisions[&guild];
        let sees = |revision: u64| world.at(guild_id(guild), revision).sees(user, channel);
        (revisions.clone().all(sees), revisions.any(sees))
    }
}

impl Moment {
    pub fn last(&self, source: Source) -> u64 {
        self.last.get(&source).copied().unwrap_or_default()
    }
}
