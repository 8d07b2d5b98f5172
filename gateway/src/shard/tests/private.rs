//! Private channels: in READY, told of before their first message, live, replayed, and of nobody else.

use backplane::UserEvent;
use model::{ChannelId, EventKind, Intents, UserId, limits};
use proto::{Envelope, Writer};
use serde_json::json;

use super::fakes::Call;
use super::rig::*;
use super::world::{Told, channel_id, user_id};

/// Of bob and dave.
const PRIVATE: u64 = 900;

fn private() -> ChannelId {
    channel_id(PRIVATE)
}

fn from_dave(sim: &Sim, content: &str) -> Told {
    sim.world().private_message(private(), [dave(), bob()], content)
}

fn other_event(sim: &Sim, kind: EventKind) -> Told {
    sim.world().private_event(kind, private(), [dave(), bob()], json!({"channel_id": private()}))
}

#[test]
fn the_first_message_shows_whom_it_is_from_and_a_third_hears_nothing() {
    simulate(async |sim| {
        let (mut client, mut carol) = (sim.session(0, BOB).await, sim.session(1, CAROL).await);
        let mut other = sim.session(1, DAVE).await;
        sim.tell(&from_dave(sim, "hello")).await;
        sim.tell(&from_dave(sim, "again")).await;
        assert_eq!(client.news(), ["CHANNEL_CREATE dave", "MESSAGE_CREATE hello", "MESSAGE_CREATE again"]);
        assert_eq!(
            other.news(),
            ["MESSAGE_CREATE hello", "MESSAGE_CREATE again"],
            "who writes has opened it"
        );
        assert!(carol.news().is_empty());
        let created = client.payloads.iter().find(|payload| payload["t"] == "CHANNEL_CREATE").unwrap();
        assert_eq!((&created["d"]["id"], &created["d"]["type"]), (&json!(PRIVATE.to_string()), &json!(1)));
        assert!(client.payloads.windows(2).all(|pair| pair[0]["s"].as_u64() <= pair[1]["s"].as_u64()));
    });
}

