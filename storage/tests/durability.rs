//! What only a process that dies can show: acknowledged commits survive kill -9, a failed sync ends the process
//! without answering anybody, and a second process is refused.
//!
//! A test starts this same test binary again for one of the `child_*` functions below, which do nothing unless
//! the environment variable that names their directory is set.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::{
    collections::HashSet,
    io::{BufRead, BufReader, Read, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};
use storage::{Batch, Engine, EngineOptions, OpenError, Table};

const DIR: &str = "STORAGE_TEST_DIR";

fn child(name: &str, dir: &std::path::Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--ignored", "--nocapture"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn child_dir() -> Option<PathBuf> {
    std::env::var_os(DIR).map(PathBuf::from)
}

/// Says something to the parent at once, past the test harness's own output.
fn say(word: &str, key: u64) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{word} {key}").unwrap();
    out.flush().unwrap();
}

/// The number after `word`, when the line has it. The harness may print on the same line before it.
fn heard(line: &str, word: &str) -> Option<u64> {
    line.split_once(&format!("{word} "))?.1.trim().parse().ok()
}

async fn put(engine: &Engine, table: &Table, key: u64) -> Result<(), storage::CommitError> {
    let mut batch = Batch::new();
    batch.put(table, key.to_be_bytes(), key.to_le_bytes());
    batch.put(table, (1 << 63 | key).to_be_bytes(), [1; 200]);
    engine.commit(batch).await
}

/// Commits from 16 tasks and acknowledges each on stdout, until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by another test"]
async fn child_commits_until_killed() {
    let Some(dir) = child_dir() else { return };
    let engine = Engine::open(&dir, EngineOptions::default()).unwrap();
    let table = engine.table("rows").unwrap();
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (engine, table, next) = (engine.clone(), table.clone(), next.clone());
        tasks.spawn(async move {
            loop {
                let key = next.fetch_add(1, SeqCst);
                put(&engine, &table, key).await.unwrap();
                say("acknowledged", key);
            }
        });
    }
    tasks.join_next().await;
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = HashSet::new();
    for round in 1..=3_usize {
        let _ = std::fs::remove_dir_all(dir.path().join("store"));
        acknowledged.clear();
        let mut child = child("child_commits_until_killed", &dir.path().join("store"));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        for line in lines.by_ref() {
            acknowledged.extend(heard(&line.unwrap(), "acknowledged"));
            if acknowledged.len() >= 700 * round {
                child.kill().unwrap();
                break;
            }
        }
        // What it had said before it died counts too; a last line may be torn.
        for line in lines.map_while(Result::ok) {
            acknowledged.extend(heard(&line, "acknowledged"));
        }
        child.wait().unwrap();
        assert!(acknowledged.len() >= 700 * round, "the child ended by itself");

        let engine = Engine::open(&dir.path().join("store"), EngineOptions::default()).unwrap();
        let table = engine.table("rows").unwrap();
        for key in &acknowledged {
            assert_eq!(table.get(key.to_be_bytes()).unwrap(), Some(key.to_le_bytes().to_vec()), "key {key}");
        }
        // All or nothing: both rows of a batch, or neither.
        for row in table.range(..(1_u64 << 63).to_be_bytes()) {
            let key = u64::from_be_bytes(row.unwrap().0.try_into().unwrap());
            assert!(
                table.contains((1 << 63 | key).to_be_bytes()).unwrap(),
                "key {key} without its second row"
            );
        }
    }
}

/// Commits one by one on a disk whose third sync fails, with three more callers waiting for that one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by another test"]
async fn child_commits_until_a_sync_fails() {
    let Some(dir) = child_dir() else { return };
    let syncs = AtomicU64::new(0);
    let options = EngineOptions {
        sync_hook: Some(Arc::new(move || match syncs.fetch_add(1, SeqCst) {
            0 | 1 => Ok(()),
            _ => Err(std::io::Error::from_raw_os_error(5)),
        })),
        ..EngineOptions::default()
    };
    let engine = Engine::open(&dir, options).unwrap();
    let table = engine.table("rows").unwrap();
    for key in 0..2 {
        put(&engine, &table, key).await.unwrap();
        say("acknowledged", key);
    }
    let mut tasks = tokio::task::JoinSet::new();
    for key in 2..6 {
        let (engine, table) = (engine.clone(), table.clone());
        tasks.spawn(async move {
            let outcome = put(&engine, &table, key).await;
            say(if outcome.is_ok() { "acknowledged" } else { "refused" }, key);
        });
    }
    while tasks.join_next().await.is_some() {}
    say("alive", 0);
}

#[test]
fn a_failed_sync_ends_the_process_and_answers_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = child("child_commits_until_a_sync_fails", dir.path());
    let (mut out, mut err) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    let status = child.wait().unwrap();
    let said = |word| out.lines().filter_map(|line| heard(line, word)).collect::<Vec<_>>();
    assert_eq!(said("acknowledged"), [0, 1], "{out}{err}");
    assert!(said("refused").is_empty() && said("alive").is_empty(), "{out}");
    #[cfg(unix)]
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(6), "not aborted: {status}");
    assert!(!status.success());
    let dir_name = dir.path().to_str().unwrap();
    assert!(err.contains(dir_name) && err.contains("after a failed fsync"), "{err}");

    let engine = Engine::open(dir.path(), EngineOptions::default()).unwrap();
    let table = engine.table("rows").unwrap();
    assert!(table.contains(0_u64.to_be_bytes()).unwrap() && table.contains(1_u64.to_be_bytes()).unwrap());
}

/// Holds the database until its parent closes its end of stdin or kills it.
#[test]
#[ignore = "started by another test"]
fn child_holds_the_database() {
    let Some(dir) = child_dir() else { return };
    let _engine = Engine::open(&dir, EngineOptions::default()).unwrap();
    say("open", 0);
    std::thread::sleep(Duration::from_secs(20));
}

#[test]
fn a_second_process_is_refused_with_the_directory_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = child("child_holds_the_database", dir.path());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| heard(&line.unwrap(), "open").is_some()));
    let error = Engine::open(dir.path(), EngineOptions::default()).unwrap_err();
    assert!(matches!(&error, OpenError::Locked { dir: named } if named == dir.path()), "{error}");
    assert!(error.to_string().contains(dir.path().to_str().unwrap()), "{error}");
    child.kill().unwrap();
    child.wait().unwrap();
    Engine::open(dir.path(), EngineOptions::default()).unwrap();
}

/// Processor time of this process so far, in clock ticks.
#[cfg(target_os = "linux")]
fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn an_idle_engine_uses_no_processor_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = child("child_holds_the_database", dir.path());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| heard(&line.unwrap(), "open").is_some()));
    let before = cpu_ticks(child.id());
    std::thread::sleep(Duration::from_secs(2));
    let used = cpu_ticks(child.id()) - before;
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(used <= 2, "{used} ticks of 10 ms in 2 s");
}
