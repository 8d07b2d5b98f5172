//! The suite on a service across the network, and what becomes of calls when replicas die, are not there, or say goodbye.

use std::time::Duration;

use async_trait::async_trait;
use model::limits::{RPC_BUDGET_PERCENT, RPC_BUDGET_RESERVE};
use proto::serving::Config;
use proto::transport::remote::{self, Remote, Targets};
use proto::{Failure, FailureKind, Transport};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::replica::{
    Replica, all_up, begin, client, connect, connect_with, create, end, eventually, get, text, who,
};
use crate::service::{ECHO, Scripted, WAIT};
use crate::suite::{Rig, transport_suite};

struct Network {
    replica: Replica,
    remote: Remote,
}

#[async_trait]
impl Rig for Network {
    async fn start() -> Self {
        let replica = Replica::start("one").await;
        let remote = connect(&[&replica]);
        Self { replica, remote }
    }

    fn transport(&self) -> Transport {
        Transport::remote(&self.remote)
    }

    fn service(&self) -> &Scripted {
        &self.replica.service
    }
}

transport_suite!(Network);

/// A channel whose calls go to the first replica.
async fn channel_of(remote: &Remote, replica: &Replica, name: &str) -> u64 {
    let client = client(remote);
    for channel in 1..1_000 {
        if who(&client, channel).await.unwrap() == name {
            assert!(replica.service.started() > 0);
            return channel;
        }
    }
    panic!("no channel goes to {name}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_dies_leaves_the_outcome_unknown() {
    let (mut one, two) = (Replica::start("one").await, Replica::start("two").await);
    let remote = connect(&[&one, &two]);
    all_up(&remote, 2).await;
    let channel = channel_of(&remote, &one, "one").await;
    let (before, others) = (one.service.started(), two.service.started());
    let mut caller = client(&remote);
    let call = begin(async move { caller.create_message(create(channel, WAIT, false)).await });
    one.service.wait_for_started(before + 1).await;
    one.die();
    let failure = Failure::from(end(call).await.unwrap_err());
    assert_eq!(failure.kind, FailureKind::Unavailable);
    assert!(failure.message.contains("outcome unknown"), "{failure}");
    assert_eq!(two.service.started(), others, "it was not made again");
    assert_eq!(remote.counts().lost, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_does_no_harm_twice_is_made_again() {
    for is_create in [false, true] {
        let (mut one, two) = (Replica::start("one").await, Replica::start("two").await);
        let remote = connect(&[&one, &two]);
        all_up(&remote, 2).await;
        let channel = channel_of(&remote, &one, "one").await;
        let before = one.service.started();
        two.service.let_through(1);
        let mut caller = client(&remote);
        let call = begin(async move {
            if is_create {
                let reply = caller.create_message(create(channel, WAIT, true)).await;
                text(reply.map(|reply| reply.into_inner().message_json))
            } else {
                let reply = caller.get_message(get(channel, WAIT)).await;
                text(reply.map(|reply| reply.into_inner().message_json))
            }
        });
        one.service.wait_for_started(before + 1).await;
        one.die();
        assert_eq!(end(call).await, Ok("two".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_is_gone_is_passed_by_whatever_the_call_does() {
    let (mut one, two) = (Replica::start("one").await, Replica::start("two").await);
    let remote = connect(&[&one, &two]);
    all_up(&remote, 2).await;
    let channel = channel_of(&remote, &one, "one").await;
    one.die();
    eventually("one is down", || remote.replicas().iter().any(|replica| !replica.is_up)).await;
    let reply = client(&remote).create_message(create(channel, ECHO, false)).await;
    assert_eq!(text(reply.map(|reply| reply.into_inner().message_json)), Ok("two".to_owned()));
}

/// A process that stands still is connected to by its kernel all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_stands_still_is_passed_by_until_it_answers() {
    let (one, two) = (Replica::start("one").await, Replica::start("two").await);
    let thaw = one.freeze().await;
    let remote = connect(&[&one, &two]);
    eventually("two is up", || remote.is_up()).await;
    for channel in 1..40 {
        assert_eq!(who(&client(&remote), channel).await, Ok("two".to_owned()));
    }
    drop(thaw);
    all_up(&remote, 2).await;
    channel_of(&remote, &one, "one").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_there_is_said_and_nothing_was_done() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let remote = connect_with(remote::Config::new("messages", Targets::List(vec![gone.to_string()])));
    let failure = who(&client(&remote), 1).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unavailable);
    for part in ["messages can't be reached", "nothing was done", "refused", &gone.to_string()] {
        assert!(failure.message.contains(part), "{part}: {failure}");
    }
    assert!(failure.retry_after_ms.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_comes_back_is_connected_to_again() {
    let mut one = Replica::start("one").await;
    let remote = connect(&[&one]);
    who(&client(&remote), 1).await.unwrap();
    one.die();
    eventually("one is down", || !remote.is_up()).await;
    let listener = TcpListener::bind(one.addr).await.unwrap();
    let service = Scripted::new("again");
    let services = proto::serving::Services::new().with(proto::clients::messages_server(service));
    let server = proto::serving::Server::start(listener, services, Config::default()).await.unwrap();
    eventually("it is up", || remote.is_up()).await;
    assert_eq!(who(&client(&remote), 1).await, Ok("again".to_owned()));
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_reach_their_age_under_load_without_an_error() {
    let age = Duration::from_millis(60);
    let one = Replica::start_with("one", Config { connection_age: age, ..Config::default() }).await;
    let remote = connect(&[&one]);
    let counts = one.server.as_ref().unwrap().counts();
    let mut callers = JoinSet::new();
    for _ in 0..8 {
        let (client, counts) = (client(&remote), one.server.as_ref().unwrap().counts());
        callers.spawn(async move {
            while counts().connections < 20 {
                // Not repeatable: whatever the goodbye cuts off would be an error.
                let reply = client.clone().create_message(create(7, ECHO, false)).await;
                assert_eq!(text(reply.map(|reply| reply.into_inner().message_json)), Ok("one".to_owned()));
            }
        });
    }
    callers.join_all().await;
    assert!(counts().calls > 20);
    assert_eq!(remote.counts().lost, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeats_end_with_the_budget() {
    // Says that it is there, takes a call, and hangs up.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let hang_up = begin(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let Some(Ok((_, mut health))) = connection.accept().await else { continue };
            health.send_response(http::Response::new(()), true).unwrap();
            connection.accept().await;
        }
    });
    let remote = connect_with(remote::Config::new("messages", Targets::List(vec![address])));
    let client = client(&remote);
    let calls = 20;
    for _ in 0..calls {
        let failure = who(&client, 1).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Unavailable);
        assert!(failure.message.contains("outcome unknown"), "{failure}");
    }
    let counts = remote.counts();
    assert!(counts.refused > 0, "{counts:?}");
    assert!(
        counts.lost <= u64::from(calls + RPC_BUDGET_RESERVE + calls * RPC_BUDGET_PERCENT / 100),
        "{counts:?}"
    );
    drop(hang_up);
}
