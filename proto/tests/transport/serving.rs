//! What a server does when there is too much, and when it ends.

use proto::serving::Config;
use proto::{Failure, FailureKind, v1};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::replica::{Replica, all_up, begin, client, connect, end, get, who};
use crate::service::{ECHO, WAIT};

const KEY: fn(u64) -> v1::LastMessageIdsRequest =
    |act| v1::LastMessageIdsRequest { channel_ids: vec![1, act] };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_much_is_told_to_come_again() {
    let one = Replica::start_with("one", Config { calls_max: 1, ..Config::default() }).await;
    let remote = connect(&[&one]);
    let mut caller = client(&remote);
    let call = begin(async move { caller.get_message(get(1, WAIT)).await });
    one.service.wait_for_started(1).await;
    let status = client(&remote).get_message(get(1, ECHO)).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::ResourceExhausted);
    let failure = Failure::from(status);
    assert_eq!(failure.kind, FailureKind::Unavailable);
    assert!(failure.message.contains("nothing was done") && failure.retry_after_ms.is_some(), "{failure}");
    one.service.let_through(1);
    end(call).await.unwrap();
    one.service.wait_for_finished(1).await;
    assert_eq!(one.server.as_ref().unwrap().counts()().shed, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_any_replica_answers_leaves_a_full_one() {
    let one = Replica::start_with("one", Config { calls_max: 1, ..Config::default() }).await;
    let two = Replica::start("two").await;
    let (only_one, both) = (connect(&[&one]), connect(&[&one, &two]));
    all_up(&both, 2).await;
    let mut caller = client(&only_one);
    let call = begin(async move { caller.last_message_ids(KEY(WAIT)).await });
    one.service.wait_for_started(1).await;
    for _ in 0..10 {
        client(&both).last_message_ids(KEY(ECHO)).await.unwrap();
    }
    assert_eq!(two.service.started(), 10);
    one.service.let_through(1);
    end(call).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_ends_finishes_its_calls_and_takes_no_more() {
    let (mut one, two) = (Replica::start("one").await, Replica::start("two").await);
    let remote = connect(&[&one, &two]);
    all_up(&remote, 2).await;
    let mut channel = 1;
    while who(&client(&remote), channel).await.unwrap() != "one" {
        channel += 1;
    }
    let before = one.service.started();
    let mut caller = client(&remote);
    let call = begin(async move { caller.get_message(get(channel, WAIT)).await });
    one.service.wait_for_started(before + 1).await;
    let (service, others) = (one.service.clone(), client(&remote));
    let calls = async {
        // Every call while it ends is answered by somebody.
        while who(&others, channel).await.unwrap() == "one" {}
        service.let_through(1);
    };
    tokio::join!(one.shutdown(), calls);
    assert_eq!(end(call).await.unwrap().into_inner().message_json, "one");
    assert!(TcpStream::connect(one.addr).await.is_err(), "nobody listens any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_beyond_the_limit_are_closed() {
    let one = Replica::start_with("one", Config { connections_max: 1, ..Config::default() }).await;
    let remote = connect(&[&one]);
    who(&client(&remote), 1).await.unwrap();
    let mut second = TcpStream::connect(one.addr).await.unwrap();
    assert_eq!(second.read(&mut [0; 1]).await.unwrap(), 0);
    assert_eq!(who(&client(&remote), 1).await, Ok("one".to_owned()));
}
