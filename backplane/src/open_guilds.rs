//! The guilds that a pod has open, by partition: what its followers listen to in guild mode, and by how many of them
//! they choose the mode.
//!
//! Whoever opens a guild says so ([`OpenGuilds::add`]) and waits until its events come ([`OpenGuilds::stands`]) before
//! he asks where the guild ends and loads it. In partition mode they come at once.

use std::collections::BTreeSet;
use std::time::Duration;

use model::{GuildId, limits};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::port::Unavailable;
use crate::subject::{Layout, Partition};

/// When a pod listens to single guilds, and how it makes sure that it misses nothing then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuildMode {
    /// Guilds of one partition beyond which the whole partition is taken; 0: it always is.
    pub subjects_max: usize,
    /// Between two checks whether something is missing at the end of a guild.
    pub check: Duration,
    /// How long a partition has to have few open guilds before it is left for them.
    pub settle: Duration,
}

impl Default for GuildMode {
    fn default() -> Self {
        Self {
            subjects_max: limits::GUILD_SUBJECTS_MAX,
            check: Duration::from_millis(limits::GUILD_CHECK_MS),
            settle: Duration::from_millis(limits::GUILD_MODE_SETTLE_MS),
        }
    }
}

/// What a follower listens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Partition,
    Guilds,
}

/// See the module.
#[derive(Debug)]
pub struct OpenGuilds {
    layout: Layout,
    mode: GuildMode,
    shares: Box<[Share]>,
}

/// The guilds of one partition.
#[derive(Debug, Default)]
struct Share {
    state: Mutex<State>,
    /// What is wanted has changed.
    wanted: watch::Sender<()>,
    /// What is heard has changed.
    heard: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    wanted: BTreeSet<GuildId>,
    heard: Heard,
}

#[derive(Debug)]
enum Heard {
    All,
    Only(BTreeSet<GuildId>),
}

impl Default for Heard {
    fn default() -> Self {
        Self::Only(BTreeSet::new())
    }
}

impl OpenGuilds {
    pub fn new(layout: Layout, mode: GuildMode) -> Self {
        Self { layout, mode, shares: layout.guild_partitions().map(|_| Share::default()).collect() }
    }

    /// The pod needs the guild's events.
    pub fn add(&self, guild: GuildId) {
        let Some(share) = self.share(self.layout.guild(guild)) else { return };
        if share.state.lock().wanted.insert(guild) {
            share.wanted.send_replace(());
        }
    }

    /// It no longer does.
    pub fn remove(&self, guild: GuildId) {
        let Some(share) = self.share(self.layout.guild(guild)) else { return };
        if share.state.lock().wanted.remove(&guild) {
            share.wanted.send_replace(());
        }
    }

    /// Waits until every event that is published from now on comes.
    ///
    /// # Errors
    /// When that takes longer than [`limits::FOLLOW_START_MS`].
    pub async fn stands(&self, guild: GuildId) -> Result<(), Unavailable> {
        let Some(share) = self.share(self.layout.guild(guild)) else { return Ok(()) };
        let mut heard = share.heard.subscribe();
        let patience = Duration::from_millis(limits::FOLLOW_START_MS);
        let stands = heard.wait_for(|()| share.state.lock().heard.has(guild));
        match tokio::time::timeout(patience, stands).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Unavailable(format!("guild {guild} is not listened to yet"))),
        }
    }

    pub(crate) fn mode(&self) -> GuildMode {
        self.mode
    }

    pub(crate) fn changes(&self, partition: Partition) -> Option<watch::Receiver<()>> {
        self.share(partition).map(|share| share.wanted.subscribe())
    }

    /// The whole partition is listened to.
    pub(crate) fn hears_all(&self, partition: Partition) {
        let Some(share) = self.share(partition) else { return };
        share.state.lock().heard = Heard::All;
        share.heard.send_replace(());
    }

    /// These guilds are listened to from now on, and no others: false when others are wanted.
    pub(crate) fn hears_only(&self, partition: Partition, guilds: &BTreeSet<GuildId>) -> bool {
        let Some(share) = self.share(partition) else { return false };
        let mut state = share.state.lock();
        let is_enough = state.wanted.is_subset(guilds);
        if is_enough {
            state.heard = Heard::Only(guilds.clone());
        }
        is_enough
    }

    /// One guild more is.
    pub(crate) fn hears(&self, partition: Partition, guild: GuildId) {
        let Some(share) = self.share(partition) else { return };
        if let Heard::Only(guilds) = &mut share.state.lock().heard {
            guilds.insert(guild);
        }
        share.heard.send_replace(());
    }

    pub(crate) fn wanted(&self, partition: Partition) -> BTreeSet<GuildId> {
        self.share(partition).map(|share| share.state.lock().wanted.clone()).unwrap_or_default()
    }

    pub(crate) fn wanted_count(&self, partition: Partition) -> usize {
        self.share(partition).map_or(0, |share| share.state.lock().wanted.len())
    }

    /// Takes those that are heard and no longer wanted from what is heard.
    pub(crate) fn take_unwanted(&self, partition: Partition) -> BTreeSet<GuildId> {
        let Some(share) = self.share(partition) else { return BTreeSet::new() };
        let mut state = share.state.lock();
        let State { wanted, heard: Heard::Only(heard) } = &mut *state else { return BTreeSet::new() };
        let unwanted = &*heard - wanted;
        heard.retain(|guild| wanted.contains(guild));
        unwanted
    }

    fn share(&self, partition: Partition) -> Option<&Share> {
        self.shares.get(usize::from(partition.0))
    }
}

