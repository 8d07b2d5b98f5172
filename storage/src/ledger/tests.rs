//! Watermarks of sets and of slots, and the draining of slots.

use super::*;
use crate::{Epoch, Slot, WorkerId};
use futures_util::FutureExt;
use model::clock::ManualClock;
use std::time::Duration;
use tokio::{task::JoinSet, time::timeout};

const NOW_MS: u64 = 1_700_000_000_000;
const GUILDS: SlotSet = SlotSet::Guilds;

fn lease(set: SlotSet, slot: u16) -> Lease {
    Lease { set, slot: Slot::new(slot).unwrap(), epoch: Epoch(3) }
}

fn ledger() -> (ManualClock, Arc<Ledger>) {
    let clock = ManualClock::at(NOW_MS);
    let ids = Arc::new(Mutex::new(Snowflakes::new(WorkerId::of_epoch(Epoch(1)), 0)));
    (clock.clone(), Ledger::new(ids, Arc::new(clock)))
}

#[test]
fn the_watermark_waits_for_the_oldest_change_of_its_set() {
    let (clock, ledger) = ledger();
    let first = ledger.begin(&lease(GUILDS, 1)).unwrap();
    clock.advance(5_000);
    let second = ledger.begin(&lease(GUILDS, 2)).unwrap();
    assert_eq!(ledger.published_ms(GUILDS), NOW_MS);
    assert_eq!(ledger.published_ms(SlotSet::Users), NOW_MS + 5_000);
    first.close();
    assert_eq!(ledger.published_ms(GUILDS), NOW_MS + 5_000);
    clock.advance(5_000);
    ledger.next();
    drop(second);
    assert_eq!(ledger.published_ms(GUILDS), NOW_MS + 5_000, "a dropped change was forgotten");
    assert_eq!(ledger.published_ms_at_end(GUILDS), NOW_MS + 5_000);
    assert_eq!(ledger.published_ms_at_end(SlotSet::Users), NOW_MS + 10_001);
    assert_eq!(ledger.open_len(), 1);
}

#[test]
fn slots_have_watermarks_of_their_own_which_are_written_when_there_is_something_new() {
    let (clock, ledger) = ledger();
    let [one, two] = [1, 2].map(|slot| lease(GUILDS, slot));
    assert!(ledger.unwritten(GUILDS).is_empty());
    let open = ledger.begin(&one).unwrap();
    ledger.begin(&two).unwrap().close();
    clock.advance(1_000);
    ledger.next();
    assert_eq!(ledger.unwritten(GUILDS), [(one, NOW_MS), (two, NOW_MS + 1_000)]);
    ledger.note_written(&one, NOW_MS);
    ledger.note_written(&two, NOW_MS + 1_000);
    clock.advance(1_000);
    ledger.next();
    assert!(ledger.unwritten(GUILDS).is_empty(), "the one waits, in the other nothing has happened");
    open.close();
    assert_eq!(ledger.unwritten(GUILDS), [(one, NOW_MS + 2_000)]);
    assert_eq!(ledger.published_ms_of(&one), Some(NOW_MS + 1));
    assert_eq!(ledger.published_ms_of(&lease(GUILDS, 3)), None);
}

#[tokio::test]
async fn a_drained_slot_waits_for_what_has_begun_and_lets_nothing_begin() {
    let (_, ledger) = ledger();
    let [one, two] = [1, 2].map(|slot| lease(GUILDS, slot));
    let (open, other) = (ledger.begin(&one).unwrap(), ledger.begin(&two).unwrap());
    let drained = [one];
    let mut draining = std::pin::pin!(ledger.drain(&drained));
    assert!(draining.as_mut().now_or_never().is_none());
    assert!(ledger.begin(&one).is_err() && ledger.begin(&two).is_ok());
    // What nobody goes on with is not waited for: it holds the watermark back.
    drop(open);
    timeout(Duration::from_secs(5), draining).await.unwrap();
    assert_eq!(ledger.published_ms_of(&one), Some(NOW_MS));
    ledger.forget(&[one]);
    assert_eq!(ledger.published_ms_of(&one), None);
    assert!(ledger.begin(&one).is_err(), "who still holds the lease may not begin");
    assert!(ledger.begin(&Lease { epoch: Epoch(4), ..one }).is_ok());
    assert_eq!(ledger.open_len(), 3, "another slot's, and what was dropped");
    other.close();
}

#[tokio::test]
async fn only_a_change_whose_task_panics_is_abandoned() {
    let (_, ledger) = ledger();
    ledger.begin(&lease(GUILDS, 1)).unwrap().close();
    drop(ledger.begin(&lease(GUILDS, 1)));
    let told = |wait_ms| timeout(Duration::from_millis(wait_ms), ledger.abandoned());
    assert!(told(50).await.is_err());
    let mut tasks = JoinSet::new();
    let open = ledger.begin(&lease(GUILDS, 1)).unwrap();
    tasks.spawn(async move {
        tokio::task::yield_now().await;
        let _open = open;
        panic!("the test's");
    });
    tasks.join_next().await.unwrap().unwrap_err();
    told(5_000).await.unwrap();
}

#[test]
fn ids_of_a_lease_are_those_that_we_made_since_its_first() {
    let (_, ledger) = ledger();
    let [mine, other] = [1, 2].map(|slot| lease(GUILDS, slot));
    let before = ledger.next();
    assert!(!ledger.is_of(&mine, before));
    let first = ledger.begin(&mine).unwrap();
    let left = ledger.begin(&mine).unwrap();
    let ids = [first.id(), left.id()];
    first.close();
    drop(left);
    for id in ids {
        assert!(ledger.is_of(&mine, id), "published or not");
        assert!(!ledger.is_of(&other, id) && !ledger.is_of(&Lease { epoch: Epoch(4), ..mine }, id));
        assert!(!ledger.is_of(&mine, id ^ 1 << 12), "another worker's");
    }
    assert!(!ledger.is_of(&mine, before));
    ledger.forget(&[mine]);
    assert!(!ledger.is_of(&mine, ids[0]));
}
