//! Order, watermarks, marks and expiry on a real database.

use super::*;
use crate::EngineOptions;
use async_trait::async_trait;

const SET: SlotSet = SlotSet::Channels;

/// Collects what it is given; fails at the item with that number.
#[derive(Default)]
struct Collect {
    seen: Vec<String>,
    fail_at: Option<usize>,
}

#[async_trait]
impl Republish for Collect {
    async fn republish(&mut self, unpublished: Unpublished) -> Result<(), RepublishError> {
        if self.fail_at == Some(self.seen.len()) {
            return Err("stream is away".into());
        }
        self.seen.push(match unpublished {
            Unpublished::Marker { marker, published_ms } => {
                assert_eq!(marker.slot, Slot::of(marker.channel));
                format!("{}/{} channel {} from {published_ms}", marker.epoch, marker.bucket.0, marker.channel)
            }
            Unpublished::Row(row) => {
                assert_eq!(row.events, events(row.id));
                format!("{}/{} row {}", row.epoch, row.bucket.0, row.id)
            }
        });
        Ok(())
    }

    async fn too_late(&mut self, unpublished: Unpublished) -> Result<(), RepublishError> {
        panic!("the lock on the directory rules it out: {unpublished:?}");
    }
}

fn events(id: u64) -> Vec<OutboxEvent> {
    let event = |subject, event_id| OutboxEvent { subject, event_id, envelope: Bytes::from(vec![7; 20]) };
    let guild = Subject::Guild(model::GuildId::new(id + 1).unwrap());
    vec![event(guild, id), event(Subject::User(model::UserId::new(9).unwrap()), id + 1)]
}

fn row(epoch: u64, bucket: u64, id: u64) -> OutboxRow {
    let slot = Slot::new(5).unwrap();
    OutboxRow { set: SET, slot, epoch: Epoch(epoch), bucket: Bucket(bucket), id, events: events(id) }
}

fn marker(epoch: u64, bucket: u64, channel: u64) -> Marker {
    Marker { set: SET, slot: Slot::of(channel), epoch: Epoch(epoch), bucket: Bucket(bucket), channel }
}

async fn fill(outbox: &Outbox, rows: &[OutboxRow], markers: &[Marker]) {
    let mut batch = Batch::new();
    rows.iter().for_each(|row| outbox.put_row(&mut batch, row));
    markers.iter().for_each(|marker| outbox.put_marker(&mut batch, marker));
    outbox.engine.commit(batch).await.unwrap();
}

async fn watermark(outbox: &Outbox, epoch: u64, ms: u64) {
    let mut batch = Batch::new();
    outbox.put_watermark(&mut batch, SET, Epoch(epoch), ms);
    outbox.engine.commit(batch).await.unwrap();
}

fn open(dir: &tempfile::TempDir) -> Outbox {
    Outbox::open(&Engine::open(dir.path(), EngineOptions::default()).unwrap()).unwrap()
}

#[tokio::test]
async fn the_sweep_gives_what_is_above_the_watermarks_in_order_and_once() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(&dir);
    let rows =
        [row(1, 9, 90), row(2, 12, 121), row(2, 12, 120), row(2, 11, 110), row(3, 20, 200), row(2, 10, 100)];
    fill(&outbox, &rows, &[marker(2, 12, 1), marker(2, 10, 1), marker(3, 20, 1), marker(2, 13, 1)]).await;
    let other = OutboxRow { set: SlotSet::Users, ..row(1, 9, 1) };
    fill(&outbox, &[other], &[]).await;
    // Everything of bucket 10 is published, and half of bucket 11.
    watermark(&outbox, 2, 115_000).await;

    let mut collect = Collect::default();
    let report = outbox.sweep(SET, Epoch(3), &mut collect).await.unwrap();
    let expected = [
        "1/9 row 90",
        "2/11 row 110",
        "2/12 channel 1 from 115000",
        "2/12 row 120",
        "2/12 row 121",
        "2/13 channel 1 from 115000",
    ];
    assert_eq!(collect.seen, expected);
    let epochs = vec![Epoch(1), Epoch(2)];
    assert_eq!(report, SweepReport { epochs, markers: 2, rows: 4, events: 8 });

    let mut again = Collect::default();
    assert_eq!(outbox.sweep(SET, Epoch(3), &mut again).await.unwrap(), SweepReport::default());
    let next = outbox.sweep(SET, Epoch(4), &mut again).await.unwrap();
    assert_eq!(next.epochs, [Epoch(3)]);
    assert_eq!(again.seen, ["3/20 channel 1 from 0", "3/20 row 200"]);
}

