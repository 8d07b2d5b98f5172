//! Rate limits and their headers, at a time that moves only when told to.

use std::net::{IpAddr, Ipv4Addr};

use api::{App, Limits, WindowLimit};
use axum::body::Body;
use http::{Request, Response};
use http_body_util::BodyExt;
use model::clock::Clock;
use proto::failure::{Failure, code};
use proto::v1;
use serde_json::{Value, json};

use crate::client::app;
use crate::fakes::{CHANNEL, Fakes};

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
