//! Acknowledged means stored: through SIGKILL, and below it through the order of system calls.
//!
//! A killed process leaves the page cache behind, so the kill alone would not notice a missing fdatasync. `strace` does:
//! it shows that an answer leaves after the sync that covers its write, and it can make a sync fail.

#![expect(clippy::unwrap_used, reason = "a test ends where it unwraps")]

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use doubles::until;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::rest::Rest;
use testkit::server::{Options, Server};
use tokio::task::JoinSet;

const SENDERS: usize = 50;

/// How many messages the kill test sends: `KILL_SENDS=10000` is the whole of it.
fn sends() -> usize {
    std::env::var("KILL_SENDS").ok().and_then(|count| count.parse().ok()).unwrap_or(2_000)
}

async fn send(rest: &Rest, channel: &str, nonce: &str) -> Option<Value> {
    let body = json!({ "content": format!("content of {nonce}"), "nonce": nonce, "enforce_nonce": true });
    let answer = rest.call(Method::POST, &format!("/channels/{channel}/messages"), Some(&body)).await.ok()?;
    (answer.status == StatusCode::OK).then(|| answer.json())
}

/// The whole history of a channel, newest first.
async fn history(rest: &Rest, channel: &str) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    loop {
        let before = all.last().map_or(String::new(), |m| format!("&before={}", m["id"].as_str().unwrap()));
        let page = rest.get(&format!("/channels/{channel}/messages?limit=100{before}")).await;
        let page = page.as_array().unwrap().clone();
        if page.is_empty() {
            return all;
        }
        all.extend(page);
    }
}

/// Each sender sends its share, one at a time; what was acknowledged comes back as nonce → id.
async fn send_shares(
    server: &Server,
    tokens: &[String],
    channel: &str,
    acknowledged: &Arc<AtomicUsize>,
) -> JoinSet<Vec<(String, Option<String>)>> {
    let mut senders = JoinSet::new();
    let share = sends().div_ceil(tokens.len());
    for (sender, token) in tokens.iter().enumerate() {
        let (rest, channel) = (server.rest(token), channel.to_owned());
        let acknowledged = Arc::clone(acknowledged);
        senders.spawn(async move {
            let mut outcomes = Vec::new();
            for number in 0..share {
                let nonce = format!("{sender}-{number}");
                let sent = send(&rest, &channel, &nonce).await;
                let id = sent.map(|message| message["id"].as_str().unwrap().to_owned());
                let is_lost = id.is_none();
                acknowledged.fetch_add(usize::from(!is_lost), Ordering::SeqCst);
                outcomes.push((nonce, id));
                if is_lost {
                    break;
                }
            }
            outcomes
        });
    }
    senders
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_loses_nothing_that_was_acknowledged() {
    let mut server = Server::start().await;
    let seed = server.seed(SENDERS);
    let tokens: Vec<String> = seed.members.iter().map(|member| member.token.clone()).collect();
    let acknowledged = Arc::new(AtomicUsize::new(0));
    let mut senders = send_shares(&server, &tokens, &seed.channel_id, &acknowledged).await;
    let half = sends() / 2;
    until("half of them are acknowledged", async || {
        (acknowledged.load(Ordering::SeqCst) >= half).then_some(())
    })
    .await;
    server.kill().unwrap();
    let mut outcomes = HashMap::new();
    while let Some(share) = senders.join_next().await {
        outcomes.extend(share.unwrap());
    }
    let lost: Vec<String> =
        outcomes.iter().filter(|(_, id)| id.is_none()).map(|(nonce, _)| nonce.clone()).collect();
    assert!(!lost.is_empty(), "the kill came while messages were being sent");

    server.restart().await;
    let reader = server.rest(&tokens[0]);
    let mut by_nonce: HashMap<String, Vec<String>> = HashMap::new();
    let before = history(&reader, &seed.channel_id).await;
    for message in &before {
        let nonce = message["content"].as_str().unwrap().trim_start_matches("content of ").to_owned();
        by_nonce.entry(nonce).or_default().push(message["id"].as_str().unwrap().to_owned());
    }
    println!(
        "{} acknowledged, {} in flight, {} stored",
        outcomes.len() - lost.len(),
        lost.len(),
        before.len()
    );
    for (nonce, id) in &outcomes {
        let found = by_nonce.get(nonce).map_or(&[][..], Vec::as_slice);
        match id {
            Some(id) => assert_eq!(found, std::slice::from_ref(id), "{nonce} was acknowledged"),
            None => assert!(found.len() <= 1, "{nonce} is there {} times", found.len()),
        }
    }

    // Everybody who did not get an answer asks again, and so do some who did.
    for (nonce, id) in outcomes.iter().filter(|(nonce, id)| id.is_none() || nonce.ends_with('7')) {
        let sender: usize = nonce.split('-').next().unwrap().parse().unwrap();
        let again =
            send(&server.rest(&tokens[sender]), &seed.channel_id, nonce).await.expect("a retry succeeds");
        let stored = by_nonce.get(nonce).map(|ids| &ids[0]).or(id.as_ref());
        if let Some(stored) = stored {
            assert_eq!(again["id"], *stored, "{nonce} again is the same message");
        }
    }
    let after = history(&reader, &seed.channel_id).await;
    let unseen = lost.iter().filter(|nonce| !by_nonce.contains_key(*nonce)).count();
    assert_eq!(after.len(), before.len() + unseen, "a retry makes a message only where there was none");
    let ids: Vec<u64> =
        after.iter().map(|message| message["id"].as_str().unwrap().parse().unwrap()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] > pair[1]), "ids are the order");
}

