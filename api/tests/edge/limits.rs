//! Rate limits and their headers, at a time that moves only when told to.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use api::{App, Config, Limits, WindowLimit};
use axum::body::Body;
use backplane::{InMemoryStarts, Lane, Starts};
use http::{Request, Response};
use http_body_util::BodyExt;
use model::UserId;
use model::clock::{Clock, ManualClock};
use proto::failure::{Failure, code};
use proto::v1;
use serde_json::{Value, json};

use crate::client::{app, config};
use crate::fakes::{ALICE, CHANNEL, Fakes};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

async fn ask(app: &App, method: &str, path: &str, token: &str, ip: IpAddr) -> Response<Body> {
    let request = Request::builder().method(method).uri(format!("/api/v10{path}"));
    let body = Body::from(r#"{"content":"a","username":"a","password":"aaaaaaaa"}"#);
    app.respond(request.header("authorization", token).body(body).unwrap(), ip).await
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().unwrap())
}

async fn body(response: Response<Body>) -> Value {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&bytes).unwrap()
}

#[tokio::test]
async fn a_route_counts_per_user_and_channel_and_says_so() {
    let limits = Limits { reads: WindowLimit::new(2, 5_000), ..Limits::default() };
    let (app, clock) = app(&Fakes::default(), limits);
    let path = format!("/channels/{CHANNEL}");
    let first = ask(&app, "GET", &path, "alice-token", HERE).await;
    assert_eq!(header(&first, "x-ratelimit-limit"), Some("2"));
    assert_eq!(header(&first, "x-ratelimit-remaining"), Some("1"));
    assert_eq!(header(&first, "x-ratelimit-reset-after"), Some("5.000"));
    let reset = (clock.now_ms() + 5_000) as f64 / 1000.0;
    assert_eq!(header(&first, "x-ratelimit-reset").map(str::parse), Some(Ok(reset)));
    assert_eq!(header(&first, "x-ratelimit-bucket").map(str::len), Some(16));
    ask(&app, "GET", &path, "alice-token", HERE).await;
    clock.advance(3_700);
    let refused = ask(&app, "GET", &path, "alice-token", HERE).await;
    assert_eq!(refused.status(), 429);
    assert_eq!(header(&refused, "retry-after"), Some("2"), "an integer, rounded up");
    assert_eq!(header(&refused, "via"), Some("1.1 starling"));
    assert_eq!(header(&refused, "x-ratelimit-scope"), Some("user"));
    assert_eq!(header(&refused, "x-ratelimit-global"), None);
    assert_eq!(header(&refused, "x-ratelimit-remaining"), Some("0"));
    assert_eq!(header(&refused, "content-type"), Some("application/json"));
    let expected = json!({"message": "You are being rate limited.", "retry_after": 1.3, "global": false});
    assert_eq!(body(refused).await, expected);
    assert_eq!(ask(&app, "GET", &path, "bob-token", HERE).await.status(), 200);
    assert_eq!(ask(&app, "GET", "/channels/7", "alice-token", HERE).await.status(), 200);
    clock.advance(1_300);
    assert_eq!(ask(&app, "GET", &path, "alice-token", HERE).await.status(), 200);
}

#[tokio::test]
async fn a_user_has_a_limit_over_all_routes() {
    let limits = Limits { global: WindowLimit::new(2, 1_000), ..Limits::default() };
    let (app, clock) = app(&Fakes::default(), limits);
    ask(&app, "GET", "/users/@me", "alice-token", HERE).await;
    ask(&app, "GET", "/gateway/bot", "alice-token", HERE).await;
    let refused = ask(&app, "GET", "/users/@me/guilds", "alice-token", THERE).await;
    assert_eq!(refused.status(), 429);
    assert_eq!(header(&refused, "x-ratelimit-global"), Some("true"));
    assert_eq!(header(&refused, "x-ratelimit-scope"), Some("global"));
    assert_eq!(header(&refused, "retry-after"), Some("1"));
    assert_eq!(body(refused).await["global"], true);
    clock.advance(1_000);
    assert_eq!(ask(&app, "GET", "/users/@me", "alice-token", HERE).await.status(), 200);
}

