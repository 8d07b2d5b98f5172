//! A channel is taken from somebody, and the writer dies on the way.

use http::Method;
use serde_json::json;
use testkit::gateway_client::GatewayClient;
use testkit::rest::Rest;

use crate::is_full;
use crate::replicas::kill_at;
use crate::town::{Town, make_channel, retry_after, until_taken};

/// Whether the change is stored by then: then it takes effect by itself, once the lease has ended and the next owner has
/// swept.
const STEPS: [(&str, bool); 4] = [
    ("guilds.received", false),
    ("guilds.committed", true),
    ("guilds.event_published", true),
    ("guilds.published", true),
];

struct Place {
    alice: Rest,
    /// Bob's way in and out.
    permission: String,
    den: String,
    /// Everybody sees it.
    commons: String,
}

pub async fn guilds_is_killed_at_each_step_of_a_revocation(town: &Town) {
    let demo = &town.cluster.demo.demo;
    let (alice, guild) = (town.rest("alice"), &demo.guild_id);
    let den = make_channel(&alice, guild, "den", &[guild]).await;
    let commons = make_channel(&alice, guild, "commons", &[]).await;
    let bob = &demo.users[1].id;
    let place = Place { alice, permission: format!("/channels/{den}/permissions/{bob}"), den, commons };
    for (step, takes_effect) in if is_full() { &STEPS[..] } else { &STEPS[1..3] } {
        let revoked = revoke(town, &place, step, *takes_effect);
        town.traffic.phase(&format!("`guilds` killed at `{step}` of a revocation"), revoked).await;
    }
}

async fn revoke(town: &Town, place: &Place, step: &str, takes_effect: bool) {
    let Place { alice, permission, den, .. } = place;
    let mut bobs = [town.login(0, "bob").await, town.login(1, "bob").await];
    let grant = json!({ "type": 1, "allow": "1024", "deny": "0" });
    until_taken(alice, Method::PUT, permission, Some(&grant)).await;
    for bob in &mut bobs {
        bob.expect_where("CHANNEL_CREATE", |data| data["id"] == **den).await;
    }
    place.say(den, "before", step).await;
    for bob in &mut bobs {
        bob.expect_message(&text("before", step)).await;
    }
    let guilds = town.members("guilds");
    let (answer, ()) = tokio::join!(alice.call(Method::DELETE, permission, None), kill_at(&guilds, step));
    let answer = answer.unwrap();
    if !answer.status.is_success() {
        retry_after(&answer);
    }
    if !takes_effect && !answer.status.is_success() {
        // Nothing was done: bob still sees it, until it is said again.
        place.say(den, "still", step).await;
        for bob in &mut bobs {
            bob.expect_message(&text("still", step)).await;
        }
        until_taken(alice, Method::DELETE, permission, None).await;
    }
    for bob in &mut bobs {
        bob.expect_where("CHANNEL_DELETE", |data| data["id"] == **den).await;
    }
    place.is_closed_to(&mut bobs, step).await;
}

impl Place {
    async fn say(&self, channel: &str, what: &str, step: &str) {
        let nonce = format!("{:x}", model::entropy::number());
        let body = json!({ "content": text(what, step), "nonce": nonce, "enforce_nonce": true });
        until_taken(&self.alice, Method::POST, &format!("/channels/{channel}/messages"), Some(&body)).await;
    }

    /// What is said in the den does not reach these; what is said to everybody after it does.
    async fn is_closed_to(&self, bobs: &mut [GatewayClient], step: &str) {
        self.say(&self.den, "after", step).await;
        self.say(&self.commons, "to all", step).await;
        for bob in bobs {
            bob.expect_message(&text("to all", step)).await;
            let leaked = bob.passed.iter().find(|(_, data)| data["content"] == text("after", step));
            assert_eq!(leaked, None);
        }
    }
}

fn text(what: &str, step: &str) -> String {
    format!("{what} {step}")
}
