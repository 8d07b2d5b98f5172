//! What every register of worker ids has to do.

use std::sync::Arc;

use futures_util::future::join_all;
use model::clock::SystemClock;
use model::entropy;
use storage::{WorkerId, WorkerLease, WorkerRegister, WorkerRow};
use tokio_util::sync::CancellationToken;

/// Makes one test of each property; the maker is an `async fn() -> Option<Arc<dyn WorkerRegister>>`.
#[macro_export]
macro_rules! workers_conformance {
    ($maker:path) => {
        $crate::conformance_tests_where_possible! { $maker, [$crate::conformance::workers]
            a_row_is_replaced_by_who_saw_it_as_it_is
            of_many_who_take_the_same_id_one_has_it
            processes_get_ids_of_their_own_and_give_them_up
        }
    };
}

fn worker(number: u16) -> WorkerId {
    WorkerId::new(number).expect("below 1,024")
}

/// Of somebody new.
fn row(version: u64) -> WorkerRow {
    WorkerRow { holder: Some(entropy::number()), version, last_ms: 1_800_000_000_000 }
}

pub async fn a_row_is_replaced_by_who_saw_it_as_it_is(register: Arc<dyn WorkerRegister>) {
    let worker = worker(1_000);
    let read = async || register.read(worker).await.expect("an answer");
    let write = async |seen, row| register.write(worker, seen, row).await.expect("an answer");
    assert_eq!(read().await, None);
    let (first, second) = (row(1), row(2));
    assert!(!write(Some(first), second).await, "there is none");
    assert!(write(None, first).await);
    assert_eq!(read().await, Some(first));
    assert!(!write(None, second).await);
    assert!(!write(Some(WorkerRow { version: 2, ..first }), second).await, "another version");
    assert!(!write(Some(WorkerRow { holder: None, ..first }), second).await, "another holder");
    assert_eq!(read().await, Some(first));
    let given_up = WorkerRow { holder: None, version: 2, ..first };
    assert!(write(Some(first), given_up).await);
    assert_eq!(read().await, Some(given_up));
    assert!(write(Some(given_up), WorkerRow { version: 3, ..second }).await);
}

pub async fn of_many_who_take_the_same_id_one_has_it(register: Arc<dyn WorkerRegister>) {
    let worker = worker(1_001);
    let rows: Vec<WorkerRow> = (0..4).map(|_| row(1)).collect();
    let written = join_all(rows.iter().map(|row| register.write(worker, None, *row))).await;
    let found = register.read(worker).await.expect("an answer");
    for (row, written) in rows.iter().zip(written) {
        // Who has no answer knows nothing.
        if let Ok(is_written) = written {
            assert_eq!(is_written, found == Some(*row));
        }
    }
}

pub async fn processes_get_ids_of_their_own_and_give_them_up(register: Arc<dyn WorkerRegister>) {
    let take = || WorkerLease::take(register.clone(), SystemClock::shared());
    let leases = join_all((0..4).map(|_| take())).await;
    let leases: Vec<WorkerLease> = leases.into_iter().map(|lease| lease.expect("some are free")).collect();
    let mut numbers: Vec<u16> = leases.iter().map(|lease| lease.worker().get()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 4);
    let stop = CancellationToken::new();
    stop.cancel();
    for lease in leases {
        let (worker, ids) = (lease.worker(), lease.snowflakes());
        lease.keep(&Arc::new(parking_lot::Mutex::new(ids)), &stop).await.expect("it is ours");
        let row = register.read(worker).await.expect("an answer");
        assert_eq!(row.expect("it was taken").holder, None);
    }
}
