//! The suite, on streams of its own for each test.

use std::sync::Arc;

use backplane::nats::Config;
use backplane::{Backplane, Nats, Partition, Subject};
use doubles::until;
use testkit::conformance::backplane::{fresh, guild_in, publish};
use testkit::faulty::{Faults, Faulty};
use testkit::nats;

use crate::LAYOUT;

async fn on_nats() -> Arc<Nats> {
    nats::backplane(&nats::config(&nats::shared().url(), LAYOUT)).await
}

mod alone {
    use super::*;

    async fn make() -> Arc<dyn Backplane> {
        on_nats().await
    }

    testkit::backplane_conformance!(make);
}

mod through_faults {
    use super::*;

    async fn make() -> Arc<dyn Backplane> {
        Faulty::new(on_nats().await, Faults::rough(fresh_seed()))
    }

    testkit::backplane_conformance_through_faults!(make);
}

/// A subscription that is full nearly always: what does not fit is said, and read again.
mod through_a_tiny_subscription {
    use super::*;

    async fn make() -> Arc<dyn Backplane> {
        let config = nats::config(&nats::shared().url(), LAYOUT);
        nats::backplane(&Config { subscription_queue_max: 3, ..config }).await
    }

    testkit::backplane_conformance_through_faults!(make);
}

fn fresh_seed() -> u64 {
    let seed = std::env::var("FAULTY_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(fresh);
    println!("FAULTY_SEED={seed}");
    seed
}

/// Who neither publishes nor listens knows how far the others are.
#[tokio::test]
async fn publishers_tell_how_far_they_are() {
    let config = nats::config(&nats::shared().url(), LAYOUT);
    let publisher: Arc<dyn Backplane> = nats::backplane(&config).await;
    let other = Nats::connect(&config).await.unwrap();
    let subject = Subject::Guild(guild_in(&*publisher, Partition(1)));
    let last = publish(&publisher, subject, fresh()).await.sequence;
    until("the tail is told", async || (other.tail(Partition(1)) == last).then_some(())).await;
    assert_eq!(other.tail(Partition(0)), 0);
}
