//! What every adapter of the global limit has to do, in one process.

use std::sync::Arc;
use std::time::Duration;

use api::{GlobalLimit, WindowLimit};
use model::UserId;

use super::backplane::fresh;
use super::eventually;

/// Makes one test of each property; the maker is an `async fn(WindowLimit) -> Option<Arc<dyn GlobalLimit>>`, which gives an
/// adapter that knows of no other pod.
#[macro_export]
macro_rules! global_limit_conformance {
    ($maker:path) => {
        $crate::global_limit_conformance! { @all $maker,
            as_many_as_the_limit_are_admitted
            users_are_apart
            a_window_ends
            no_limit_counts_nothing
            those_who_ask_at_once_get_no_more_than_the_limit
        }
    };
    (@all $maker:path, $($property:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $property() {
                $crate::conformance::global_limit::$property(async |limit| $maker(limit).await).await;
            }
        )*
    };
}

type Shared = Arc<dyn GlobalLimit>;

/// So long that it does not end during a test.
const LONG_MS: u64 = 120_000;

fn user() -> UserId {
    UserId::new(fresh()).expect("above zero")
}

fn takes(limit: &Shared, user: UserId) -> bool {
    limit.take(user).expect("there is a limit").allowed
}

/// How many of so many requests are admitted, at a pace at which slices are fetched in between.
pub async fn admitted(limit: &Shared, user: UserId, requests: u32) -> u32 {
    let mut admitted = 0;
    for _ in 0..requests {
        admitted += u32::from(takes(limit, user));
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    admitted
}

pub async fn as_many_as_the_limit_are_admitted(make: impl AsyncFn(WindowLimit) -> Option<Shared>) {
    let Some(limit) = make(WindowLimit::new(50, LONG_MS)).await else { return };
    let user = user();
    assert_eq!(admitted(&limit, user, 100).await, 50);
    let count = limit.take(user).expect("there is a limit");
    assert_eq!((count.allowed, count.limit, count.remaining), (false, 50, 0));
    assert!(count.reset_after_ms > 0 && count.reset_after_ms <= LONG_MS);
}

pub async fn users_are_apart(make: impl AsyncFn(WindowLimit) -> Option<Shared>) {
    let Some(limit) = make(WindowLimit::new(3, LONG_MS)).await else { return };
    for _ in 0..20 {
        assert_eq!(admitted(&limit, user(), 5).await, 3);
    }
}

pub async fn a_window_ends(make: impl AsyncFn(WindowLimit) -> Option<Shared>) {
    let Some(limit) = make(WindowLimit::new(2, 500)).await else { return };
    let user = user();
    for _ in 0..3 {
        eventually("it is refused", async || !takes(&limit, user)).await;
        eventually("it is admitted again", async || takes(&limit, user)).await;
    }
}

pub async fn no_limit_counts_nothing(make: impl AsyncFn(WindowLimit) -> Option<Shared>) {
    let Some(limit) = make(WindowLimit::new(0, LONG_MS)).await else { return };
    assert_eq!(limit.take(user()), None);
}

pub async fn those_who_ask_at_once_get_no_more_than_the_limit(
    make: impl AsyncFn(WindowLimit) -> Option<Shared>,
) {
    let Some(limit) = make(WindowLimit::new(50, LONG_MS)).await else { return };
    let (user, mut callers) = (user(), tokio::task::JoinSet::new());
    for _ in 0..8 {
        let limit = limit.clone();
        callers.spawn(async move { admitted(&limit, user, 50).await });
    }
    assert_eq!(callers.join_all().await.into_iter().sum::<u32>(), 50);
}
