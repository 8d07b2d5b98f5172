//! What HTTP and browsers ask for besides the routes: methods, HEAD, other origins.

use serde_json::json;

use crate::client::{Answer, Server};
use crate::fakes::CHANNEL;

/// A request of a page of another origin.
async fn from_a_page(server: &Server, method: &str, path: &str, more: &str) -> Answer {
    let mut connection = server.connect().await;
    let head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nOrigin: http://localhost:5173\r\n{more}\r\n");
    connection.send(head.as_bytes()).await;
    connection.answer().await
}

#[tokio::test]
async fn a_page_of_another_origin_may_ask_everything_without_credentials_of_the_browser() {
    let server = Server::start().await;
    let path = format!("/api/v10/channels/{CHANNEL}/messages");
    let asks = "Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n";
    let preflight = from_a_page(&server, "OPTIONS", &path, asks).await;
    assert_eq!((preflight.status, preflight.body.len()), (204, 0), "it has no token and needs none");
    assert_eq!(preflight.header("access-control-allow-origin"), Some("*"));
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
        assert!(preflight.header("access-control-allow-methods").unwrap().contains(method), "{method}");
    }
    let allowed = preflight.header("access-control-allow-headers").unwrap();
    assert!(allowed.contains("Authorization") && allowed.contains("Content-Type"), "{allowed}");

    let known = from_a_page(&server, "GET", &path, "Authorization: alice-token\r\n").await;
    let unknown = from_a_page(&server, "GET", &path, "").await;
    let nowhere = from_a_page(&server, "GET", "/api/v10/nowhere", "").await;
    for (answer, status) in [(known, 200), (unknown, 401), (nowhere, 404)] {
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "errors are read, too");
        assert!(answer.header("access-control-expose-headers").unwrap().contains("Retry-After"));
        assert_eq!(answer.header("access-control-allow-credentials"), None);
    }
    let library = server.ask("GET", "/api/v10/users/@me", "").await;
    assert_eq!(library.header("access-control-allow-origin"), None, "who has no origin is not told");
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let server = Server::start().await;
    let mut connection = server.connect().await;
    connection.send(b"HEAD /api/v10/gateway HTTP/1.1\r\nHost: x\r\n\r\n").await;
    // The client would wait for a body of the announced length: the next head must come instead.
    connection.send(b"GET /api/v10/nowhere HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let (head, next) = connection.bodiless_and_next().await;
    assert_eq!((head.status, head.header("content-type")), (200, Some("application/json")));
    assert_eq!((next.status, next.json()), (404, json!({"message": "404: Not Found", "code": 0})));
}

#[tokio::test]
async fn a_wrong_method_is_told_which_are_right() {
    let server = Server::start().await;
    for (method, path, right) in [
        ("PUT", "/gateway".to_owned(), vec!["GET", "HEAD"]),
        ("POST", "/users/@me".to_owned(), vec!["GET", "HEAD", "PATCH"]),
        ("DELETE", format!("/channels/{CHANNEL}/messages"), vec!["GET", "HEAD", "POST"]),
        ("BREW", "/gateway".to_owned(), vec!["GET", "HEAD"]),
    ] {
        let answer = server.ask(method, &format!("/api/v10{path}"), "").await;
        let expected = json!({"message": "405: Method Not Allowed", "code": 0});
        assert_eq!((answer.status, answer.json()), (405, expected));
        let mut allowed: Vec<&str> = answer.header("allow").unwrap_or_default().split(',').collect();
        allowed.sort_unstable();
        assert_eq!(allowed, right, "{method} {path}");
    }
}

#[tokio::test]
async fn odd_slashes_and_versions_lead_to_the_same_channel() {
    let server = Server::start().await;
    for prefix in ["/api/v10", "/api/v9", "/api", "//api/v10/", "//api//v9//"] {
        for suffix in ["", "/", "//"] {
            let path = format!("{prefix}/channels/{CHANNEL}{suffix}");
            let answer = server.ask("GET", &path, "").await;
            assert_eq!((answer.status, &answer.json()["id"]), (200, &json!(CHANNEL.to_string())), "{path}");
        }
    }
    for (path, status) in [
        ("/api/v8/gateway", 400),
        ("/api/v11/gateway", 400),
        ("/v10/gateway", 404),
        ("/api/v10/channels/..", 400),
    ] {
        assert_eq!(server.ask("GET", path, "").await.status, status, "{path}");
    }
}