/// Whether `strace` can be used; says so when not.
fn has_strace(test: &str) -> bool {
    let can_trace = Command::new("strace").args(["-f", "-o", "/dev/null", "true"]).output();
    let can_trace = can_trace.is_ok_and(|output| output.status.success());
    if !can_trace {
        println!("{test} is skipped: strace is not installed, or may not trace here");
    }
    can_trace
}

fn strace(arguments: &[&str], output: &Path) -> Options {
    let mut wrapper: Vec<String> = ["strace", "-D", "-f", "-o"].map(str::to_owned).to_vec();
    wrapper.push(output.display().to_string());
    wrapper.extend(arguments.iter().map(|&argument| argument.to_owned()));
    Options { wrapper, ..Options::unlimited() }
}

/// A system call of the trace that is finished, with the lines at which it began and ended.
struct SystemCall {
    name: String,
    text: String,
    began: usize,
    ended: usize,
}

/// Joins `<unfinished ...>` and `<... resumed>`.
fn system_calls(trace: &str) -> Vec<SystemCall> {
    let mut open: HashMap<&str, (usize, String)> = HashMap::new();
    let mut calls = Vec::new();
    for (number, line) in trace.lines().enumerate() {
        let Some((thread, rest)) = line.split_once(char::is_whitespace) else { continue };
        let rest = rest.trim_start();
        let (began, text) = if let Some(begun) = rest.strip_suffix("<unfinished ...>") {
            open.insert(thread, (number, begun.to_owned()));
            continue;
        } else if rest.starts_with("<... ") {
            let Some((began, head)) = open.remove(thread) else { continue };
            (began, format!("{head}{}", rest.split_once("resumed>").map_or("", |(_, tail)| tail)))
        } else {
            (number, rest.to_owned())
        };
        let name = text.split('(').next().unwrap_or_default().to_owned();
        calls.push(SystemCall { name, text, began, ended: number });
    }
    calls
}

/// One message at a time: between the arrival of a POST and its 200 there is a write to the journal, and after it an
/// fdatasync, begun after the write and returned before the answer.
#[tokio::test]
async fn no_answer_leaves_before_its_fdatasync() {
    if !has_strace("no_answer_leaves_before_its_fdatasync") {
        return;
    }
    const MESSAGES: usize = 20;
    let folder = tempfile::TempDir::new().unwrap();
    let trace = folder.path().join("trace");
    let calls = "-etrace=read,recvfrom,readv,write,writev,pwrite64,sendto,sendmsg,fdatasync,fsync,openat";
    let mut server = Server::with(strace(&["-s", "4096", calls], &trace)).await;
    let alice = server.alice();
    for number in 0..MESSAGES {
        alice.send(&server.demo.channels.general, &format!("traced-{number}-message")).await;
    }
    server.terminate();
    server.wait().await;
    // strace became a process of its own, and writes on for a moment.
    let end = format!("{} +++ exited", server.pid());
    let trace = until("the whole trace", async || {
        let text = String::from_utf8_lossy(&std::fs::read(&trace).unwrap()).into_owned();
        text.lines()
            .any(|line| line.split_whitespace().collect::<Vec<_>>().join(" ").starts_with(&end))
            .then_some(text)
    })
    .await;
    let calls = system_calls(&trace);
    for number in 0..MESSAGES {
        check_order(&calls, &format!("traced-{number}-message")).unwrap();
    }
}