#[test]
fn ready_has_the_open_ones_and_what_it_has_is_not_told_again() {
    simulate(async |sim| {
        let closed = (channel_id(800), [bob(), user_id(ALICE)], Some(801));
        let opened_by_a_message = (channel_id(700), [bob(), user_id(CAROL)], Some(1));
        sim.world().private.extend([(private(), [bob(), dave()], None), closed, opened_by_a_message]);
        let mut client = sim.session(0, BOB).await;
        let ready = client.payloads.iter().find(|payload| payload["t"] == "READY").unwrap()["d"].clone();
        let shown: Vec<_> = ready["private_channels"].as_array().unwrap().iter().collect();
        let ids: Vec<_> = shown.iter().map(|channel| channel["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["900", "700"], "those with the newest messages first");
        assert_eq!((&shown[0]["last_message_id"], &shown[0]["type"]), (&json!("901"), &json!(1)));
        assert_eq!(shown[0]["recipients"][0]["username"], "dave");
        sim.tell(&from_dave(sim, "hello")).await;
        assert_eq!(client.news(), ["MESSAGE_CREATE hello"]);
        sim.tell(&other_event(sim, EventKind::ChannelDelete)).await;
        sim.tell(&from_dave(sim, "are you there?")).await;
        let news = client.news();
        assert_eq!(news, ["CHANNEL_DELETE -", "CHANNEL_CREATE dave", "MESSAGE_CREATE are you there?"]);
    });
}

/// Without the message service the channels are there still, those that only a message opened not; without the directory
/// there is no session.
#[test]
fn ready_needs_the_directory_and_not_the_message_service() {
    simulate(async |sim| {
        let opened_by_a_message = (channel_id(700), [bob(), user_id(CAROL)], Some(1));
        sim.world().private.extend([(private(), [bob(), dave()], None), opened_by_a_message]);
        sim.gates.fail(Call::LastMessages, 0, 1);
        let client = sim.session(0, BOB).await;
        let ready = client.payloads.iter().find(|payload| payload["t"] == "READY").unwrap();
        assert_eq!(ready["d"]["private_channels"].as_array().unwrap().len(), 1);
        sim.gates.fail(Call::ListPrivate, BOB, 1);
        let mut refused = sim.connect(0, BOB);
        refused.identify(all_intents());
        sim.settle().await;
        assert_eq!(refused.news(), ["close 4000"]);
    });
}

#[test]
fn bots_are_told_of_messages_alone_and_content_is_never_stripped() {
    simulate(async |sim| {
        sim.world().users.get_mut(&bob()).unwrap().bot = true;
        sim.world().private.push((private(), [bob(), dave()], None));
        let mut client = sim.connect(0, BOB);
        client.identify((Intents::GUILDS | Intents::DIRECT_MESSAGES).bits());
        sim.settle().await;
        client.news();
        let ready = client.payloads.iter().find(|payload| payload["t"] == "READY").unwrap();
        assert_eq!(ready["d"]["private_channels"], json!([]));
        sim.tell(&from_dave(sim, "hello")).await;
        assert_eq!(client.news(), ["MESSAGE_CREATE hello"]);
    });
}

#[test]
fn intents_choose_what_is_heard() {
    simulate(async |sim| {
        let rows = [
            (Intents::DIRECT_MESSAGES, "MESSAGE_DELETE"),
            (Intents::DIRECT_MESSAGE_REACTIONS, "MESSAGE_REACTION_ADD"),
            (Intents::DIRECT_MESSAGE_TYPING, "TYPING_START"),
        ];
        for (intents, expected) in rows {
            let mut client = sim.connect(0, BOB);
            client.identify(intents.bits());
            sim.settle().await;
            client.news();
            sim.tell(&other_event(sim, EventKind::MessageDelete)).await;
            sim.tell(&other_event(sim, EventKind::MessageReactionAdd)).await;
            typing(sim).await;
            assert_eq!(client.news(), [expected]);
            client.close(1000);
            sim.settle().await;
        }
    });
}

/// Dave types, as `fanout` tells it.
async fn typing(sim: &Sim) {
    let told = other_event(sim, EventKind::TypingStart);
    let event = |(user, envelope): &(UserId, Envelope)| UserEvent {
        user: *user,
        sequence: 0,
        envelope: envelope.encode(),
    };
    sim.deliver(told.users.iter().map(event).collect()).await;
}

#[test]
fn messages_are_numbered_and_replayed_and_typing_is_not() {
    simulate(async |sim| {
        let mut client = sim.session(0, BOB).await;
        sim.tell(&from_dave(sim, "one")).await;
        typing(sim).await;
        assert_eq!(client.news(), ["CHANNEL_CREATE dave", "MESSAGE_CREATE one", "TYPING_START"]);
        let seq = client.seq;
        assert_eq!(client.payloads.last().unwrap()["s"], client.payloads[client.payloads.len() - 2]["s"]);
        client.end.reset();
        sim.tell(&from_dave(sim, "two")).await;
        typing(sim).await;
        sim.tell(&from_dave(sim, "three")).await;
        let mut again = sim.resume(0, &client, seq - 2);
        sim.settle().await;
        let expected = [
            "CHANNEL_CREATE dave",
            "MESSAGE_CREATE one",
            "MESSAGE_CREATE two",
            "MESSAGE_CREATE three",
            "RESUMED",
        ];
        assert_eq!(again.news(), expected);
        sim.tell(&from_dave(sim, "four")).await;
        assert_eq!(again.news(), ["MESSAGE_CREATE four"]);
    });
}

/// The same event of two users of one pod is no repeat, the same of one user is; and an owner that was replaced is not
/// heard.
#[test]
fn repeats_and_what_a_replaced_owner_wrote_are_dropped() {
    simulate(async |sim| {
        let (mut client, mut other) = (sim.session(0, BOB).await, sim.session(0, DAVE).await);
        let with_epoch = |told: Told, epoch| {
            let of = |(user, envelope): (UserId, Envelope)| {
                (user, Envelope { writer: Writer { epoch, ..envelope.writer }, ..envelope })
            };
            Told { users: told.users.into_iter().map(of).collect(), ..told }
        };
        let first = from_dave(sim, "first");
        sim.tell(&first).await;
        sim.tell(&first).await;
        let late = with_epoch(from_dave(sim, "late"), 1);
        sim.tell(&with_epoch(from_dave(sim, "second"), 2)).await;
        sim.tell(&late).await;
        let expected = ["MESSAGE_CREATE first", "MESSAGE_CREATE second"];
        assert_eq!(client.news()[1..], expected);
        assert_eq!(other.news(), expected);
    });
}

/// What was missed while the registry had lost the user comes before what is newer.
#[test]
fn the_order_is_kept_when_the_registry_has_lost_the_user() {
    simulate(async |sim| {
        sim.world().private.push((private(), [bob(), dave()], None));
        let mut client = sim.session(0, BOB).await;
        sim.wait(limits::REGISTRY_RENEW_MS).await;
        client.beat();
        sim.services.registry.unregister(&sim.services.pod, bob()).await.unwrap();
        sim.store(&from_dave(sim, "missed")).await;
        sim.gates.hold(Call::ReadUsers, 0, 1);
        sim.wait(limits::REGISTRY_RENEW_MS).await;
        assert_eq!(sim.waiting(Call::ReadUsers, 0), 1, "bob is registered again, and is owed something");
        let newer = sim.store(&from_dave(sim, "newer")).await;
        let read = async {
            sim.settle().await;
            assert!(client.news().is_empty(), "nothing overtakes what is read");
            sim.gates.let_go(Call::ReadUsers, 0);
        };
        let newer = newer.into_iter().filter(|event| event.user == bob()).collect();
        tokio::join!(sim.deliver(newer), read);
        assert_eq!(client.news(), ["MESSAGE_CREATE missed", "MESSAGE_CREATE newer"]);
    });
}

/// Another session of the user registers them again: nobody would find that an entry was gone.
#[test]
fn what_the_registry_lost_is_made_good_also_if_the_user_comes_a_second_time() {
    simulate(async |sim| {
        sim.world().private.push((private(), [bob(), dave()], None));
        let mut client = sim.session(0, BOB).await;
        sim.wait(limits::REGISTRY_RENEW_MS).await;
        client.beat();
        sim.services.registry.unregister(&sim.services.pod, bob()).await.unwrap();
        sim.store(&from_dave(sim, "missed")).await;
        let _second = sim.session(1, BOB).await;
        sim.wait(limits::REGISTRY_AWAY_READ_MS + 100).await;
        assert_eq!(client.news(), ["MESSAGE_CREATE missed"]);
    });
}
