//! What a stream has lost, and what it says of that.

use std::sync::Arc;

use backplane::nats::Config;
use backplane::{Backplane, Partition, Stream, Subject};
use doubles::until;
use model::clock::SystemClock;
use model::limits::{OUTBOX_AHEAD_MS, STREAM_AGE_MS};
use testkit::conformance::backplane::{fresh, guild_in, publish};
use testkit::nats;

use crate::LAYOUT;

const STREAM: Stream = Stream::Guilds(Partition(0));

/// It was published and is not there any more: that it is not there proves nothing.
#[tokio::test]
async fn a_stream_without_room_for_what_was_published_says_so() {
    let config = nats::config(&nats::shared().url(), LAYOUT);
    let backplane: Arc<dyn Backplane> =
        nats::backplane(&Config { guild_stream_bytes: 16 * 1024, ..config }).await;
    let subject = Subject::Guild(guild_in(&*backplane, Partition(0)));
    let (clock, first) = (SystemClock::shared(), fresh());
    let before_ms = clock.now_ms();
    publish(&backplane, subject, first).await;
    let kept = backplane.kept(STREAM).await.unwrap();
    assert!(kept.covers(before_ms, clock.now_ms()), "{kept:?}");
    assert!(kept.made_ms <= before_ms && kept.age_ms == STREAM_AGE_MS, "{kept:?}");
    while backplane.contains(subject, first).await.unwrap() {
        for _ in 0..20 {
            publish(&backplane, subject, fresh()).await;
        }
    }
    let kept = backplane.kept(STREAM).await.unwrap();
    let now_ms = clock.now_ms();
    assert!(!kept.covers(before_ms, now_ms) && !kept.covers(now_ms, now_ms), "{kept:?}");
    let later_ms = now_ms + OUTBOX_AHEAD_MS + 1;
    assert!(kept.covers(later_ms, later_ms), "what comes later is pushed out later: {kept:?}");
}

#[tokio::test]
async fn a_stream_that_was_emptied_by_age_has_pushed_nothing_out() {
    let config = nats::config(&nats::shared().url(), LAYOUT);
    let short = Config { stream_age_ms: 1_000, ..config };
    let backplane: Arc<dyn Backplane> = nats::backplane(&short).await;
    let subject = Subject::Guild(guild_in(&*backplane, Partition(0)));
    publish(&backplane, subject, fresh()).await;
    let gone = async || (backplane.last(subject).await == Ok(0)).then_some(());
    until("it has expired", gone).await;
    publish(&backplane, subject, fresh()).await;
    let kept = backplane.kept(STREAM).await.unwrap();
    assert_eq!((kept.age_ms, kept.pushed_out_ms), (1_000, None));
}
