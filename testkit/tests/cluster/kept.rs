//! What the version before has left in the streams, and what the next one will: the processes of this one work with it,
//! live, in a replay, and across a gateway that ends.
//!
//! A gateway that ends gives its sessions to the other as long as it is there; it leaves no record yet of those that nobody
//! took.

use std::path::Path;
use std::sync::Arc;

use backplane::nats::Config;
use backplane::{Backplane, Layout, Nats, Subject};
use bytes::Bytes;
use doubles::until;
use model::{GuildId, UserId};
use rustix::process::Signal;
use serde_json::json;
use testkit::conformance::backplane::fresh;
use testkit::gateway_client::GatewayClient;

use crate::House;

/// The versions of an envelope, beside those that are kept.
const NEXT: u8 = 2;
const BEYOND: u8 = 3;

#[tokio::test]
async fn what_another_version_has_left_is_worked_with() {
    let Some(house) = House::open().await else { return };
    let left = Left::of(&house).await;
    let mut alice = house.login(0, "alice").await;
    let mut bob = house.login(1, "bob").await;

    left.message("kept", None).await;
    left.message("of the next", Some(NEXT)).await;
    left.message("of the one after that", Some(BEYOND)).await;
    left.message("kept again", None).await;
    for client in [&mut alice, &mut bob] {
        for content in ["kept", "of the next", "kept again"] {
            client.expect_message(content).await;
        }
        assert!(!client.passed_names().contains(&"MESSAGE_CREATE"), "{:?}", client.passed);
    }
    let id = UserId::new(bob.ready["user"]["id"].as_str().unwrap().parse().unwrap()).unwrap();
    for version in [None, Some(NEXT)] {
        left.user_update(id, version).await;
        bob.expect_where("USER_UPDATE", |data| data["version"] == json!(version)).await;
    }

    alice.reset();
    left.message("while away", None).await;
    left.message("while away, of the next", Some(NEXT)).await;
    bob.expect_message("while away, of the next").await;
    let gateway = &house.cluster.demo.gateways[0];
    let came = alice.resume_to_message(gateway, "while away, of the next").await;
    let contents: Vec<_> = came.iter().map(|(_, data)| data["content"].clone()).collect();
    assert_eq!(contents, ["while away", "while away, of the next"]);

    house.cluster.member("gateway-2").signal(Signal::TERM);
    bob.expect_op(7).await;
    left.message("during the change", Some(NEXT)).await;
    // The old socket stays: a gateway that nobody is connected to ends, and the sessions with it.
    let mut again = GatewayClient::connect(&house.cluster.demo.gateways[0]).await.unwrap();
    let resume = json!({ "token": house.token("bob"), "session_id": bob.session_id, "seq": bob.seq });
    again.send(6, resume).await;
    again.expect_message("during the change").await;
    left.message("after that", None).await;
    again.expect_message("after that").await;
    house.cluster.stop().await;
}

/// Puts into the streams what another version would have.
struct Left {
    streams: Arc<Nats>,
    guild: GuildId,
    channel: u64,
}

impl Left {
    async fn of(house: &House) -> Self {
        let config = Config {
            layout: Layout { guild_partitions: 4, user_partitions: 2 },
            ..Config::new(vec![format!("nats://{}", house.cluster.member("nats-1").address())])
        };
        let streams = until("a connection", async || Nats::connect(&config).await.ok()).await;
        let guild = GuildId::new(house.cluster.demo.demo.guild_id.parse().unwrap()).unwrap();
        Self { streams, guild, channel: house.general().parse().unwrap() }
    }

    /// A message in the demo's channel, in the kept form or as a later version would write it.
    async fn message(&self, content: &str, version: Option<u8>) {
        let event_id = fresh();
        let data = json!({
            "id": event_id.to_string(),
            "channel_id": self.channel.to_string(),
            "guild_id": self.guild,
            "content": content,
        });
        let ids = [fixed(2, event_id), fixed(5, self.guild.get()), fixed(7, self.channel)].concat();
        let kept = [kept("message"), ids, bytes(10, data.to_string().as_bytes())].concat();
        self.publish(Subject::Guild(self.guild), event_id, as_version(kept, version)).await;
    }

    async fn user_update(&self, user: UserId, version: Option<u8>) {
        let event_id = fresh();
        let ids = [fixed(2, event_id), fixed(8, user.get())].concat();
        let data = json!({ "id": user, "version": version });
        // The kind is field 3, and USER_UPDATE is 30.
        let kept = [kept("token"), ids, vec![3 << 3, 30], bytes(10, data.to_string().as_bytes())].concat();
        self.publish(Subject::User(user), event_id, as_version(kept, version)).await;
    }

    async fn publish(&self, subject: Subject, event_id: u64, envelope: Bytes) {
        let publish = async || self.streams.publish(subject, event_id, envelope.clone()).await.ok();
        until("it is published", publish).await;
    }
}

/// The envelope that version 1 made, of a writer without slots: it must not pass for a later owner of somebody's.
fn kept(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../backplane/fixtures/v1");
    let mut kept = std::fs::read(folder.join(format!("envelope-{name}.bin"))).unwrap();
    kept.extend(bytes(4, &[1 << 3, 0]));
    kept
}

/// With another number, and a field that nobody knows.
fn as_version(mut kept: Vec<u8>, version: Option<u8>) -> Bytes {
    if let Some(version) = version {
        kept.extend([1 << 3, version]);
        kept.extend(bytes(15 + 64, b"new"));
    }
    kept.into()
}

/// A field of eight bytes, in protobuf: the last of its number counts.
fn fixed(field: u8, value: u64) -> Vec<u8> {
    [&[field << 3 | 1][..], &value.to_le_bytes()].concat()
}

/// A field of bytes, or of a message, which is added to what there is of it.
fn bytes(field: u32, value: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    for mut number in [u64::from(field << 3 | 2), value.len() as u64] {
        while number >= 0x80 {
            encoded.push(number as u8 | 0x80);
            number >>= 7;
        }
        encoded.push(number as u8);
    }
    encoded.extend(value);
    encoded
}
