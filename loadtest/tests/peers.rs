//! The whole of `starling-load peers` against the servers that are built in: started, measured, nothing lost, reported.

use std::process::Command;

use serde_json::Value;

#[test]
fn built_in_servers_hand_everything_on() {
    let folder = tempfile::tempdir().unwrap();
    let (json, markdown) = (folder.path().join("peers.json"), folder.path().join("peers.md"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_starling-load"));
    command.arg("--json").arg(&json).args(["peers", "--servers", "plain,floor"]);
    // Core 0 alone, which every machine has.
    command.args(["--server-core", "0", "--generator-core", "0", "--floor-merge", "3"]);
    command.args(["--receivers", "30", "--rounds", "1", "--deliveries-per-sec", "600", "--seconds", "1"]);
    command.args(["--burst", "400", "--event-bytes", "9000"]).arg("--markdown").arg(&markdown);
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{stderr}", output.status);
    assert!(stderr.contains("30 receivers, round 1: epoll floor"), "{stderr}");

    let tables = String::from_utf8(output.stdout).unwrap();
    assert!(tables.contains("| | hyper + fastwebsockets | epoll floor |"), "{tables}");
    assert_eq!(std::fs::read_to_string(markdown).unwrap(), tables);
    let report: Value = serde_json::from_slice(&std::fs::read(json).unwrap()).unwrap();
    assert_eq!(report["faults"], Value::Array(Vec::new()));
    for server in report["sizes"][0]["servers"].as_array().unwrap() {
        assert_eq!(server["median"]["event_bytes"], 9000.0, "{server}");
        assert!(server["median"]["burst_to_all_p99_ms"].as_f64().unwrap() > 0.0, "{server}");
    }
}
