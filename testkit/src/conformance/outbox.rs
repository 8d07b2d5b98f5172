//! What every outbox has to do.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use model::limits::{OUTBOX_BUCKET_MS, OUTBOX_PAGE_LEN};
use model::{GuildId, Subject, UserId};
use storage::{
    Bucket, Epoch, Lease, Marker, OutboxEvent, OutboxRow, Pass, Republish, RepublishError, Slot, SlotSet,
    Unpublished,
};

/// Makes one test of each property; the maker is an `async fn() -> Option<Arc<dyn Outboxes>>` of an empty outbox.
#[macro_export]
macro_rules! outbox_conformance {
    ($maker:path) => {
        $crate::conformance_tests_where_possible! { $maker, [$crate::conformance::outbox]
            what_earlier_owners_left_comes_in_order_and_once
            what_lies_below_the_watermark_does_not_come
            rows_come_as_they_were_written
            a_sweep_that_failed_begins_again
            more_than_a_page_comes
        }
    };
}

/// The outbox of a store: it writes as the store writes.
#[async_trait]
pub trait Outboxes: Send + Sync {
    async fn put(&self, lease: &Lease, rows: &[OutboxRow], markers: &[Marker]);

    async fn put_watermark(&self, lease: &Lease, published_ms: u64);

    async fn sweep(
        &self,
        lease: &Lease,
        pass: Pass,
        now_ms: u64,
        republish: &mut dyn Republish,
    ) -> Result<(), String>;
}

/// A bucket begins here.
const NOW_MS: u64 = 1_700_000_000_000;
const SET: SlotSet = SlotSet::Channels;

/// Notes what it is given; fails at the item with that number.
#[derive(Default)]
struct Collect {
    seen: Vec<String>,
    rows: Vec<OutboxRow>,
    fail_at: Option<usize>,
}

#[async_trait]
impl Republish for Collect {
    async fn republish(&mut self, unpublished: Unpublished) -> Result<(), RepublishError> {
        if self.fail_at == Some(self.seen.len()) {
            return Err("the stream is away".into());
        }
        self.seen.push(match &unpublished {
            Unpublished::Marker { marker: Marker { epoch, bucket, channel, .. }, published_ms } => {
                let since_ms = published_ms.saturating_sub(NOW_MS);
                format!("{epoch} {} channel {channel} since {since_ms}", after(*bucket))
            }
            Unpublished::Row(OutboxRow { epoch, bucket, id, .. }) => {
                format!("{epoch} {} row {id}", after(*bucket))
            }
        });
        if let Unpublished::Row(row) = unpublished {
            self.rows.push(row);
        }
        Ok(())
    }

    async fn too_late(&mut self, _: Unpublished) -> Result<(), RepublishError> {
        Ok(())
    }
}

fn after(bucket: Bucket) -> u64 {
    bucket.0 - Bucket::of_ms(NOW_MS).0
}

fn bucket(number: u64) -> Bucket {
    Bucket(Bucket::of_ms(NOW_MS).0 + number)
}

/// Of the one slot of a test, which is that of channel 7.
fn lease(epoch: u64) -> Lease {
    Lease { set: SET, slot: Slot::of(7), epoch: Epoch(epoch) }
}

fn row(epoch: u64, number: u64, id: u64) -> OutboxRow {
    let event =
        |subject, event_id| OutboxEvent { subject, event_id, envelope: Bytes::from(vec![id as u8; 9]) };
    let events = vec![
        event(Subject::Guild(GuildId::new(id).expect("above 0")), id),
        event(Subject::User(UserId::new(9).expect("above 0")), id + (1 << 40)),
    ];
    OutboxRow { set: SET, slot: lease(epoch).slot, epoch: Epoch(epoch), bucket: bucket(number), id, events }
}

fn marker(epoch: u64, number: u64) -> Marker {
    Marker { set: SET, slot: lease(epoch).slot, epoch: Epoch(epoch), bucket: bucket(number), channel: 7 }
}

