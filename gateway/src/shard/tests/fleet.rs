//! Several gateways under faults: whatever happens to them and between them, sessions go on.
//!
//! A seed gives a [`schedule`]: events are published, what is seen changes, clients come back at any pod with what they have or
//! less and beside the socket that they have; pods drain, die at once, are replaced; calls between pods are lost, late,
//! doubled and overtake each other; registries are away, slow, or lose answers; deliveries lag and are lost; wall clocks
//! step. The [`oracle`] knows what each session had to be given, [`ownership`] looks that no two pods have one for
//! longer than a heartbeat and that who has lost it is silent, and each connection's numbers go on by one.
//!
//! The same seed gives the same run, byte for byte. A seed that fails is run again by itself with `SEED=n`; `SEEDS=a..b` runs
//! others than the suite does, and `make simulate` runs 100,000.
//!
//! Of the first 1,200 seeds six fail and are not explained: 123, 946, 961, 981, 1063 and 1194, all with faults of the registry or
//! of calls between pods. `make simulate` fails until they are.

mod cluster;
mod history;
mod life;
mod links;
mod marks;
mod oracle;
mod owners;
mod ownership;
mod peer;
mod router;
mod schedule;

use tokio::task::LocalSet;

use super::schedule::asked;
use schedule::Schedule;

const SEEDS: u64 = 100;
/// Seeds that have found something, beyond the first.
const FOUND: [u64; 3] = [170, 273, 369];
/// How many failures are told at once.
const FAILURES_MAX: usize = 5;

#[test]
fn sessions_go_on_whatever_happens_to_their_gateways() {
    let mut failures = Vec::new();
    for seed in asked((0..SEEDS).chain(FOUND)) {
        if let Err(failure) = run(seed) {
            failures.push(failure);
        }
        if failures.len() >= FAILURES_MAX {
            break;
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [4, 5, 6, 7] {
        let runs = [seed, seed, seed + 4].map(|seed| run(seed).unwrap());
        assert!(runs[0].lines().count() > 50, "something happens");
        assert_eq!(runs[0], runs[1]);
        assert_ne!(runs[0], runs[2]);
    }
}

/// Runs one schedule; answers everything that happened.
fn run(seed: u64) -> Result<String, String> {
    let _told = Told(seed);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let mut schedule = Schedule::start(seed).await;
        let outcome = schedule.run().await;
        let text = schedule.text();
        match outcome {
            Ok(()) => {
                schedule.end().await;
                Ok(text)
            }
            Err(problem) => {
                Err(format!("{text}\nseed {seed}, {:?}: {problem}; again with SEED={seed}", schedule.faults))
            }
        }
    })
}

/// Says which seed it was when something panics.
struct Told(u64);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("again with SEED={}", self.0);
        }
    }
}
