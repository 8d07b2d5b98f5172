//! What every adapter of a port has to do. An adapter's tests name a maker, and get one test for each property.

pub mod backplane;
pub mod directory;
pub mod global_limit;
pub mod messages;
pub mod outbox;
pub mod ownership;
pub mod register;
pub mod registry;
pub mod roster;
pub mod sessions;
pub mod starts;
pub mod workers;

use std::time::Duration;

/// Makes one test of each function of a module, where the maker answers `None` if what the adapter needs is not
/// installed: then the test is skipped. Who makes says so.
#[macro_export]
macro_rules! conformance_tests_where_possible {
    (@one $maker:path, [$($module:tt)*] $property:ident) => {
        #[tokio::test]
        async fn $property() {
            if let Some(adapter) = $maker().await {
                $($module)*::$property(adapter).await;
            }
        }
    };
    ($maker:path, $module:tt $($property:ident)*) => {
        $( $crate::conformance_tests_where_possible! { @one $maker, $module $property } )*
    };
}

/// How long entries live that a suite waits for to end. While it waits it renews others far more often.
pub const ENTRY_MS: u64 = 3_000;

/// Asks again and again until the answer is yes.
///
/// # Panics
/// When it never is.
pub async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waited).await.unwrap_or_else(|_| panic!("{what}"));
}
