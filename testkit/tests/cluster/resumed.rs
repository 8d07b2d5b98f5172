//! A session is resumed at the other gateway, again and again, while messages go on coming.

use std::time::Duration;

use serde_json::json;
use testkit::cluster::Options;
use testkit::gateway_client::{GatewayClient, Incoming};
use tokio::time::sleep;

use crate::House;

const MESSAGES: usize = 160;
/// After so many messages the client changes to the other gateway.
const STAY: usize = 8;

#[tokio::test]
async fn a_session_is_resumed_at_either_gateway_with_nothing_missing_and_nothing_twice() {
    let Some(house) = House::open_with(Options::embedded).await else { return };
    let bob = house.login(0, "bob").await;
    let sending = async {
        for number in 0..MESSAGES {
            house.rest(number % 2, "alice").send(house.general(), &format!("number {number}")).await;
            sleep(Duration::from_millis(15)).await;
        }
    };
    let (bob, ()) = tokio::join!(wander(&house, bob), sending);
    another_token_gets_nothing(&house, bob).await;
    house.cluster.stop().await;
}

/// Takes all messages, now here and now there; the old socket is open every other time.
async fn wander(house: &House, mut bob: GatewayClient) -> GatewayClient {
    let (mut received, mut seq, mut stays) = (0, bob.seq, 0);
    while received < MESSAGES {
        match bob.next().await {
            Incoming::Dispatch { name, seq: given, data } if name == "MESSAGE_CREATE" => {
                assert_eq!(data["content"], format!("number {received}"), "in order, each once");
                assert_eq!(given, seq + 1, "numbered without a hole");
                (received, seq) = (received + 1, given);
                if received % STAY == 0 {
                    stays += 1;
                    bob = moved(house, bob, stays).await;
                }
            }
            Incoming::Dispatch { name, .. } => {
                assert!(["PRESENCE_UPDATE", "TYPING_START", "RESUMED"].contains(&name.as_str()), "{name}");
            }
            Incoming::Op(1 | 11, _) => {}
            other => panic!("after {received} messages: {other:?}"),
        }
    }
    bob
}

async fn moved(house: &House, mut bob: GatewayClient, stays: usize) -> GatewayClient {
    let url = &house.cluster.demo.gateways[stays % 2];
    let mut next = GatewayClient::connect(url).await.unwrap();
    if stays.is_multiple_of(2) {
        bob.reset();
    }
    resume(&mut next, house.token("bob"), &bob).await;
    if !stays.is_multiple_of(2) {
        assert_eq!(bob.expect_close().await, Some(4000), "the old socket is closed");
    }
    (next.session_id, next.seq) = (bob.session_id, bob.seq);
    next
}

async fn resume(socket: &mut GatewayClient, token: &str, of: &GatewayClient) {
    socket.send(6, json!({ "token": token, "session_id": of.session_id, "seq": of.seq })).await;
}

async fn another_token_gets_nothing(house: &House, mut bob: GatewayClient) {
    for url in &house.cluster.demo.gateways {
        let mut thief = GatewayClient::connect(url).await.unwrap();
        resume(&mut thief, house.token("alice"), &bob).await;
        assert_eq!(thief.expect_op(9).await, false);
    }
    house.rest(0, "alice").send(house.general(), "still here").await;
    bob.expect_message("still here").await;
}
