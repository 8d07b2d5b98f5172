//! What this pod has been given of each user's allowance, and used. No I/O: it says what to ask for, and is told.

use std::sync::atomic::{AtomicU32, Ordering};

use model::UserId;
use parking_lot::Mutex;

use super::super::global::Count;
use super::super::turns::Turns;
use crate::config::WindowLimit;

/// The slices of all users who were here lately.
pub(super) struct Slices {
    limit: WindowLimit,
    pods: AtomicU32,
    table: Mutex<Table>,
}

struct Table {
    users: Turns<UserId, Slice>,
    windows: u64,
}

/// A user's window, as this pod sees it.
#[derive(Debug, Clone, Copy)]
struct Slice {
    /// Its number, so that a late answer is not taken for one of the next window.
    window: u64,
    ends_at_ms: u64,
    used: u32,
    granted: u32,
    is_asking: bool,
    known: Known,
}

/// What is known of the user's allowance at other pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// Nothing: our share may be used.
    Nothing,
    /// What was asked for was given.
    Enough,
    /// There is no more in this window.
    Exhausted,
}

/// Please give so many more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) user: UserId,
    pub(super) want: u32,
    window: u64,
}

/// What was given, and when the window ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) requests: u32,
    pub(super) left_ms: u64,
}

impl Slices {
    pub(super) fn new(limit: WindowLimit, users_max: usize) -> Self {
        let table = Table { users: Turns::new(users_max), windows: 0 };
        Self { limit, pods: AtomicU32::new(1), table: Mutex::new(table) }
    }

    pub(super) fn limit(&self) -> WindowLimit {
        self.limit
    }

    pub(super) fn pods(&self) -> u32 {
        self.pods.load(Ordering::Relaxed)
    }

    pub(super) fn set_pods(&self, pods: u32) {
        self.pods.store(pods.max(1), Ordering::Relaxed);
    }

    /// Counts one request, if there is room, and says what is to be asked for. `None` without a limit.
    pub(super) fn take(&self, now_ms: u64, user: UserId) -> Option<(Count, Option<Ask>)> {
        if self.limit.requests == 0 {
            return None;
        }
        let pods = self.pods();
        let mut table = self.table.lock();
        let known = table.users.get(&user).copied();
        let known = known.filter(|slice| !slice.is_over(now_ms, self.limit));
        let mut slice = known.unwrap_or_else(|| table.fresh(now_ms, self.limit));
        let allowed = slice.used < slice.allowance(self.limit.requests / pods);
        slice.used += u32::from(allowed);
        let want = slice.wants(self.limit.requests / (2 * pods));
        slice.is_asking |= want.is_some();
        let limit = self.limit;
        table.users.insert(user, slice, |slice| slice.is_over(now_ms, limit));
        let count = Count {
            allowed,
            limit: limit.requests,
            remaining: limit.requests.saturating_sub(slice.used),
            reset_after_ms: slice.ends_at_ms - now_ms,
        };
        Some((count, want.map(|want| Ask { user, want, window: slice.window })))
    }

    /// Takes the answer; `None` when there is none.
    pub(super) fn give(&self, now_ms: u64, ask: Ask, grant: Option<Grant>) {
        let mut table = self.table.lock();
        let Some(slice) = table.users.get_mut(&ask.user).filter(|slice| slice.window == ask.window) else {
            return;
        };
        slice.is_asking = false;
        let Some(Grant { requests, left_ms }) = grant else {
            slice.known = Known::Nothing;
            return;
        };
        slice.granted += requests;
        slice.known = if requests < ask.want { Known::Exhausted } else { Known::Enough };
        slice.ends_at_ms = now_ms + left_ms.min(self.limit.window_ms);
    }
}

impl Table {
    fn fresh(&mut self, now_ms: u64, limit: WindowLimit) -> Slice {
        self.windows += 1;
        Slice {
            window: self.windows,
            ends_at_ms: now_ms + limit.window_ms,
            used: 0,
            granted: 0,
            is_asking: false,
            known: Known::Nothing,
        }
    }
}

impl Slice {
    /// A window that ends too far ahead was begun before the clock stepped back.
    fn is_over(&self, now_ms: u64, limit: WindowLimit) -> bool {
        now_ms >= self.ends_at_ms || self.ends_at_ms > now_ms + limit.window_ms
    }

    fn allowance(&self, share: u32) -> u32 {
        match self.known {
            Known::Nothing => self.granted.max(share).max(1),
            Known::Enough | Known::Exhausted => self.granted,
        }
    }

