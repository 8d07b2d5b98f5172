//! Nonsense at both doors: no panic, no growth, the right codes.
//!
//! A slice of a minute by default. `FUZZ_FRAMES=1000000 FUZZ_BODIES=100000 cargo test -p testkit --test gateway fuzz`
//! runs the whole of it. `FUZZ_SEED` repeats a run.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use model::entropy;
use serde_json::json;
use testkit::gateway_client::{ALL_INTENTS, GatewayClient, identify_payload};
use testkit::proc;
use testkit::server::Server;
use testkit::ws::{self, Message, Socket};
use tokio::task::JoinSet;
use tokio::time::{self, Instant};

const SLICE: Duration = Duration::from_secs(30);
/// The buffers of the hashes that may run at once, 19 MiB each, and as much again for everything else.
const LOGINS_BYTES_MAX: u64 = 80 * 1024 * 1024;
const GROWTH_BYTES_MAX: u64 = 96 * 1024 * 1024;
const FRAMES_PER_SOCKET: usize = 40;
const WORKERS: u64 = 4;

/// xorshift64*: the same numbers for the same seed.
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.roll() >> 11) as usize % bound.max(1)
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.roll() as u8).collect()
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// Changes a few bytes: flips, cuts, repeats, inserts.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            match self.below(5) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                1 => bytes.truncate(at),
                2 if !bytes.is_empty() => {
                    let piece = bytes[at..(at + 8).min(bytes.len())].to_vec();
                    bytes.splice(at..at, piece);
                }
                3 => {
                    let token = *self.pick(TOKENS);
                    bytes.splice(at..at, token.bytes());
                }
                _ => bytes.insert(at.min(bytes.len()), self.roll() as u8),
            }
        }
    }
}

const TOKENS: &[&str] = &[
    "null",
    "-1",
    "1e999",
    "18446744073709551616",
    "\"\\ud800\"",
    "[[[[[[[[",
    "{\"a\":",
    "true",
    "\\u0000",
    "\"\"",
    "99999999999999999999999999999999",
];

const COMMANDS: &[&str] = &[
    r#"{"op":1,"d":5}"#,
    r#"{"op":2,"d":{"token":"x","intents":513,"properties":{},"shard":[0,1],"presence":{"status":"idle"}}}"#,
    r#"{"op":3,"d":{"since":null,"activities":[{"name":"a","type":0}],"status":"dnd","afk":false}}"#,
    r#"{"op":4,"d":{"guild_id":"1","channel_id":"2","self_mute":false,"self_deaf":true}}"#,
    r#"{"op":6,"d":{"token":"x","session_id":"y","seq":3}}"#,
    r#"{"op":8,"d":{"guild_id":"1","query":"a","limit":5,"presences":true,"nonce":"n"}}"#,
    r#"{"op":8,"d":{"guild_id":["1"],"user_ids":["1",2],"nonce":3}}"#,
    r#"{"op":14,"d":{"guild_id":"1","channels":{"2":[[0,99]]}}}"#,
    r#"{"op":100,"d":{"channel_id":"1"}}"#,
];

const BODIES: &[&str] = &[
    r#"{"content":"hello","nonce":"1","enforce_nonce":true,"tts":false,"embeds":[{"title":"t","fields":[{"name":"n","value":"v"}]}]}"#,
    r#"{"name":"a","type":0,"topic":"b","position":1,"permission_overwrites":[{"id":"1","type":0,"allow":"1024","deny":"0"}]}"#,
    r#"{"name":"r","permissions":"8","color":255,"hoist":true,"mentionable":false}"#,
    r#"{"nick":"n","roles":["1"],"mute":false,"communication_disabled_until":"2030-01-01T00:00:00Z"}"#,
    r#"{"type":1,"allow":"1024","deny":"2048"}"#,
    r#"{"username":"u","password":"p","email":"e","login":"l"}"#,
    r#"{"max_age":0,"max_uses":5,"unique":true}"#,
    r#"{"allowed_mentions":{"parse":["users"],"users":["1"]},"message_reference":{"message_id":"1"},"content":"x"}"#,
];

/// How long, or how much.
#[derive(Clone, Copy)]
enum Budget {
    Until(Instant),
    Count(u64),
}

impl Budget {
    fn of(variable: &str) -> Self {
        let count = std::env::var(variable).ok().and_then(|count| count.parse::<u64>().ok());
        count.map_or_else(|| Self::Until(Instant::now() + SLICE), |count| Self::Count(count / WORKERS))
    }

