//! Health, metrics, and how little an idle server does.

use std::time::Duration;

use crate::server::Server;

fn metric(server: &Server, name: &str) -> f64 {
    let text = server.get(&format!("{}/metrics", server.admin)).body;
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("{name} is missing in\n{text}")).parse().unwrap()
}

#[test]
fn it_is_live_and_ready_and_counts() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &["--demo"]);
    let get = |path: &str| server.get(&format!("{}{path}", server.admin));
    assert_eq!((get("/livez").status, get("/readyz").json()), (200, serde_json::json!({"status": "ready"})));
    assert_eq!(get("/nothing").status, 404);

    assert_eq!(metric(&server, "starling_messages_created_total"), 0.0);
    let demo: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.path().join("demo.json")).unwrap()).unwrap();
    let path = format!("/channels/{}/messages", demo["channels"]["general"].as_str().unwrap());
    let alice = demo["users"][0]["token"].as_str().unwrap();
    assert_eq!(server.rest("POST", &path, alice, r#"{"content":"x"}"#).status, 200);
    assert_eq!(metric(&server, "starling_messages_created_total"), 1.0);
    assert!(metric(&server, "starling_store_groups_total") >= 1.0);
    assert!(metric(&server, "process_resident_memory_bytes") > 1e6);
    let text = get("/metrics").body;
    assert!(text.ends_with("# EOF\n"));
    assert!(!text.contains(demo["guild_id"].as_str().unwrap()), "an id is a label");
}

#[test]
fn an_idle_server_uses_no_processor_to_speak_of() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir, &[]);
    let used = || metric(&server, "process_cpu_seconds_total");
    // The start may not be quite over, and a busy machine makes everything dearer: one quiet window is enough.
    let mut windows = Vec::new();
    let is_idle = (0..5).any(|_| {
        let before = used();
        std::thread::sleep(Duration::from_secs(3));
        windows.push(used() - before);
        windows.last().is_some_and(|used| *used <= 0.06)
    });
    assert!(is_idle, "{windows:?} s in 3 s each");
}