async fn swept(outbox: &Arc<dyn Outboxes>, epoch: u64, pass: Pass) -> Vec<String> {
    let mut collect = Collect::default();
    let now_ms = NOW_MS + 5 * OUTBOX_BUCKET_MS;
    outbox.sweep(&lease(epoch), pass, now_ms, &mut collect).await.expect("nothing fails");
    collect.seen
}

pub async fn what_earlier_owners_left_comes_in_order_and_once(outbox: Arc<dyn Outboxes>) {
    outbox.put(&lease(2), &[row(2, 0, 40), row(2, 0, 30), row(2, 1, 50)], &[marker(2, 0)]).await;
    outbox.put(&lease(1), &[row(1, 2, 60)], &[marker(1, 1), marker(1, 1)]).await;
    let left = [
        "1 1 channel 7 since 0",
        "1 2 row 60",
        "2 0 channel 7 since 0",
        "2 0 row 30",
        "2 0 row 40",
        "2 1 row 50",
    ];
    assert_eq!(swept(&outbox, 3, Pass::First).await, left);
    assert_eq!(swept(&outbox, 3, Pass::Late).await, [""; 0]);
    outbox.put(&lease(3), &[row(3, 6, 70)], &[marker(3, 6)]).await;
    let mut left_by_the_third = swept(&outbox, 4, Pass::First).await;
    // It may have written down where it began.
    left_by_the_third.iter_mut().for_each(|line| line.truncate(line.find(" since").unwrap_or(line.len())));
    assert_eq!(left_by_the_third, ["3 6 channel 7", "3 6 row 70"]);
}

pub async fn what_lies_below_the_watermark_does_not_come(outbox: Arc<dyn Outboxes>) {
    let markers: Vec<Marker> = (0..4).map(|number| marker(1, number)).collect();
    let rows: Vec<OutboxRow> = (0..4).map(|number| row(1, number, 10 + number)).collect();
    outbox.put(&lease(1), &rows, &markers).await;
    for published_ms in [NOW_MS, NOW_MS + OUTBOX_BUCKET_MS, NOW_MS + 2 * OUTBOX_BUCKET_MS + 5] {
        outbox.put_watermark(&lease(1), published_ms).await;
    }
    let left = ["1 2 channel 7 since 20005", "1 2 row 12", "1 3 channel 7 since 20005", "1 3 row 13"];
    assert_eq!(swept(&outbox, 2, Pass::First).await, left);
}

pub async fn rows_come_as_they_were_written(outbox: Arc<dyn Outboxes>) {
    let rows = [row(1, 0, 10), row(1, 0, 11), OutboxRow { events: vec![], ..row(1, 0, 12) }];
    outbox.put(&lease(1), &rows, &[]).await;
    let mut collect = Collect::default();
    outbox.sweep(&lease(2), Pass::First, NOW_MS, &mut collect).await.expect("nothing fails");
    assert_eq!(collect.rows, rows);
}

pub async fn a_sweep_that_failed_begins_again(outbox: Arc<dyn Outboxes>) {
    let rows: Vec<OutboxRow> = (0..3).map(|number| row(1, number, 10 + number)).collect();
    outbox.put(&lease(1), &rows, &[]).await;
    let mut collect = Collect { fail_at: Some(2), ..Collect::default() };
    let error = outbox.sweep(&lease(2), Pass::First, NOW_MS, &mut collect).await.expect_err("it fails");
    assert!(error.contains("the stream is away"), "{error}");
    assert_eq!(collect.seen.len(), 2);
    assert_eq!(swept(&outbox, 2, Pass::First).await, ["1 0 row 10", "1 1 row 11", "1 2 row 12"]);
}

pub async fn more_than_a_page_comes(outbox: Arc<dyn Outboxes>) {
    let count = 2 * OUTBOX_PAGE_LEN as u64 + 1;
    let rows: Vec<OutboxRow> = (1..=count).map(|id| row(1, 0, id)).collect();
    for rows in rows.chunks(50) {
        outbox.put(&lease(1), rows, &[]).await;
    }
    let expected: Vec<String> = (1..=count).map(|id| format!("1 0 row {id}")).collect();
    assert_eq!(swept(&outbox, 2, Pass::First).await, expected);
}
