//! The engine in one process; what needs a process that dies lies in `tests/durability.rs`.

use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use tokio::{task::JoinSet, time::Instant};

fn open(dir: &tempfile::TempDir) -> (Engine, Table) {
    let engine = Engine::open(dir.path(), EngineOptions::default()).unwrap();
    let table = engine.table("rows").unwrap();
    (engine, table)
}

async fn put(engine: &Engine, table: &Table, rows: &[(&str, &str)]) {
    let mut batch = Batch::new();
    for (key, value) in rows {
        batch.put(table, key, value);
    }
    engine.commit(batch).await.unwrap();
}

fn keys(rows: Vec<Row>) -> Vec<String> {
    rows.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect()
}

#[tokio::test]
async fn a_committed_batch_is_read_back_also_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (engine, table) = open(&dir);
        let other = engine.table("other").unwrap();
        put(&engine, &table, &[("gone", "x"), ("a", "1")]).await;
        let mut batch = Batch::new();
        batch.delete(&table, "gone");
        batch.delete(&table, "never there");
        batch.put(&other, "b", "");
        batch.put(&other, "c", "first");
        batch.put(&other, "c", "last");
        batch.put(&other, "d", "put, then deleted");
        batch.delete(&other, "d");
        engine.commit(batch).await.unwrap();
        assert_eq!(other.get("c").unwrap(), Some(b"last".to_vec()));
        assert!(!other.contains("d").unwrap());
        engine.close().await.unwrap();
    }
    let (engine, table) = open(&dir);
    let other = engine.table("other").unwrap();
    assert_eq!(table.get("a").unwrap(), Some(b"1".to_vec()));
    assert_eq!(table.get("gone").unwrap(), None);
    assert_eq!(other.get("b").unwrap(), Some(vec![]));
    assert_eq!(other.get("c").unwrap(), Some(b"last".to_vec()));
    assert!(!other.contains("d").unwrap());
    assert_eq!(other.all().count(), 2);
}

#[tokio::test]
async fn scans_go_both_ways_and_stop_at_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, table) = open(&dir);
    put(&engine, &table, &[("a1", ""), ("a2", ""), ("a3", ""), ("b1", ""), ("b2", "")]).await;
    assert_eq!(keys(table.first_by_prefix("a", 2).unwrap()), ["a1", "a2"]);
    assert_eq!(keys(table.last_by_prefix("a", 2).unwrap()), ["a3", "a2"]);
    assert_eq!(keys(table.first_in_range("a2".."b2", 9).unwrap()), ["a2", "a3", "b1"]);
    assert_eq!(keys(table.last_in_range(.."b1", 2).unwrap()), ["a3", "a2"]);
    assert_eq!(keys(table.last_in_range("a3"..="b2", 9).unwrap()), ["b2", "b1", "a3"]);
    assert!(table.first_by_prefix("c", 9).unwrap().is_empty());
}

#[tokio::test]
async fn concurrent_commits_share_fsyncs() {
    let dir = tempfile::tempdir().unwrap();
    // The first fsync waits until all commits are there; each takes 2 ms at least.
    let (all_there, waits) = sync_channel::<()>(0);
    let waits = parking_lot::Mutex::new(waits);
    let slow: SyncHook = Arc::new(move || {
        assert!(waits.lock().recv().is_err(), "nothing is sent");
        std::thread::sleep(Duration::from_millis(2));
        Ok(())
    });
    let options = EngineOptions { sync_hook: Some(slow), ..EngineOptions::default() };
    let engine = Engine::open(dir.path(), options).unwrap();
    let table = engine.table("rows").unwrap();
    let (mut tasks, begun) = (JoinSet::new(), Arc::new(AtomicUsize::new(0)));
    for number in 0..100_u64 {
        let (engine, table, begun) = (engine.clone(), table.clone(), begun.clone());
        tasks.spawn(async move {
            let mut batch = Batch::new();
            batch.put(&table, number.to_be_bytes(), [0; 92]);
            begun.fetch_add(1, Ordering::Relaxed);
            // There is room in the queue, so the first poll puts it there.
            engine.commit(batch).await.unwrap();
            // What is acknowledged can be read at once.
            assert!(table.contains(number.to_be_bytes()).unwrap());
        });
    }
    while begun.load(Ordering::Relaxed) < 100 {
        tokio::task::yield_now().await;
    }
    drop(all_there);
    tasks.join_all().await;
    let stats = engine.stats();
    assert_eq!((stats.batches, stats.changes, stats.bytes), (100, 100, 10_000));
    assert!(stats.groups <= 2, "100 commits took {} fsyncs", stats.groups);
    assert!(stats.write_us >= stats.groups * 2_000);
}

