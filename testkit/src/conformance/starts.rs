//! What every count of bots' starts has to do.

use std::sync::Arc;

use backplane::{Lane, StartCount, Starts};
use model::UserId;

use super::backplane::fresh;
use super::eventually;

/// Makes one test of each property; the maker is an `async fn() -> Option<Arc<dyn Starts>>`, with a day of [`DAY_MS`] and
/// lanes of [`LANE_MS`].
#[macro_export]
macro_rules! starts_conformance {
    ($maker:path) => {
        $crate::conformance_tests_where_possible! { $maker, [$crate::conformance::starts]
            each_start_counts_until_the_day_is_over
            too_many_at_once_are_too_soon_and_do_not_count
            lanes_and_bots_are_apart
        }
    };
}

pub const DAY_MS: u64 = 4_000;
pub const LANE_MS: u64 = 500;

const WIDE: Lane = Lane { key: 0, allowed: 1000 };

fn bot() -> UserId {
    UserId::new(fresh()).expect("it is not 0")
}

async fn begin(starts: &Arc<dyn Starts>, bot: UserId, lane: Lane) -> Option<u32> {
    let begun: Option<StartCount> = starts.begin(bot, lane).await.expect("an answer");
    assert!(begun.is_none_or(|begun| begun.reset_after_ms <= DAY_MS), "{begun:?}");
    begun.map(|begun| begun.count)
}

async fn count(starts: &Arc<dyn Starts>, bot: UserId) -> StartCount {
    starts.count(bot).await.expect("an answer")
}

pub async fn each_start_counts_until_the_day_is_over(starts: Arc<dyn Starts>) {
    let bot = bot();
    assert_eq!(count(&starts, bot).await, StartCount { count: 0, reset_after_ms: DAY_MS });
    assert_eq!(begin(&starts, bot, WIDE).await, Some(1));
    let first = count(&starts, bot).await;
    assert!(first.count == 1 && first.reset_after_ms > 0 && first.reset_after_ms <= DAY_MS, "{first:?}");
    assert_eq!(begin(&starts, bot, WIDE).await, Some(2), "of the same day");
    let second = count(&starts, bot).await;
    assert!(second.count == 2 && second.reset_after_ms <= first.reset_after_ms, "{second:?}");
    eventually("the day ends", async || count(&starts, bot).await.count == 0).await;
    assert_eq!(begin(&starts, bot, WIDE).await, Some(1));
}

pub async fn too_many_at_once_are_too_soon_and_do_not_count(starts: Arc<dyn Starts>) {
    let (bot, lane) = (bot(), Lane { key: 3, allowed: 2 });
    assert_eq!(begin(&starts, bot, lane).await, Some(1));
    assert_eq!(begin(&starts, bot, lane).await, Some(2));
    // Asked at once, and again until the window is over: what is refused neither counts nor keeps it open.
    let mut refused = 0;
    eventually("the lane is free again", async || {
        let begun = begin(&starts, bot, lane).await;
        refused += u32::from(begun.is_none());
        begun.is_some()
    })
    .await;
    assert!(refused > 0, "three at once");
    assert_eq!(count(&starts, bot).await.count, 3);
}

pub async fn lanes_and_bots_are_apart(starts: Arc<dyn Starts>) {
    let (one, other) = (bot(), bot());
    for (bot, key, expected) in [(one, 0, 1), (one, 1, 2), (other, 0, 1)] {
        assert_eq!(begin(&starts, bot, Lane { key, allowed: 1 }).await, Some(expected));
    }
}
