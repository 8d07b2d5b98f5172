//! Replicas of `messages` that die or freeze on their way from the request to the answer.

use std::time::Duration;

use doubles::until;
use rustix::process::Signal;
use testkit::cluster::Member;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::is_full;
use crate::town::Town;

/// Of a send, and of an edit or a deletion; nothing in a row means that there are fewer steps.
const STEPS: [[&str; 2]; 5] = [
    ["messages.received", "messages.change_received"],
    ["messages.numbered", "messages.change_numbered"],
    ["messages.stored", "messages.change_stored"],
    ["messages.published", "messages.change_published"],
    ["messages.answered", "messages.change_published"],
];

/// Whoever comes to the step first dies there; two may, where there are two replicas.
pub async fn messages_is_killed_at_each_step(town: &Town) {
    for steps in if is_full() { &STEPS[..] } else { &STEPS[2..4] } {
        let killed = async {
            for step in steps {
                kill_at(&town.members("messages"), step).await;
            }
        };
        town.traffic.phase(&format!("`messages` killed at `{}` and `{}`", steps[0], steps[1]), killed).await;
    }
}

/// Waits until one of these processes has died at this point and runs again.
pub async fn kill_at(members: &[&Member], point: &str) {
    let pids: Vec<Option<u32>> = members.iter().map(|member| member.pid()).collect();
    members.iter().for_each(|member| member.arm(point, "kill").unwrap());
    until(point, async || members.iter().any(|member| !member.is_armed(point)).then_some(())).await;
    let reached: Vec<_> = members.iter().zip(pids).filter(|(member, _)| !member.disarm(point)).collect();
    for (member, pid) in reached {
        member.replaced(pid).await.unwrap();
        member.ready().await.unwrap();
    }
}

/// First one, then the other: frozen with a message that is stored and not published, and with one that has its id and
/// is not stored. Their channels go to the other replica, whose clock is three seconds apart.
pub async fn a_replica_is_frozen_beyond_its_lease(town: &Town) {
    let members = town.members("messages");
    let [one, other] = members[..] else { return };
    for (replicas, step) in [
        ([one, other], "messages.stored"),
        ([other, one], "messages.numbered"),
        ([one, other], "messages.published"),
    ] {
        let frozen = async {
            let member = freeze_at(&replicas, step).await;
            let until = Instant::now() + FROZEN;
            town.traffic.settle().await;
            sleep_until(until).await;
            member.signal(Signal::CONT);
            member.ready().await.unwrap();
        };
        town.traffic.phase(&format!("a replica of `messages` frozen at `{step}`"), frozen).await;
    }
}

/// Freezes the first of these processes that comes to this point in good time. Which one owns channels is not known.
async fn freeze_at<'a>(members: &[&'a Member], point: &str) -> &'a Member {
    for member in members.iter().cycle().take(ROUNDS_MAX) {
        member.arm(point, "stop").unwrap();
        let reached = async {
            while member.is_armed(point) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        if timeout(REACHED_IN, reached).await.is_ok() || !member.disarm(point) {
            return member;
        }
    }
    panic!("nobody came to {point}");
}

/// Far beyond a lease of 10 s.
const FROZEN: Duration = Duration::from_secs(14);
const REACHED_IN: Duration = Duration::from_secs(15);
const ROUNDS_MAX: usize = 4;
