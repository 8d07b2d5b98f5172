//! One guild's view, while it is loaded and afterwards.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use model::limits::GAP_BUFFER_EVENTS_MAX;
use model::view::{GuildView, ViewChange};
use parking_lot::Mutex;
use proto::Failure;

/// A place for a guild's view.
#[derive(Default)]
pub(crate) struct GuildSlot {
    state: Mutex<State>,
    used: AtomicBool,
    /// Held by whoever loads the guild.
    pub(crate) loading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
enum State {
    #[default]
    Empty,
    /// Changes that came since the loading began.
    Loading(Vec<(u64, ViewChange)>),
    /// Too many changes came, or some were lost: what is being loaded is of no use.
    Spoilt,
    Ready(GuildView),
}

/// How a loading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loaded {
    Ready,
    /// It has to begin again.
    Overflow,
}

impl GuildSlot {
    pub(crate) fn is_loaded(&self) -> bool {
        matches!(*self.state.lock(), State::Ready(_))
    }

    /// Uses the view; `None` if it has been dropped meanwhile.
    pub(crate) fn with_view<T>(&self, with: impl FnOnce(&GuildView) -> T) -> Option<T> {
        match &*self.state.lock() {
            State::Ready(view) => Some(with(view)),
            _ => None,
        }
    }

    /// From now on changes are buffered.
    pub(crate) fn begin(&self) {
        *self.state.lock() = State::Loading(Vec::new());
    }

    /// Takes what was loaded, and what came meanwhile.
    pub(crate) fn end(&self, loaded: Result<GuildView, Failure>) -> Result<Loaded, Failure> {
        let mut state = self.state.lock();
        let before = std::mem::take(&mut *state);
        let mut view = loaded?;
        let State::Loading(changes) = before else { return Ok(Loaded::Overflow) };
        for (revision, change) in changes {
            if matches!(change, ViewChange::Deleted) {
                return Err(super::unknown_channel());
            }
            view.apply(revision, &change);
        }
        *state = State::Ready(view);
        Ok(Loaded::Ready)
    }

    /// Applies a change that was published.
    pub(crate) fn apply(&self, revision: u64, change: &ViewChange) {
        let mut state = self.state.lock();
        match &mut *state {
            State::Empty | State::Spoilt => {}
            State::Loading(changes) if changes.len() >= GAP_BUFFER_EVENTS_MAX => *state = State::Spoilt,
            State::Loading(changes) => changes.push((revision, change.clone())),
            State::Ready(_) if matches!(change, ViewChange::Deleted) => *state = State::Empty,
            State::Ready(view) => {
                view.apply(revision, change);
            }
        }
    }

    /// Changes were lost: the view must be loaded again.
    pub(crate) fn spoil(&self) {
        let mut state = self.state.lock();
        *state = match *state {
            State::Loading(_) | State::Spoilt => State::Spoilt,
            State::Empty | State::Ready(_) => State::Empty,
        };
    }

    pub(crate) fn use_now(&self) {
        self.used.store(true, Relaxed);
    }

    /// Whether it was used since the last time that this was asked.
    pub(crate) fn was_used(&self) -> bool {
        self.used.swap(false, Relaxed)
    }
}