/// Between the arrival of the POST with this marker and its answer there is a write, and then a sync of the same file
/// that began after the write had returned, succeeded, and returned before the answer began.
fn check_order(calls: &[SystemCall], marker: &str) -> Result<(), String> {
    let has = |call: &&SystemCall| call.text.contains(marker);
    let arrived = calls.iter().filter(has).find(|call| call.text.contains("POST /api"));
    let arrived = arrived.ok_or(format!("{marker}: no request"))?;
    let is_answer = |call: &&SystemCall| call.text.contains("HTTP/1.1 200") && call.began > arrived.ended;
    let answer = calls.iter().filter(has).find(is_answer).ok_or(format!("{marker}: no answer"))?;
    let is_sync = |call: &&SystemCall| {
        matches!(call.name.as_str(), "fdatasync" | "fsync") && call.text.ends_with("= 0")
    };
    let is_write = |call: &&SystemCall| {
        matches!(call.name.as_str(), "write" | "pwrite64" | "writev") && !call.text.contains("HTTP/1.1")
    };
    let between = |call: &&SystemCall| call.began > arrived.ended && call.ended < answer.began;
    let covers = |sync: &SystemCall| {
        let of_file = |call: &&SystemCall| descriptor(&call.text) == descriptor(&sync.text);
        let mut writes = calls.iter().filter(is_write).filter(of_file);
        writes.any(|write| write.began > arrived.ended && write.ended < sync.began)
    };
    let mut syncs = calls.iter().filter(is_sync).filter(between);
    if syncs.any(covers) {
        Ok(())
    } else {
        Err(format!("{marker}: no sync covers a write before the answer"))
    }
}

#[test]
fn the_check_of_the_order_can_fail() {
    let request = "1 recvfrom(7, \"POST /api/v10 m\", 9) = 9\n";
    let answer = "1 writev(7, [\"HTTP/1.1 200 OK m\"]) = 9\n";
    let (write, sync) = ("2 write(5, \"m\", 1) = 1\n", "2 fdatasync(5) = 0\n");
    let check = |lines: &[&str]| check_order(&system_calls(&lines.concat()), "m").is_ok();
    assert!(check(&[request, write, sync, answer]));
    let (begun, resumed) = ("2 fdatasync(5 <unfinished ...>\n", "2 <... fdatasync resumed>) = 0\n");
    assert!(check(&[request, write, begun, resumed, answer]));
    for bad in [
        [request, write, answer, sync].as_slice(),
        &[request, sync, write, answer],
        &[write, sync, request, answer],
        &[request, write, begun, answer, resumed],
        &[request, begun, write, resumed, answer],
        &[request, write, "2 fdatasync(5) = -1 EIO\n", answer],
        &[request, write, "2 fdatasync(6) = 0\n", answer],
    ] {
        assert!(!check(bad), "{bad:?}");
    }
}

/// The first argument of a call.
fn descriptor(call: &str) -> &str {
    call.split_once('(').and_then(|(_, rest)| rest.split([',', ')']).next()).unwrap_or_default().trim()
}

/// After a failed fsync nobody knows what is on the disk: the process ends instead of acknowledging more.
#[tokio::test]
async fn a_failed_fdatasync_ends_the_process() {
    if !has_strace("a_failed_fdatasync_ends_the_process") {
        return;
    }
    let folder = tempfile::TempDir::new().unwrap();
    // Starting takes a handful of syncs; the failure comes among the messages.
    let options = strace(
        &["-etrace=fdatasync", "-einject=fdatasync:error=EIO:when=200+"],
        &folder.path().join("trace"),
    );
    let mut server = Server::with(options).await;
    let alice = server.alice();
    let mut acknowledged = Vec::new();
    let mut is_refused = false;
    for number in 0..400 {
        let nonce = number.to_string();
        match send(&alice, &server.demo.channels.general, &nonce).await {
            Some(message) => acknowledged.push(message["id"].clone()),
            None => {
                is_refused = true;
                break;
            }
        }
    }
    assert!(is_refused, "messages were acknowledged in spite of failed syncs");
    let status = server.wait().await;
    assert!(!status.success(), "{status}");
    server.restart().await;
    let stored = history(&server.alice(), &server.demo.channels.general).await;
    for id in &acknowledged {
        assert!(stored.iter().any(|message| message["id"] == *id), "{id} was acknowledged");
    }
}
