//! Starts of bots in memory, for one process.

use async_trait::async_trait;
use model::UserId;
use model::clock::SharedClock;
use model::limits::{IDENTIFY_DAY_MS, IDENTIFY_KEYS_MAX, IDENTIFY_WINDOW_MS};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::port::Unavailable;
use crate::starts::{Lane, StartCount, Starts};

/// See the module. Windows pass by the clock, and begin with their first IDENTIFY.
pub struct InMemoryStarts {
    clock: SharedClock,
    windows_ms: Windows,
    state: Mutex<State>,
}

#[derive(Clone, Copy)]
struct Windows {
    day: u64,
    lane: u64,
}

#[derive(Default)]
struct State {
    days: FxHashMap<UserId, Window>,
    lanes: FxHashMap<(UserId, u32), Window>,
}

#[derive(Clone, Copy)]
struct Window {
    until_ms: u64,
    count: u32,
}

impl InMemoryStarts {
    pub fn new(clock: SharedClock) -> Self {
        Self::with_windows_ms(clock, IDENTIFY_DAY_MS, IDENTIFY_WINDOW_MS)
    }

    /// The same with other lengths of a day and of the window of a lane.
    pub fn with_windows_ms(clock: SharedClock, day: u64, lane: u64) -> Self {
        Self { clock, windows_ms: Windows { day, lane }, state: Mutex::default() }
    }

    /// [`Starts::begin`], which here never waits or fails.
    pub fn begin_now(&self, bot: UserId, lane: Lane) -> Option<StartCount> {
        let now_ms = self.clock.now_ms();
        let mut state = self.state.lock();
        let allowed = lane.allowed.max(1);
        take(&mut state.lanes, (bot, lane.key), now_ms, self.windows_ms.lane, allowed)?;
        let day = take(&mut state.days, bot, now_ms, self.windows_ms.day, u32::MAX)?;
        Some(StartCount { count: day.count, reset_after_ms: day.until_ms.saturating_sub(now_ms) })
    }
}

/// One more in a window, if it is allowed. Where too many are remembered those go that are over; if none is, all do.
fn take<K: std::hash::Hash + Eq>(
    windows: &mut FxHashMap<K, Window>,
    key: K,
    now_ms: u64,
    window_ms: u64,
    allowed: u32,
) -> Option<Window> {
    if windows.len() >= IDENTIFY_KEYS_MAX {
        windows.retain(|_, window| now_ms < window.until_ms);
        if windows.len() >= IDENTIFY_KEYS_MAX {
            windows.clear();
        }
    }
    let window = windows.entry(key).or_insert(Window { until_ms: 0, count: 0 });
    if now_ms >= window.until_ms {
        *window = Window { until_ms: now_ms + window_ms, count: 0 };
    }
    if window.count >= allowed {
        return None;
    }
    window.count += 1;
    Some(*window)
}

#[async_trait]
impl Starts for InMemoryStarts {
    async fn begin(&self, bot: UserId, lane: Lane) -> Result<Option<StartCount>, Unavailable> {
        Ok(self.begin_now(bot, lane))
    }

    async fn count(&self, bot: UserId) -> Result<StartCount, Unavailable> {
        let now_ms = self.clock.now_ms();
        let day = self.state.lock().days.get(&bot).copied().filter(|day| now_ms < day.until_ms);
        let none = StartCount { count: 0, reset_after_ms: self.windows_ms.day };
        Ok(day.map_or(none, |day| StartCount { count: day.count, reset_after_ms: day.until_ms - now_ms }))
    }
}