#[tokio::test]
async fn readers_see_a_batch_only_after_its_fsync() {
    let dir = tempfile::tempdir().unwrap();
    let (entered, wait) = sync_channel(1);
    let (release, released) = sync_channel::<()>(1);
    let released = parking_lot::Mutex::new(released);
    let gate: SyncHook = Arc::new(move || {
        entered.send(()).unwrap();
        released.lock().recv().unwrap();
        Ok(())
    });
    let options = EngineOptions { sync_hook: Some(gate), ..EngineOptions::default() };
    let engine = Engine::open(dir.path(), options).unwrap();
    let table = engine.table("rows").unwrap();
    let mut batch = Batch::new();
    batch.put(&table, "key", "value");
    let mut commits = JoinSet::new();
    commits.spawn({
        let engine = engine.clone();
        async move { engine.commit(batch).await }
    });
    tokio::task::spawn_blocking(move || wait.recv_timeout(Duration::from_secs(60)).unwrap()).await.unwrap();
    assert!(commits.try_join_next().is_none() && !table.contains("key").unwrap());
    release.send(()).unwrap();
    commits.join_next().await.unwrap().unwrap().unwrap();
    assert!(table.contains("key").unwrap());
}

#[tokio::test]
async fn bad_batches_are_refused_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, table) = open(&dir);
    let mut batch = Batch::new();
    batch.put(&table, "good", "");
    batch.put(&table, "", "");
    batch.put(&table, [0; limits::STORE_KEY_BYTES_MAX + 1], "");
    let error = engine.commit(batch).await.unwrap_err();
    assert!(matches!(error, CommitError::Batch(BatchError::KeyLength { len: 0 })), "{error}");
    let mut batch = Batch::new();
    batch.put(&table, "good", vec![0; limits::STORE_BATCH_BYTES_MAX]);
    let error = engine.commit(batch).await.unwrap_err();
    assert!(matches!(error, CommitError::Batch(BatchError::TooLarge { .. })), "{error}");
    engine.commit(Batch::new()).await.unwrap();
    assert_eq!(table.all().count(), 0);
    assert_eq!(engine.stats(), EngineStats::default());
}

#[tokio::test]
async fn close_writes_what_waits_and_refuses_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, table) = open(&dir);
    let mut commits = JoinSet::new();
    for number in 0..50_u8 {
        let (engine, table) = (engine.clone(), table.clone());
        commits.spawn(async move {
            let mut batch = Batch::new();
            batch.put(&table, [number], [number]);
            engine.commit(batch).await
        });
    }
    tokio::task::yield_now().await;
    engine.close().await.unwrap();
    engine.close().await.unwrap();
    let mut written = 0;
    while let Some(commit) = commits.join_next().await {
        match commit.unwrap() {
            Ok(()) => written += 1,
            Err(error) => assert!(matches!(error, CommitError::Closed), "{error}"),
        }
    }
    assert!(written > 0);
    assert_eq!(table.all().count(), written);
    let mut batch = Batch::new();
    batch.put(&table, "late", "");
    assert!(matches!(engine.commit(batch).await, Err(CommitError::Closed)));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_was_taken_and_not_confirmed_is_of_unknown_outcome() {
    let deadline = Instant::now() + Duration::from_secs(1);
    let (done, gone) = tokio::sync::oneshot::channel();
    drop(done);
    assert!(matches!(confirmed(gone, deadline).await, Err(CommitError::Unknown)));
    let (done, late) = tokio::sync::oneshot::channel();
    assert!(matches!(confirmed(late, deadline).await, Err(CommitError::Unknown)));
    assert!(done.send(()).is_err() && Instant::now() == deadline);
}

#[test]
fn bad_names_and_newer_formats_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, table) = open(&dir);
    for name in ["", "UPPER", "a/b", "a b", &"x".repeat(65)] {
        assert!(matches!(engine.table(name), Err(OpenError::TableName { .. })), "{name}");
    }
    let meta = engine.table(META_TABLE).unwrap();
    meta.keyspace().insert(FormatKey::encode(), (FORMAT + 1).to_be_bytes()).unwrap();
    drop((engine, table, meta));
    let error = Engine::open(dir.path(), EngineOptions::default()).unwrap_err();
    assert!(matches!(error, OpenError::TooNew { found: 2, known: 1, .. }), "{error}");
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Engine::open(&file.join("store"), EngineOptions::default()).unwrap_err();
    assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
}

#[cfg(unix)]
#[test]
fn a_new_directory_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b");
    Engine::open(&path, EngineOptions::default()).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn a_journal_of_12_megabytes_is_read_without_ado() {
    let dir = tempfile::tempdir().unwrap();
    {
        let (engine, table) = open(&dir);
        for number in 0..12_u64 {
            let mut batch = Batch::new();
            for part in 0..1_000_u64 {
                let key = [number.to_be_bytes(), part.to_be_bytes()].concat();
                batch.put(&table, key, vec![part as u8; 1_000]);
            }
            engine.commit(batch).await.unwrap();
        }
    }
    let started = Instant::now();
    let (_engine, table) = open(&dir);
    // A tenth of a second here; a reader that goes over it again for each row would take minutes.
    assert!(started.elapsed() < Duration::from_secs(20), "opening took {:?}", started.elapsed());
    assert_eq!(table.all().count(), 12_000);
}