impl Heard {
    fn has(&self, guild: GuildId) -> bool {
        match self {
            Self::All => true,
            Self::Only(guilds) => guilds.contains(&guild),
        }
    }
}

/// Chooses the mode of one partition. Guild mode is left as soon as there are too many guilds, and entered when there
/// have been clearly fewer for a while.
#[derive(Debug, Default)]
pub(crate) struct Choice {
    few_since: Option<Instant>,
}

impl Choice {
    pub(crate) fn choose(&mut self, now: Instant, mode: GuildMode, present: Mode, guilds: usize) -> Mode {
        if present == Mode::Guilds {
            self.few_since = None;
            return if guilds > mode.subjects_max { Mode::Partition } else { Mode::Guilds };
        }
        if mode.subjects_max == 0 || guilds > mode.subjects_max - mode.subjects_max / 4 {
            self.few_since = None;
            return Mode::Partition;
        }
        let since = *self.few_since.get_or_insert(now);
        if now.duration_since(since) >= mode.settle { Mode::Guilds } else { Mode::Partition }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Partition = Partition(0);

    fn guild(number: u64) -> GuildId {
        GuildId::new(number).unwrap()
    }

    fn open(subjects_max: usize) -> OpenGuilds {
        let layout = Layout { guild_partitions: 1, user_partitions: 1 };
        OpenGuilds::new(layout, GuildMode { subjects_max, ..GuildMode::default() })
    }

    #[tokio::test(start_paused = true)]
    async fn the_mode_changes_late_in_one_direction_and_at_once_in_the_other() {
        let mode = GuildMode { subjects_max: 8, settle: Duration::from_secs(30), ..GuildMode::default() };
        let mut choice = Choice::default();
        let mut choose = |present, guilds, after| {
            choice.choose(Instant::now() + Duration::from_secs(after), mode, present, guilds)
        };
        assert_eq!(choose(Mode::Partition, 6, 0), Mode::Partition);
        assert_eq!(choose(Mode::Partition, 7, 20), Mode::Partition, "it is not clearly fewer");
        assert_eq!(choose(Mode::Partition, 6, 40), Mode::Partition);
        assert_eq!(choose(Mode::Partition, 0, 69), Mode::Partition);
        assert_eq!(choose(Mode::Partition, 6, 70), Mode::Guilds);
        assert_eq!(choose(Mode::Guilds, 8, 71), Mode::Guilds);
        assert_eq!(choose(Mode::Guilds, 9, 72), Mode::Partition);
        assert_eq!(choose(Mode::Partition, 6, 73), Mode::Partition, "it begins to count anew");
    }

    #[test]
    fn a_maximum_of_0_is_always_partition_mode() {
        let mode = GuildMode { subjects_max: 0, settle: Duration::ZERO, ..GuildMode::default() };
        assert_eq!(Choice::default().choose(Instant::now(), mode, Mode::Partition, 0), Mode::Partition);
    }

    #[tokio::test(start_paused = true)]
    async fn a_guild_stands_when_it_is_heard() {
        let open = open(8);
        open.add(guild(1));
        assert!(open.stands(guild(1)).await.is_err(), "nobody follows");
        open.hears_all(FIRST);
        assert_eq!(open.stands(guild(1)).await, Ok(()));
        assert!(!open.hears_only(FIRST, &BTreeSet::new()), "one is wanted");
        assert!(open.hears_only(FIRST, &BTreeSet::from([guild(1), guild(2)])));
        assert!(open.stands(guild(3)).await.is_err());
        let (stands, ()) = tokio::join!(open.stands(guild(3)), async { open.hears(FIRST, guild(3)) });
        assert_eq!(stands, Ok(()));
        assert_eq!(open.take_unwanted(FIRST), BTreeSet::from([guild(2), guild(3)]));
        assert!(open.take_unwanted(FIRST).is_empty() && open.stands(guild(2)).await.is_err());
    }

    #[test]
    fn a_guild_that_goes_and_comes_back_unseen_is_still_heard() {
        let open = open(8);
        open.add(guild(1));
        assert!(open.hears_only(FIRST, &BTreeSet::from([guild(1)])));
        open.remove(guild(1));
        open.add(guild(1));
        assert!(open.take_unwanted(FIRST).is_empty());
        assert_eq!((open.wanted_count(FIRST), open.wanted(FIRST)), (1, BTreeSet::from([guild(1)])));
    }
}
