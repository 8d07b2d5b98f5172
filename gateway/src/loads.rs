//! Loading guilds for those who open them: all in the pod who wait for the same guild share one load.
//!
//! There is one load of a guild at a time. Who asks while it is under way is of the next one, which begins when it has ended.
//! So whoever is alone waits for nobody, and the more ask at once, the more share a load: when thousands connect, a guild is
//! loaded, and its GUILD_CREATE made, once for all who came meanwhile.
//!
//! **Nobody shares a load that had begun when they asked.** An opening rests on an order: its interest stands, then L, the
//! last sequence of the guild's subject, is taken, then the snapshot is loaded (see `shard/opening.rs`). A load
//! begins by making sure that interest stands, and an opening adds its interest before it asks; so for each that shares the
//! load the order is the same as if it were alone. Had the load begun before, its L and its snapshot might be older than
//! the interest: an event between the two would be in neither. Nothing is kept when a load has ended, so nothing grows
//! stale.

use std::sync::Arc;

use model::{GuildId, UserId, limits};
use parking_lot::Mutex;
use proto::Failure;
use rustc_hash::FxHashMap;
use tokio::sync::OnceCell;

use crate::services::Services;

mod guild;

pub(crate) use guild::Loaded;

/// See the module.
#[derive(Default)]
pub(crate) struct Loads(Mutex<FxHashMap<GuildId, Places>>);

/// For whom a guild is to be loaded, and what they would be shown of others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish {
    pub(crate) guild: GuildId,
    pub(crate) user: UserId,
    /// All members, if they are no more than this.
    pub(crate) members_max: u32,
    pub(crate) with_presences: bool,
}

/// How many wait for a guild, in its line.
#[derive(Default)]
struct Places {
    count: usize,
    line: Arc<Line>,
}

/// The loads of one guild.
#[derive(Default)]
struct Line {
    /// Held by the load that is under way.
    turn: tokio::sync::Mutex<()>,
    /// The load that has not begun, if anybody waits for one.
    next: Mutex<Option<Arc<Load>>>,
}

#[derive(Default)]
struct Load {
    wishes: Mutex<Wishes>,
    outcome: OnceCell<Result<Arc<Loaded>, Failure>>,
}

/// What all of a load want together.
#[derive(Debug, Clone, Default)]
struct Wishes {
    /// In the order in which they came.
    users: Vec<UserId>,
    members_max: u32,
    with_presences: bool,
}

/// A place in a guild's line. The line goes with the last one.
struct Place<'a> {
    loads: &'a Loads,
    guild: GuildId,
    line: Arc<Line>,
    load: Arc<Load>,
}

// === impl Loads ===

impl Loads {
    /// The guild as it is at some time after this was asked. The caller's interest in it has been added before.
    pub(crate) async fn load(&self, services: &Services, wish: Wish) -> Result<Arc<Loaded>, Failure> {
        let place = self.stand_in_line(wish);
        // One of those who wait does it. Should their task end, another takes over, and begins anew.
        let run = async {
            let _turn = place.line.turn.lock().await;
            guild::load(services, wish.guild, &place.begin()).await.map(Arc::new)
        };
        place.load.outcome.get_or_init(|| run).await.clone()
    }

    fn stand_in_line(&self, wish: Wish) -> Place<'_> {
        let line = {
            let mut lines = self.0.lock();
            let places = lines.entry(wish.guild).or_default();
            places.count += 1;
            places.line.clone()
        };
        let load = line.join(wish);
        Place { loads: self, guild: wish.guild, line, load }
    }

    /// Whether nothing is being loaded.
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}

impl Line {
    fn join(&self, wish: Wish) -> Arc<Load> {
        let mut next = self.next.lock();
        let load = match &*next {
            Some(load) if load.wishes.lock().users.len() < limits::GUILD_LOAD_USERS_MAX => load.clone(),
            _ => next.insert(Arc::default()).clone(),
        };
        load.wishes.lock().add(wish);
        load
    }
}

impl Wishes {
    fn add(&mut self, wish: Wish) {
        if !self.users.contains(&wish.user) {
            self.users.push(wish.user);
        }
        self.members_max = self.members_max.max(wish.members_max);
        self.with_presences |= wish.with_presences;
    }
}

impl Place<'_> {
    /// The load begins: from here on nobody joins it.
    fn begin(&self) -> Wishes {
        self.line.next.lock().take_if(|next| Arc::ptr_eq(next, &self.load));
        self.load.wishes.lock().clone()
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut lines = self.loads.0.lock();
        if let Some(places) = lines.get_mut(&self.guild) {
            places.count -= 1;
            if places.count == 0 {
                lines.remove(&self.guild);
            }
        }
    }
}