#[tokio::test]
async fn logins_are_counted_per_address() {
    let limits = Limits { logins: WindowLimit::new(1, 60_000), ..Limits::default() };
    let (app, _) = app(&Fakes::default(), limits);
    assert_eq!(ask(&app, "POST", "/auth/login", "", HERE).await.status(), 200);
    assert_eq!(ask(&app, "POST", "/auth/login", "", HERE).await.status(), 429);
    assert_eq!(ask(&app, "POST", "/auth/login", "", THERE).await.status(), 200);
}

#[tokio::test]
async fn an_address_that_sends_only_what_is_refused_is_shut_out() {
    let limits = Limits { invalid: WindowLimit::new(3, 600_000), ..Limits::default() };
    let (app, clock) = app(&Fakes::default(), limits);
    for _ in 0..3 {
        assert_eq!(ask(&app, "GET", "/users/@me", "guess", HERE).await.status(), 401);
    }
    let refused = ask(&app, "GET", "/users/@me", "alice-token", HERE).await;
    assert_eq!((refused.status().as_u16(), header(&refused, "retry-after")), (429, Some("600")));
    assert_eq!(ask(&app, "GET", "/users/@me", "alice-token", THERE).await.status(), 200);
    clock.advance(600_000);
    assert_eq!(ask(&app, "GET", "/users/@me", "alice-token", HERE).await.status(), 200);
}

#[tokio::test]
async fn sends_show_the_limit_that_the_message_service_counts() {
    let fakes = Fakes::default();
    let (app, _) = app(&fakes, Limits::default());
    let path = format!("/channels/{CHANNEL}/messages");
    let sent = ask(&app, "POST", &path, "alice-token", HERE).await;
    assert_eq!(header(&sent, "x-ratelimit-bucket"), Some("sends"));
    assert_eq!(header(&sent, "x-ratelimit-remaining"), Some("4"));
    let state = v1::RateLimit { limit: 5, remaining: 0, reset_after_ms: 2_100, bucket: "sends".into() };
    fakes.fail(Failure::rate_limited(2_100, Some(state)));
    let refused = ask(&app, "POST", &path, "alice-token", HERE).await;
    assert_eq!((refused.status().as_u16(), header(&refused, "retry-after")), (429, Some("3")));
    assert_eq!(header(&refused, "x-ratelimit-reset-after"), Some("2.100"));
    assert_eq!(body(refused).await["retry_after"], 2.1);
    fakes.fail(Failure { code: code::SLOWMODE, ..Failure::rate_limited(5_000, None) });
    let slow = ask(&app, "POST", &path, "alice-token", HERE).await;
    assert_eq!(header(&slow, "via"), Some("1.1 starling"));
    assert_eq!(body(slow).await["code"], 20016);
}

