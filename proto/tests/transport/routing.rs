//! Which replica a call goes to.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::Slot;
use proto::transport::remote::{self, Resolve, Targets};
use proto::{FailureKind, v1};
use tokio::sync::watch;

use crate::replica::{Replica, all_up, begin, client, connect, connect_with, end, eventually, get, who};
use crate::service::{WAIT, not_owner};

/// Addresses as the test has them.
#[derive(Clone)]
struct Names {
    addresses: Arc<parking_lot::Mutex<Vec<SocketAddr>>>,
    looks: watch::Sender<u32>,
}

impl Names {
    fn of(replicas: &[&Replica]) -> Self {
        let names = Self { addresses: Arc::default(), looks: watch::Sender::new(0) };
        names.set(replicas);
        names
    }

    fn set(&self, replicas: &[&Replica]) {
        *self.addresses.lock() = replicas.iter().map(|replica| replica.addr).collect();
    }

    /// Waits until somebody has asked twice more: by then the first of the two answers has been taken.
    async fn asked_again(&self) {
        let now = *self.looks.borrow();
        self.looks.subscribe().wait_for(|looks| *looks >= now + 2).await.unwrap();
    }

    fn config(&self) -> remote::Config {
        let targets = "dns:///messages.test:1".parse().unwrap();
        remote::Config {
            resolver: Arc::new(self.clone()),
            resolve_every: Duration::from_millis(40),
            ..remote::Config::new("messages", targets)
        }
    }
}

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        assert_eq!((host, port), ("messages.test", 1));
        self.looks.send_modify(|looks| *looks += 1);
        Ok(self.addresses.lock().clone())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_has_one_replica_and_all_replicas_have_channels() {
    let (one, two, three) =
        (Replica::start("one").await, Replica::start("two").await, Replica::start("three").await);
    let (here, there) = (connect(&[&one, &two, &three]), connect(&[&three, &one, &two]));
    all_up(&here, 3).await;
    all_up(&there, 3).await;
    let mut seen = std::collections::BTreeSet::new();
    for channel in 1..60 {
        let first = who(&client(&here), channel).await.unwrap();
        assert_eq!(who(&client(&there), channel).await.unwrap(), first, "every caller asks the same one");
        seen.insert(first);
    }
    assert_eq!(seen.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_without_a_key_go_to_all() {
    let (one, two) = (Replica::start("one").await, Replica::start("two").await);
    let remote = connect(&[&one, &two]);
    all_up(&remote, 2).await;
    for _ in 0..100 {
        let request = v1::LastMessageIdsRequest { channel_ids: vec![1] };
        client(&remote).last_message_ids(request).await.unwrap();
    }
    let shares = [one.service.started(), two.service.started()];
    assert!(shares.iter().all(|share| *share >= 20), "{shares:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_owner_that_is_named_is_asked_and_remembered() {
    let (one, two) = (Replica::start("one").await, Replica::start("two").await);
    let remote = connect(&[&one, &two]);
    all_up(&remote, 2).await;
    // Two owns everything.
    let owner = two.address();
    one.service.owns(move |slot| Some(not_owner(slot, Some(&owner))));
    for channel in 1..40 {
        assert_eq!(who(&client(&remote), channel).await, Ok("two".to_owned()));
    }
    let redirects = remote.counts().redirects;
    assert!(redirects > 0 && redirects == u64::from(one.service.started()));
    for channel in 1..40 {
        assert_eq!(who(&client(&remote), channel).await, Ok("two".to_owned()));
    }
    assert_eq!(remote.counts().redirects, redirects, "nobody is sent twice");
    // Now one owns everything, and two does not know who does.
    one.service.owns(|_| None);
    two.service.owns(|slot| Some(not_owner(slot, None)));
    for channel in 1..40 {
        assert_eq!(who(&client(&remote), channel).await, Ok("one".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_without_a_key_is_sent_on_to_the_owner() {
    let (one, two) = (Replica::start("one").await, Replica::start("two").await);
    let remote = connect(&[&one, &two]);
    all_up(&remote, 2).await;
    let owner = two.address();
    one.service.owns(move |_| Some(not_owner(Slot::of(1), Some(&owner))));
    for _ in 0..20 {
        let request = v1::LastMessageIdsRequest { channel_ids: vec![1] };
        client(&remote).last_message_ids(request).await.unwrap();
    }
    assert!(remote.counts().redirects > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_nobody_owns_is_waited_for_and_then_said() {
    let (one, two) = (Replica::start("one").await, Replica::start("two").await);
    let remote = connect(&[&one, &two]);
    all_up(&remote, 2).await;
    for replica in [&one, &two] {
        replica.service.owns(|slot| Some(not_owner(slot, None)));
    }
    let failure = who(&client(&remote), 1).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unavailable);
    assert!(failure.message.contains("nothing was done"), "{failure}");
    let asked = one.service.started() + two.service.started();
    assert_eq!(asked, model::limits::RPC_ATTEMPTS_MAX);
    // An owner that appears in the meantime is found.
    let (denials, mine) = (std::sync::atomic::AtomicU32::new(0), one.address());
    one.service.owns(move |slot| {
        let count = denials.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        (count < 2).then(|| not_owner(slot, Some(&mine)))
    });
    assert_eq!(who(&client(&remote), 1).await, Ok("one".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_come_and_go_without_an_error() {
    let (one, two) = (Replica::start("one").await, Replica::start("two").await);
    let names = Names::of(&[&one]);
    let remote = connect_with(names.config());
    assert_eq!(who(&client(&remote), 1).await, Ok("one".to_owned()));
    names.asked_again().await;
    names.set(&[&one, &two]);
    all_up(&remote, 2).await;
    assert_eq!(one.server.as_ref().unwrap().counts()().connections, 1, "who stays keeps the connection");
    let mut moved = Vec::new();
    for channel in 1..40 {
        if who(&client(&remote), channel).await.unwrap() == "two" {
            moved.push(channel);
        }
    }
    assert!(!moved.is_empty() && moved.len() < 39, "{moved:?}");
    // One goes away while it works on a call.
    let before = one.service.started();
    let channel = (1..40).find(|channel| !moved.contains(channel)).unwrap();
    let mut caller = client(&remote);
    let call = begin(async move { caller.get_message(get(channel, WAIT)).await });
    one.service.wait_for_started(before + 1).await;
    names.set(&[&two]);
    eventually("one is no longer known", || remote.replicas().len() == 1).await;
    for channel in 1..40 {
        assert_eq!(who(&client(&remote), channel).await, Ok("two".to_owned()));
    }
    one.service.let_through(1);
    assert_eq!(end(call).await.unwrap().into_inner().message_json, "one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_without_addresses_is_said() {
    let remote = connect_with(Names::of(&[]).config());
    let failure = who(&client(&remote), 1).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unavailable);
    for part in ["no replica of messages is known", "dns:///messages.test:1", "it has no address"] {
        assert!(failure.message.contains(part), "{part}: {failure}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_lost_takes_no_replica_away() {
    let one = Replica::start("one").await;
    let names = Names::of(&[&one]);
    let remote = connect_with(names.config());
    all_up(&remote, 1).await;
    names.set(&[]);
    names.asked_again().await;
    assert_eq!(who(&client(&remote), 1).await, Ok("one".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_of_this_machine_are_resolved() {
    let one = Replica::start("one").await;
    let targets: Targets = format!("localhost:{}", one.addr.port()).parse().unwrap();
    let remote = connect_with(remote::Config::new("messages", targets));
    assert_eq!(who(&client(&remote), 1).await, Ok("one".to_owned()));
    remote.shutdown().await;
    let failure = who(&client(&remote), 1).await.unwrap_err();
    assert!(failure.message.contains("closed"), "{failure}");
}