    /// So many more are to be fetched now: as many are kept ahead as were used, up to `ahead_max`.
    fn wants(&self, ahead_max: u32) -> Option<u32> {
        let ahead = self.used.clamp(1, ahead_max.max(1));
        let is_low = self.granted < self.used + ahead.div_ceil(2);
        let may_ask = !self.is_asking && self.known != Known::Exhausted;
        (is_low && may_ask).then(|| self.used + ahead - self.granted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: WindowLimit = WindowLimit::new(50, 1_000);

    fn user(number: u64) -> UserId {
        UserId::new(number).unwrap()
    }

    fn slices(pods: u32) -> Slices {
        let slices = Slices::new(LIMIT, 100);
        slices.set_pods(pods);
        slices
    }

    /// Takes until it is refused, at one moment. What is asked for is answered at once, or never.
    fn take_all(
        slices: &Slices,
        now_ms: u64,
        user: UserId,
        mut answer: impl FnMut(Ask) -> Option<Grant>,
    ) -> u32 {
        for admitted in 0.. {
            let (count, ask) = slices.take(now_ms, user).unwrap();
            if let Some(ask) = ask {
                slices.give(now_ms, ask, answer(ask));
            }
            if !count.allowed {
                assert!(count.reset_after_ms <= LIMIT.window_ms);
                return admitted;
            }
        }
        unreachable!("the limit ends it")
    }

    /// Redis, with so many left.
    fn redis(left: &mut u32) -> impl FnMut(Ask) -> Option<Grant> {
        |ask| {
            let requests = ask.want.min(*left);
            *left -= requests;
            Some(Grant { requests, left_ms: 400 })
        }
    }

    #[test]
    fn one_pod_admits_all_that_there_is_and_fetches_more_each_time() {
        let (slices, mut left, mut asks) = (slices(1), 50, Vec::new());
        let mut redis = redis(&mut left);
        let admitted = take_all(&slices, 0, user(1), |ask| {
            asks.push(ask.want);
            redis(ask)
        });
        assert_eq!(admitted, 50);
        assert_eq!(asks, [2, 2, 2, 4, 4, 6, 8, 10, 13], "about as many ahead as were used");
        assert_eq!(take_all(&slices, 399, user(1), |_| panic!("it is known to be exhausted")), 0);
        assert_eq!(take_all(&slices, 400, user(1), |_| None), 50, "the window ends with that of Redis");
    }

    #[test]
    fn without_an_answer_a_pod_admits_its_share() {
        for (pods, share) in [(1, 50), (2, 25), (3, 16), (100, 1)] {
            assert_eq!(take_all(&slices(pods), 0, user(1), |_| None), share);
        }
    }

    #[test]
    fn an_answer_that_comes_late_ends_the_share() {
        let slices = slices(2);
        let (_, ask) = slices.take(0, user(1)).unwrap();
        for _ in 0..9 {
            assert_eq!(slices.take(0, user(1)).unwrap().1, None, "one question at a time");
        }
        slices.give(5, ask.unwrap(), Some(Grant { requests: 0, left_ms: 400 }));
        let (count, ask) = slices.take(5, user(1)).unwrap();
        assert_eq!((count.allowed, count.reset_after_ms, ask), (false, 400, None), "others have used it up");
    }

    #[test]
    fn pods_together_admit_the_limit_and_their_first_steps() {
        let (pods, mut left) = ([slices(3), slices(3), slices(3)], 50);
        let mut redis = redis(&mut left);
        let mut admitted = 0;
        for turn in 0..150 {
            let pod = &pods[turn % 3];
            let (count, ask) = pod.take(0, user(1)).unwrap();
            if let Some(ask) = ask {
                pod.give(0, ask, redis(ask));
            }
            admitted += u32::from(count.allowed);
        }
        assert!((47..=50 + 3).contains(&admitted), "{admitted}");
    }

    #[test]
    fn an_answer_for_an_earlier_window_is_dropped() {
        let slices = slices(1);
        let (_, ask) = slices.take(0, user(1)).unwrap();
        slices.take(1_000, user(1)).unwrap();
        slices.give(1_001, ask.unwrap(), Some(Grant { requests: 0, left_ms: 400 }));
        assert!(slices.take(1_002, user(1)).unwrap().0.allowed);
    }

    #[test]
    fn a_redis_that_goes_away_leaves_the_larger_of_share_and_grants() {
        let slices = slices(10);
        let mut answers = [Some(Grant { requests: 2, left_ms: 900 }), None].into_iter();
        let admitted = take_all(&slices, 0, user(1), |_| answers.next().flatten());
        assert_eq!(admitted, 5);
    }
}
