//! `outage` at a tiny size on a small cluster: a gateway that is killed under load, and both replaced in turn.

use std::process::Command;

use serde_json::Value;

/// The report; `None` where a server that the cluster needs is not installed.
fn outage(arguments: &[&str]) -> Option<(Option<i32>, Value)> {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_starling-load"));
    command.arg("--json").arg(&json).args(["outage", "--embedded", "--guilds", "3", "--clients", "4"]);
    command.args(["--rate", "20", "--seconds", "2", "--patience", "60"]).args(arguments);
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    if stderr.contains("is not installed") && std::env::var_os("CI").is_none() {
        println!("skipped: {stderr}");
        return None;
    }
    let report = std::fs::read(json).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    Some((output.status.code(), serde_json::from_slice(&report).unwrap()))
}

/// What holds however much the cluster can give back.
fn check(report: &Value, code: Option<i32>) {
    assert_eq!(report["stayed_away"], 0, "{report}");
    assert_eq!((&report["receivers"], &report["gateways"]), (&12.into(), &2.into()), "{report}");
    assert!(report["acknowledged"].as_u64().unwrap() > 60, "{report}");
    assert_eq!(report["faults"]["out_of_order"], 0, "{report}");
    // Only who had to begin anew missed anything, and the exit code says whether somebody did.
    let (missing, anew) = (&report["faults"]["missing"], &report["faults"]["missing_anew"]);
    assert_eq!(missing, anew, "{report}");
    if missing.as_u64() != Some(0) {
        assert_eq!(code, Some(1), "{report}");
    }
}

#[test]
fn a_killed_gateway_is_told_with_all_that_follows() {
    let Some((code, report)) = outage(&["--kill", "gateway-2"]) else { return };
    check(&report, code);
    assert_eq!(report["ended"], serde_json::json!(["gateway-2"]), "{report}");
    // Half of the clients were there, and each came back in one way or the other.
    let back = report["resumes"].as_u64().unwrap() + report["identifies"].as_u64().unwrap();
    assert_eq!(back, 6, "{report}");
    assert!(report["away"]["p50_ms"].as_f64().unwrap() >= 500.0, "{report}");
}

#[test]
fn gateways_that_are_replaced_in_turn_are_told() {
    let Some((code, report)) = outage(&["--roll"]) else { return };
    check(&report, code);
    assert_eq!(report["ended"], serde_json::json!(["gateway-1", "gateway-2"]), "{report}");
    let back = report["resumes"].as_u64().unwrap() + report["identifies"].as_u64().unwrap();
    assert!(back >= 12, "{report}");
    let is_smooth = report["faults"]["repeated"] == 0 && report["identifies"] == 0;
    assert_eq!(code, Some(i32::from(!is_smooth)), "{report}");
}

#[test]
fn who_is_to_be_killed_must_be_there() {
    let output = Command::new(env!("CARGO_BIN_EXE_starling-load")).arg("outage").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "neither --kill nor --roll");
    let both = ["outage", "--kill", "gateway", "--roll"];
    let output = Command::new(env!("CARGO_BIN_EXE_starling-load")).args(both).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "both");
}