#[tokio::test]
async fn a_failed_sweep_starts_the_epoch_again() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(&dir);
    fill(&outbox, &[row(1, 1, 10), row(2, 1, 20), row(2, 1, 21)], &[]).await;
    let mut failing = Collect { fail_at: Some(2), ..Collect::default() };
    let error = outbox.sweep(SET, Epoch(3), &mut failing).await.unwrap_err();
    assert!(error.to_string().contains("epoch 2 of Channels left: stream is away"), "{error}");
    assert_eq!(failing.seen, ["1/1 row 10", "2/1 row 20"]);
    let mut collect = Collect::default();
    outbox.sweep(SET, Epoch(3), &mut collect).await.unwrap();
    assert_eq!(collect.seen, ["2/1 row 20", "2/1 row 21"]);
}

#[tokio::test]
async fn a_bucket_larger_than_a_page_is_swept_whole() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(&dir);
    let rows: Vec<_> = (0..600).map(|id| row(1, 4, id)).collect();
    let markers: Vec<_> = (0..512).map(|channel| marker(1, 4, channel)).collect();
    fill(&outbox, &rows, &markers).await;
    let mut collect = Collect::default();
    let report = outbox.sweep(SET, Epoch(2), &mut collect).await.unwrap();
    assert_eq!((report.markers, report.rows, collect.seen.len()), (512, 600, 1_112));
    let ids: Vec<_> = (0..600).map(|id| format!("1/4 row {id}")).collect();
    assert_eq!(collect.seen[512..], ids);
}

#[tokio::test]
async fn expired_rows_go_a_bounded_number_at_a_time_and_unswept_ones_stay() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(&dir);
    let rows: Vec<_> = (0..10).map(|id| row(2, id, id)).collect();
    fill(&outbox, &rows, &[marker(1, 1, 1), marker(2, 1, 1), marker(2, 95, 1)]).await;
    watermark(&outbox, 1, 7).await;
    watermark(&outbox, 2, 100_000).await;
    // 15 minutes after the end of bucket 4, so buckets 0 to 4 have expired.
    let now_ms = 50_000 + 15 * 60 * 1_000;

    let report = outbox.prune(SET, Epoch(2), now_ms, 4).await.unwrap();
    assert_eq!(report, PruneReport { rows: 4, marks: 0, more: true });
    let report = outbox.prune(SET, Epoch(2), now_ms, 4).await.unwrap();
    assert_eq!(report, PruneReport { rows: 2, marks: 0, more: false });
    assert_eq!(outbox.rows.all().count(), 7, "five rows, the marker of bucket 95, the unswept one");
    assert_eq!(outbox.epochs_below(SET, Epoch(2)).unwrap(), [Epoch(1)]);

    outbox.sweep(SET, Epoch(2), &mut Collect::default()).await.unwrap();
    outbox.prune(SET, Epoch(2), now_ms, 4).await.unwrap();
    let report = outbox.prune(SET, Epoch(2), now_ms, 4).await.unwrap();
    assert_eq!(report, PruneReport { rows: 0, marks: 2, more: false });
    assert_eq!(outbox.watermark(SET, Epoch(1)).unwrap(), 0);
    assert!(outbox.epochs_below(SET, Epoch(2)).unwrap().is_empty());
}

#[tokio::test]
async fn expired_rows_above_the_running_epochs_watermark_stay_until_it_has_passed_them() {
    let dir = tempfile::tempdir().unwrap();
    let outbox = open(&dir);
    let rows: Vec<_> = (0..10).map(|id| row(2, id, id)).collect();
    fill(&outbox, &rows, &[marker(2, 3, 1)]).await;
    let all_expired_ms = 1_000_000 + 15 * 60 * 1_000;
    let report = outbox.prune(SET, Epoch(2), all_expired_ms, 100).await.unwrap();
    assert_eq!(report, PruneReport::default(), "nothing is published yet");

    // In the middle of bucket 3: its rows may not have been published.
    watermark(&outbox, 2, 35_000).await;
    let report = outbox.prune(SET, Epoch(2), all_expired_ms, 100).await.unwrap();
    assert_eq!(report, PruneReport { rows: 3, marks: 0, more: false });
    watermark(&outbox, 2, 100_000).await;
    let report = outbox.prune(SET, Epoch(2), all_expired_ms, 100).await.unwrap();
    assert_eq!(report, PruneReport { rows: 8, marks: 0, more: false });
}

#[test]
fn buckets_are_ten_seconds() {
    assert_eq!(Bucket::of_ms(19_999), Bucket(1));
    assert_eq!((Bucket(1).start_ms(), Bucket(1).end_ms()), (10_000, 20_000));
    assert_eq!(Bucket::of_snowflake(0), Bucket(142_007_040));
}