/// discord.py and JDA take a 429 for a ban by a proxy if any of this is missing.
#[tokio::test]
async fn every_429_says_when_to_come_back_in_all_the_ways_that_clients_read() {
    let limits = Limits {
        reads: WindowLimit::new(1, 5_000),
        logins: WindowLimit::new(1, 60_000),
        global: WindowLimit::new(3, 1_000),
        ..Limits::default()
    };
    let fakes = Fakes::default();
    let (app, _) = app(&fakes, limits);
    let sends = format!("/channels/{CHANNEL}/messages");
    ask(&app, "GET", "/users/@me", "alice-token", HERE).await;
    ask(&app, "POST", "/auth/login", "", HERE).await;
    let by_route = ask(&app, "GET", "/users/@me", "alice-token", HERE).await;
    let by_address = ask(&app, "POST", "/auth/login", "", HERE).await;
    let state = v1::RateLimit { limit: 5, remaining: 0, reset_after_ms: 2_100, bucket: "sends".into() };
    fakes.fail(Failure::rate_limited(2_100, Some(state)));
    let by_service = ask(&app, "POST", &sends, "bob-token", HERE).await;
    fakes.fail(Failure { code: code::SLOWMODE, ..Failure::rate_limited(61_500, None) });
    let by_slow_mode = ask(&app, "POST", &sends, "bob-token", HERE).await;
    ask(&app, "GET", "/users/@me", "alice-token", HERE).await;
    let global = ask(&app, "GET", "/users/@me", "alice-token", HERE).await;
    for (response, scope, after, limit) in [
        (by_route, "user", "5.000", Some("1")),
        (by_address, "user", "60.000", Some("1")),
        (by_service, "user", "2.100", Some("5")),
        (by_slow_mode, "shared", "61.500", Some("1")),
        (global, "global", "1.000", None),
    ] {
        assert_eq!(response.status(), 429, "{scope} {after}");
        assert_eq!(header(&response, "via"), Some("1.1 starling"));
        assert_eq!(header(&response, "content-type"), Some("application/json"));
        assert_eq!(header(&response, "x-ratelimit-scope"), Some(scope));
        assert_eq!(header(&response, "x-ratelimit-global"), (scope == "global").then_some("true"));
        let seconds: f64 = after.parse().unwrap();
        assert_eq!(header(&response, "retry-after"), Some(&*format!("{}", seconds.ceil())), "an integer");
        assert_eq!(header(&response, "x-ratelimit-limit"), limit);
        // What a global 429 says of a bucket, libraries would believe of the route's.
        let of_bucket = |value: &'static str| limit.map(|_| value);
        assert_eq!(header(&response, "x-ratelimit-remaining"), of_bucket("0"));
        assert_eq!(header(&response, "x-ratelimit-reset-after"), of_bucket(after));
        assert_eq!(header(&response, "x-ratelimit-reset").is_some(), limit.is_some());
        assert_eq!(header(&response, "x-ratelimit-bucket").is_some(), limit.is_some());
        let body = body(response).await;
        assert_eq!(body["retry_after"], seconds);
        assert_eq!(body["global"], scope == "global");
        assert!(body["message"].is_string());
    }
}

#[tokio::test]
async fn an_address_is_charged_for_refusals_but_not_for_limits_that_all_share() {
    let path = format!("/channels/{CHANNEL}/messages");
    let slow_mode = Failure { code: code::SLOWMODE, ..Failure::rate_limited(5_000, None) };
    for (failure, status, is_charged) in [
        (Failure::unauthenticated(), 401, true),
        (Failure::missing_access(), 403, true),
        (Failure::rate_limited(2_000, None), 429, true),
        (slow_mode, 429, false),
        (Failure::unknown(code::UNKNOWN_CHANNEL, "Channel"), 404, false),
        (Failure::invalid_field("content", "C", "m"), 400, false),
        (Failure::unavailable("away", 1_000), 503, false),
    ] {
        let fakes = Fakes::default();
        let limits = Limits { invalid: WindowLimit::new(2, 600_000), ..Limits::default() };
        let (app, _) = app(&fakes, limits);
        fakes.fail(failure);
        for _ in 0..3 {
            let answer = ask(&app, "POST", &path, "alice-token", HERE).await;
            assert!([status, 429].contains(&answer.status().as_u16()));
        }
        let after = ask(&app, "GET", "/gateway", "", HERE).await;
        assert_eq!(after.status() == 429, is_charged, "{status}");
        assert_eq!(ask(&app, "GET", "/gateway", "", THERE).await.status(), 200);
    }
}

/// What gateways have counted is what the API tells.
#[tokio::test]
async fn the_session_starts_of_a_bot_count_down_and_come_back() {
    let clock = ManualClock::at(1_700_000_000_000);
    let starts = Arc::new(InMemoryStarts::new(Arc::new(clock.clone())));
    let config = config(&Fakes::default(), Arc::new(clock.clone()), Limits::default());
    let app = App::new(Config { starts: Some(starts.clone()), ..config });
    let limit = async || {
        body(ask(&app, "GET", "/gateway/bot", "alice-token", HERE).await).await["session_start_limit"].take()
    };
    for key in 0..3 {
        starts.begin(UserId::new(ALICE).unwrap(), Lane { key, allowed: 1 }).await.unwrap();
    }
    clock.advance(1_000);
    let told = limit().await;
    assert_eq!(
        (&told["total"], &told["remaining"], &told["reset_after"]),
        (&1000.into(), &997.into(), &86_399_000.into())
    );
    clock.advance(86_399_000);
    assert_eq!(
        (&limit().await["remaining"], &limit().await["reset_after"]),
        (&1000.into(), &86_400_000.into())
    );
}
