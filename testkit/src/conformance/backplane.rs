//! What every backplane has to do.
//!
//! Each property is a function over a backplane that nobody else uses meanwhile; it need not be empty. To run them all,
//! name a maker, an `async fn() -> Arc<dyn Backplane>`, in a module of its own:
//!
//! ```ignore
//! mod on_my_adapter {
//!     testkit::backplane_conformance!(super::make);
//! }
//! ```
//!
//! Through a faulty backplane only some can hold: [`backplane_conformance_through_faults`](crate::backplane_conformance_through_faults).

pub mod by_guild;
pub mod follower;
pub mod live;
pub mod pods;
pub mod stored;
pub mod users;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use backplane::{Ack, Backplane, Delivery, Listener, Partition, Subject};
use bytes::Bytes;
use model::{EventKind, GuildId, UserId};
use proto::{Envelope, Writer};

/// Makes one test of each property, on what the maker makes.
#[macro_export]
macro_rules! backplane_conformance {
    ($maker:path) => {
        $crate::conformance_tests! { $maker, [$crate::conformance::backplane::stored]
            sequences_are_contiguous_and_a_repeat_is_stored_once
            a_read_gives_the_range_in_order_and_no_more_than_asked_for
            a_range_beyond_the_end_is_another_incarnations
            the_state_bounds_what_is_stored
            last_and_contains_are_of_the_subject
            what_is_published_now_is_kept_and_what_was_before_the_stream_is_not
            ends_and_ranges_are_those_of_the_guilds
            a_range_of_a_user_is_that_of_their_events
            streams_are_apart
        }
        $crate::conformance_tests! { $maker, [$crate::conformance::backplane::live]
            a_listener_gets_every_event_with_the_one_before_it
            listeners_of_other_partitions_get_nothing
            the_tail_is_what_was_acknowledged
            ephemeral_events_come_live_only
            a_listener_that_reads_nothing_loses_nothing_silently
            a_listener_to_guilds_gets_those_that_were_added_and_no_others
        }
        $crate::conformance_tests! { $maker, [$crate::conformance::backplane::pods]
            a_batch_is_answered_when_it_was_taken
            a_pod_that_is_not_there_is_named
            a_pod_that_takes_nothing_is_given_up
        }
        $crate::conformance_tests! { $maker, [$crate::conformance::backplane::users]
            the_next_waits_for_an_event
            an_event_of_two_users_is_stored_for_each
            what_a_user_is_told_comes_to_one_listener
            a_second_consumer_takes_over_what_was_not_acknowledged
        }
        $crate::backplane_conformance_through_faults!($maker);
    };
}

/// Makes one test of each property that holds through faults as well.
#[macro_export]
macro_rules! backplane_conformance_through_faults {
    ($maker:path) => {
        $crate::conformance_tests! { $maker, [$crate::conformance::backplane::follower]
            a_follower_gives_every_event_once_and_in_order
            the_last_event_of_all_is_not_missed
            a_follower_that_is_cancelled_all_the_time_loses_nothing
            followers_of_one_partition_agree
        }
        $crate::conformance_tests! { $maker, [$crate::conformance::backplane::by_guild]
            a_follower_of_guilds_gives_every_event_of_theirs
            the_last_event_of_a_guild_is_not_missed
            a_follower_of_guilds_that_is_cancelled_loses_nothing
            the_mode_changes_under_load_and_nothing_is_lost
            a_position_of_guild_mode_is_where_another_can_go_on
        }
        $crate::conformance_tests! { $maker, [$crate::conformance::backplane::users]
            user_events_come_in_order_until_they_are_acknowledged
        }
    };
}

/// Makes one test of each function of a module: it is given what the maker makes.
#[macro_export]
macro_rules! conformance_tests {
    (@one $maker:path, [$($module:tt)*] $property:ident) => {
        #[tokio::test]
        async fn $property() {
            $($module)*::$property($maker().await).await;
        }
    };
    ($maker:path, $module:tt $($property:ident)*) => {
        $( $crate::conformance_tests! { @one $maker, $module $property } )*
    };
}

/// An event of this id.
pub fn event(event_id: u64) -> Bytes {
    let writer = Writer { set: 1, slot: 0, epoch: 1 };
    Envelope::new(event_id, EventKind::MessageCreate, writer, format!(r#"{{"n":"{event_id}"}}"#)).encode()
}

/// A number that nobody has used: ids of events, guilds and users, also on a server that is not fresh.
pub fn fresh() -> u64 {
    (model::entropy::number() >> 1).max(1)
}

/// A guild that nobody has used, in this partition.
pub fn guild_in(backplane: &dyn Backplane, partition: Partition) -> GuildId {
    let mut guilds = std::iter::repeat_with(|| GuildId::new(fresh()).expect("above zero"));
    guilds.find(|guild| backplane.layout().guild(*guild) == partition).expect("endless")
}

/// A user whom nobody has used, in this partition.
pub fn user_in(backplane: &dyn Backplane, partition: Partition) -> UserId {
    let mut users = std::iter::repeat_with(|| UserId::new(fresh()).expect("above zero"));
    users.find(|user| backplane.layout().user(*user) == partition).expect("endless")
}

/// Publishes an event of this id, again and again until it is acknowledged.
pub async fn publish(backplane: &Arc<dyn Backplane>, subject: Subject, event_id: u64) -> Ack {
    let acknowledged = async {
        loop {
            if let Ok(ack) = backplane.publish(subject, event_id, event(event_id)).await {
                return ack;
            }
        }
    };
    in_time(acknowledged).await
}

/// Asks again and again until there is an answer.
pub async fn answer<T, E, F: Future<Output = Result<T, E>>>(mut question: impl FnMut() -> F) -> T {
    let answered = async {
        loop {
            if let Ok(answer) = question().await {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    in_time(answered).await
}

/// What the future gives, within a time that only a defect exceeds.
pub async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("it hangs")
}

/// The next delivery.
pub async fn delivery(listener: &mut Listener) -> Delivery {
    in_time(listener.next()).await.expect("the backplane is open")
}

/// Whether nothing comes for a moment.
pub async fn is_quiet(listener: &mut Listener) -> bool {
    tokio::time::timeout(Duration::from_millis(50), listener.next()).await.is_err()
}
