//! Ends, in order and at once, and starts that are refused.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use rustix::process::Signal;

use crate::server::{Server, connect, output, text};

#[test]
fn a_signal_ends_it_in_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let dir = tempfile::tempdir().unwrap();
        let mut server = Server::start(&dir, &[]);
        assert!(dir.path().join("admin.json").exists());
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0));
        assert!(!dir.path().join("admin.json").exists(), "the credentials are left behind");
    }
}

#[test]
fn while_it_drains_it_is_not_ready_and_a_second_signal_ends_it_at_once() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let dir = tempfile::tempdir().unwrap();
        let mut server = Server::start(&dir, &[]);
        // A request that never becomes whole holds the end up for some seconds.
        let (mut half, _, _) = connect(&server.api);
        let head = "POST /api/v10/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
            Content-Length: 9\r\nExpect: 100-continue\r\n\r\n";
        half.write_all(head.as_bytes()).unwrap();
        let mut awaits_body = [0; 25];
        half.read_exact(&mut awaits_body).unwrap();
        assert_eq!(&awaits_body, b"HTTP/1.1 100 Continue\r\n\r\n");
        server.signal(Signal::TERM);
        let draining = (0..100).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            let answer = server.get(&format!("{}/readyz", server.admin));
            answer.status == 503 && answer.json()["status"] == "draining"
        });
        assert!(draining);
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(code));
        Server::start(&dir, &[]).stop();
    }
}

#[test]
fn a_second_process_on_the_same_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &[]);
    let data = dir.path().to_str().unwrap();
    let arguments = [
        "--data-dir",
        data,
        "--admin-listen",
        "127.0.0.1:0",
        "--api-listen",
        "127.0.0.1:0",
        "--gateway-listen",
        "127.0.0.1:0",
    ];
    let refused = output(&arguments);
    assert_eq!(refused.status.code(), Some(1));
    let error = text(&refused.stderr);
    assert!(error.contains("another process") && error.contains(data), "{error}");
    // The first one is not disturbed.
    server.admin_json(&["user", "create", "carol"]);
}

#[test]
fn an_address_that_is_taken_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &[]);
    let other = tempfile::tempdir().unwrap();
    let taken = server.gateway.strip_prefix("ws://").unwrap();
    let arguments = [
        "--data-dir",
        other.path().to_str().unwrap(),
        "--admin-listen",
        "127.0.0.1:0",
        "--api-listen",
        "127.0.0.1:0",
        "--gateway-listen",
        taken,
    ];
    let refused = output(&arguments);
    assert_eq!(refused.status.code(), Some(1));
    let expected = format!("error: listen on {taken}; choose another address with --gateway-listen");
    assert!(text(&refused.stderr).contains(&expected), "{}", text(&refused.stderr));
}
