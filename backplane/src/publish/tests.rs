//! Attempts in virtual time, and what a long outage leaves in a stream.

use std::sync::Arc;

use model::GuildId;
use model::clock::ManualClock;
use tokio::time::Instant;

use super::*;
use crate::{InProcess, Layout, Options, Partition, Stream};

#[tokio::test(start_paused = true)]
async fn attempts_that_fail_or_hang_are_repeated_with_growing_waits() {
    let (began, mut at_ms) = (Instant::now(), Vec::new());
    let attempt = || {
        at_ms.push(began.elapsed().as_millis());
        let number = at_ms.len();
        async move {
            match number {
                1..=7 => Err(Unavailable("away".into())),
                8 => std::future::pending().await,
                _ => Ok(()),
            }
        }
    };
    repeat(attempt, |_, _| true).await.unwrap();
    // Attempts hang for two seconds, waits end at one.
    assert_eq!(at_ms, [0, 20, 60, 140, 300, 620, 1_260, 2_260, 5_260]);
}

#[tokio::test(start_paused = true)]
async fn whoever_says_no_gets_the_last_error() {
    let mut attempts = 0;
    let attempt = || {
        attempts += 1;
        let error = Unavailable(format!("attempt {attempts}"));
        async move { Err::<(), _>(error) }
    };
    let error = repeat(attempt, |attempts, _| attempts < 3).await.unwrap_err();
    assert_eq!((error.0.as_str(), attempts), ("attempt 3", 3));
}

#[tokio::test]
async fn an_old_event_is_looked_for_before_it_is_published_again() {
    let now_ms = 1_800_000_000_000;
    let clock = ManualClock::at(now_ms);
    let layout = Layout { guild_partitions: 1, user_partitions: 1 };
    let backplane = InProcess::new(layout, Arc::new(clock.clone()), Options::default());
    let guild = Subject::Guild(GuildId::new(1).unwrap());
    let event_id = snowflake::lowest_at(now_ms);
    let publish = async || {
        let envelope = Bytes::from_static(b"event");
        publish(&*backplane, &clock, guild, event_id, &envelope, |_| false).await.unwrap();
        backplane.state(Stream::Guilds(Partition(0))).await.unwrap().last
    };
    assert_eq!(publish().await, 1);
    assert_eq!(publish().await, 1, "the stream knows the id");
    clock.advance(3 * 60_000);
    assert_eq!(publish().await, 1, "the stream has forgotten the id, and has the event");
}
