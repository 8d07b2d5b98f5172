//! A service that loses its slots while something is under way.

use doubles::until;
use model::snowflake;
use proto::{Failure, FailureKind};
use storage::Slot;

use crate::rig::Rig;
use crate::world::FIRST;

fn is_unknown(failure: &Failure) -> bool {
    failure.kind == FailureKind::Unavailable && failure.message.contains("outcome unknown")
}

/// Whoever has a lost slot's message in hands tells nobody that it was sent.
#[tokio::test]
async fn who_loses_the_slot_before_the_publish_neither_publishes_nor_acknowledges() {
    let (mut rig, disk) = Rig::gated(1).await;
    let (_, owner) = rig.on_shared_store().await;
    rig.sent(FIRST, "before").await;
    disk.hold();
    let script = async {
        until("the message is on its way", async || (rig.messages.ids_in_flight() > 0).then_some(())).await;
        owner.lose();
        disk.free();
    };
    let (sent, ()) = tokio::join!(rig.send(FIRST, "hello"), script);
    let failure = sent.unwrap_err();
    assert!(is_unknown(&failure), "{failure}");
    assert_eq!(rig.stored_events().await.len(), 1);
    assert_eq!(rig.messages.ids_in_flight(), 1, "it is the next owner's matter");
}

#[tokio::test]
async fn who_loses_the_slot_before_the_acknowledgement_does_not_pass_it_on() {
    let mut rig = Rig::new(1).await;
    let (_, owner) = rig.on_shared_store().await;
    let before = rig.sent(FIRST, "before").await;
    rig.backplane.hold_answers(true);
    let script = async {
        until("it is published", async || (rig.backplane.held() > 0).then_some(())).await;
        owner.lose();
        rig.backplane.hold_answers(false);
    };
    let (sent, ()) = tokio::join!(rig.send(FIRST, "hello"), script);
    let failure = sent.unwrap_err();
    assert!(is_unknown(&failure), "{failure}");
    let failure = rig.edit(FIRST, before, "after").await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::NotOwner, "{failure}");
}

#[tokio::test]
async fn every_slot_gets_a_watermark_before_it_is_served() {
    let mut rig = Rig::new(1).await;
    let (store, _) = rig.on_shared_store().await;
    let marks = store.marks();
    assert_eq!(marks.len(), Slot::all().count());
    let first = rig.sent(FIRST, "hello").await;
    assert!(marks.iter().all(|mark| mark.published_ms <= snowflake::timestamp_ms(first)));
}