    fn is_spent(self, done: u64) -> bool {
        match self {
            Self::Until(deadline) => Instant::now() >= deadline,
            Self::Count(count) => done >= count,
        }
    }
}

fn seed() -> u64 {
    let given = std::env::var("FUZZ_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(entropy::number) | 1;
    println!("FUZZ_SEED={seed}");
    seed
}

/// One frame, right or wrong in one of many ways.
fn any_frame(dice: &mut Dice) -> Vec<u8> {
    let mut payload = dice.pick(COMMANDS).as_bytes().to_vec();
    if dice.below(3) > 0 {
        dice.mutate(&mut payload);
    }
    match dice.below(12) {
        0 => {
            let length = dice.below(64);
            dice.bytes(length)
        }
        1 => {
            let length = dice.below(300);
            let bytes = dice.bytes(length);
            ws::frame(dice.below(16) as u8, &bytes)
        }
        2 => {
            let mut frame = ws::frame(ws::TEXT, &payload);
            let at = dice.below(frame.len().min(14));
            frame[at] ^= 1 << dice.below(8);
            frame
        }
        3 => {
            let mut frame = ws::frame(ws::TEXT, &payload);
            frame[0] &= 0x7f;
            frame.extend(ws::frame(if dice.below(2) == 0 { 0 } else { ws::TEXT }, b"}"));
            frame
        }
        4 => ws::frame(ws::BINARY, &payload),
        _ => ws::frame(ws::TEXT, &payload),
    }
}

fn is_known(code: u16) -> bool {
    matches!(code, 1000..=1002 | 1007 | 1009 | 4000..=4005 | 4007..=4010 | 4012..=4014)
}

/// Whether it answers a close frame that the dice made: the gateway gives the client's own code back, and without a
/// reason, which its own closes always have.
fn is_echo(code: u16, reason: &str) -> bool {
    reason.is_empty() && matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Frames on fresh and on identified sockets, until the budget is spent; how many were sent.
async fn throw_frames(mut dice: Dice, budget: Budget, gateway: String, token: String) -> u64 {
    let mut sent = 0;
    let mut sockets = 0_u64;
    while !budget.is_spent(sent) {
        let Ok(mut socket) = Socket::connect(&format!("{gateway}/?v=10&encoding=json")).await else {
            panic!("the gateway takes nobody any more");
        };
        sockets += 1;
        if sockets.is_multiple_of(8) {
            let identify = json!({ "op": 2, "d": identify_payload(&token, ALL_INTENTS) });
            let _ = socket.send_text(&identify.to_string()).await;
        }
        let mut batch = Vec::new();
        for _ in 0..FRAMES_PER_SOCKET {
            batch.extend(any_frame(&mut dice));
        }
        let _ = socket.send_raw(&batch).await;
        sent += FRAMES_PER_SOCKET as u64;
        let end = async {
            loop {
                match socket.next().await {
                    Ok(Some(Message::Close(Some(code), reason))) => {
                        assert!(is_known(code) || is_echo(code, &reason), "closed with {code} {reason}");
                        return;
                    }
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => return,
                }
            }
        };
        // A connection that still waits for the rest of a frame is left alone.
        let _ = time::timeout(Duration::from_millis(50), end).await;
    }
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fuzzed_frames() {
    let server = Server::start().await;
    let mut bystander =
        GatewayClient::login(&server.demo.gateway, &server.user("bob").token, ALL_INTENTS).await;
    let (seed, budget) = (seed(), Budget::of("FUZZ_FRAMES"));
    let before = proc::anonymous_bytes(server.pid()).unwrap();
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let dice = Dice(seed.wrapping_add(worker << 32) | 1);
        let token = server.user("alice").token.clone();
        workers.spawn(throw_frames(dice, budget, server.demo.gateway.clone(), token));
    }
    let sent = work(workers, &mut bystander).await;
    println!("{sent} frames");
    still_well(server, bystander, before).await;
}

/// Waits for the workers while somebody else goes on reading; the sum of what they did.
async fn work(mut workers: JoinSet<u64>, bystander: &mut GatewayClient) -> u64 {
    let mut sent = 0;
    let mut beat = time::interval(Duration::from_secs(20));
    loop {
        let reading = bystander.drain(Duration::from_secs(1));
        tokio::select! {
            done = workers.join_next() => match done {
                Some(done) => sent += done.unwrap(),
                None => break,
            },
            _ = reading => {}
            _ = beat.tick() => bystander.heartbeat().await,
        }
    }
    sent
}

/// The server lives, remembers nothing of it, and serves others.
async fn still_well(mut server: Server, mut bystander: GatewayClient, before: u64) {
    assert!(server.is_running());
    server.alice().send(&server.demo.channels.general, "still here").await;
    bystander.expect_message("still here").await;
    let log = server.log();
    assert!(!log.contains("panicked"), "{log}");
    let grown = proc::anonymous_bytes(server.pid()).unwrap().saturating_sub(before);
    assert!(grown < GROWTH_BYTES_MAX, "{} MiB more", grown >> 20);
}

async fn throw_bodies(
    mut dice: Dice,
    budget: Budget,
    rest: testkit::rest::Rest,
    paths: Vec<(Method, String)>,
) -> u64 {
    let mut sent = 0;
    while !budget.is_spent(sent) {
        let mut body = dice.pick(BODIES).as_bytes().to_vec();
        match dice.below(8) {
            0 => {
                let length = dice.below(200);
                body = dice.bytes(length);
            }
            1 => {}
            _ => dice.mutate(&mut body),
        }
        let (method, path) = dice.pick(&paths).clone();
        let shown = String::from_utf8_lossy(&body).into_owned();
        let answer = rest.call_bytes(method.clone(), &path, Some(Bytes::from(body))).await;
        let answer = answer.unwrap_or_else(|error| panic!("{method} {path} {shown}: {error}"));
        let status = answer.status.as_u16();
        // A busy machine may be too late for a deadline.
        assert!(status < 500 || status == 503, "{method} {path} {shown}: {status}");
        if status >= 400 {
            let error = answer.json();
            assert!(
                error["message"].is_string() && error["code"].is_u64(),
                "{method} {path} {shown}: {error}"
            );
        }
        sent += 1;
    }
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fuzzed_bodies() {
    let server = Server::start().await;
    let mut bystander =
        GatewayClient::login(&server.demo.gateway, &server.user("bob").token, 1 | 1 << 9 | 1 << 15).await;
    let (seed, budget) = (seed(), Budget::of("FUZZ_BODIES"));
    let demo = &server.demo;
    let (guild, random, bob) = (&demo.guild_id, &demo.channels.random, &server.user("bob").id);
    let message = server.alice().send(random, "target").await["id"].as_str().unwrap().to_owned();
    let paths = vec![
        (Method::POST, format!("/channels/{random}/messages")),
        (Method::POST, format!("/channels/{random}/messages")),
        (Method::PATCH, format!("/channels/{random}/messages/{message}")),
        (Method::PATCH, format!("/channels/{random}")),
        (Method::PUT, format!("/channels/{random}/permissions/{bob}")),
        (Method::POST, format!("/channels/{random}/invites")),
        (Method::POST, format!("/guilds/{guild}/roles")),
        (Method::PATCH, format!("/guilds/{guild}/members/{bob}")),
        (Method::PATCH, "/users/@me".to_owned()),
        (Method::PATCH, "/guilds/1".to_owned()),
        (Method::POST, "/channels/0/messages".to_owned()),
        (Method::PUT, format!("/channels/{random}/messages/{message}/reactions/%FF/@me")),
    ];
    let before = proc::anonymous_bytes(server.pid()).unwrap();
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let dice = Dice(seed.wrapping_add(worker << 32) | 1);
        workers.spawn(throw_bodies(dice, budget, server.alice(), paths.clone()));
    }
    let sent = work(workers, &mut bystander).await;
    println!("{sent} bodies");
    still_well(server, bystander, before).await;
}

/// A password's hash takes 19 MiB by design, and each of the allocator's arenas may keep what was freed in it: the
/// buffers are used again.
#[tokio::test]
async fn logins_do_not_add_up() {
    let server = Server::start().await;
    let memory = || proc::anonymous_bytes(server.pid()).unwrap();
    let guess = async |count: u32| {
        let mut guesses = JoinSet::new();
        for _ in 0..WORKERS {
            let rest = server.bob();
            guesses.spawn(async move {
                for number in 0..count {
                    let body = json!({ "login": "alice", "password": format!("guess {number}") });
                    let (status, _) = rest.refusal(Method::POST, "/auth/login", Some(&body)).await;
                    assert_eq!(status, 400);
                }
            });
        }
        while let Some(done) = guesses.join_next().await {
            done.unwrap();
        }
    };
    let before = memory();
    guess(50).await;
    let grown = memory().saturating_sub(before);
    assert!(grown < LOGINS_BYTES_MAX, "{} MiB more", grown >> 20);
}
