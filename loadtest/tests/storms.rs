//! `storm`, `soak` and compressed receivers at a tiny size, against the real program: everybody comes, nobody misses
//! anything, and where somebody does the exit code says so.

use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;
use testkit::binary;
use testkit::server::{Options, Server, UNLIMITED};

/// Runs it against a server; what it wrote to its JSON.
fn load(server: &Server, arguments: &[&str]) -> (Output, Value) {
    let folder = TempDir::new().unwrap();
    let json = folder.path().join("report.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_starling-load"));
    command.args(["--api", &server.demo.api, "--server-pid", &server.pid().to_string()]);
    command.arg("--data-dir").arg(server.data_dir()).arg("--starling").arg(binary::starling());
    command.arg("--json").arg(&json).args(arguments);
    let output = command.output().unwrap();
    let report = std::fs::read(&json).ok().and_then(|text| serde_json::from_slice(&text).ok());
    (output, report.unwrap_or(Value::Null))
}

#[track_caller]
fn succeeded(output: &Output) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
}

#[tokio::test]
async fn a_crowd_comes_at_once() {
    let server = Server::start().await;
    let (output, report) = load(&server, &["storm", "connect", "--receivers", "60"]);
    succeeded(&output);
    assert_eq!(report["stayed_away"], 0, "{report}");
    assert_eq!(report["acknowledged"], 1, "{report}");
    assert!(
        report["wait"]["max_ms"].as_f64().unwrap() <= report["all_after_ms"].as_f64().unwrap() + 1.0,
        "{report}"
    );
    assert!(report["server"]["anonymous_bytes"].as_u64().unwrap() > 0, "{report}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("all there after"));
}

#[tokio::test]
async fn who_is_refused_comes_again() {
    let config = format!("{UNLIMITED}gateway_connections_max = 10\n");
    let server = Server::with(Options { config, ..Options::default() }).await;
    // Ten have a place, two never get one.
    let arguments = ["storm", "connect", "--receivers", "12", "--patience", "6"];
    let (output, report) = load(&server, &arguments);
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert_eq!(report["stayed_away"], 2, "{report}");
    assert_eq!(report["all_after_ms"], Value::Null, "{report}");
    let refused = report["refused"].as_u64().unwrap();
    // They are told to wait a second or more, and do.
    assert!((2..=14).contains(&refused), "{report}");
    let deaf = [&arguments[..], &["--deaf"]].concat();
    let (_, report) = load(&server, &deaf);
    assert!(report["refused"].as_u64().unwrap() > 14, "{report}");
}

#[tokio::test]
async fn who_was_dropped_resumes_and_misses_nothing() {
    let server = Server::start().await;
    for form in ["json", "json-zlib,json-zstd,etf,etf-zlib"] {
        let arguments = ["--form", form, "storm", "reconnect", "--receivers", "40", "--bystanders", "5"];
        let further = ["--rate", "20", "--quiet-seconds", "1"];
        let (output, report) = load(&server, &[&arguments[..], &further].concat());
        succeeded(&output);
        assert_eq!((&report["resumes"], &report["identifies"]), (&40.into(), &0.into()), "{form}: {report}");
        assert_eq!(report["faults"]["missing"], 0, "{form}: {report}");
        assert!(report["acknowledged"].as_u64().unwrap() > 30, "{form}: {report}");
        // Half a second's pause is part of the way.
        assert!(report["wait"]["p50_ms"].as_f64().unwrap() >= 500.0, "{form}: {report}");
        assert!(report["bystanders"]["p99_ratio"].as_f64().unwrap() > 0.0, "{form}: {report}");
        assert_eq!(report["bystanders"]["faults"]["missing"], 0, "{form}: {report}");
    }
}

#[tokio::test]
async fn a_soak_goes_up_step_by_step() {
    let server = Server::start().await;
    let arguments = ["soak", "--receivers", "50", "--steps", "10,30", "--guild-members", "7"];
    let (output, report) =
        load(&server, &[&arguments[..], &["--per-process", "20", "--seconds", "1"]].concat());
    succeeded(&output);
    let steps: Vec<u64> =
        report["steps"].as_array().unwrap().iter().filter_map(|step| step["receivers"].as_u64()).collect();
    assert_eq!(steps, [10, 30, 50], "{report}");
    assert_eq!((&report["processes"], &report["guilds"]), (&3.into(), &8.into()), "{report}");
    assert_eq!(report["acknowledged"], 8, "{report}");
    assert!(report["growth"].is_number(), "{report}");
}

#[tokio::test]
async fn compressed_receivers_miss_nothing_and_say_what_came_over_the_wire() {
    let server = Server::start().await;
    let wire = |form: &str| {
        let arguments = ["--form", form, "fanout", "--receivers", "10", "--rate", "50", "--seconds", "1"];
        let (output, report) = load(&server, &arguments);
        succeeded(&output);
        assert_eq!(report["deliveries"], 500, "{form}: {report}");
        (report["wire_bytes"].as_f64().unwrap(), report["event_bytes"].as_f64().unwrap())
    };
    let (json, json_event) = wire("json");
    // The header of a frame of this length; the event's is rounded down.
    let header = |wire: f64, event: f64| (4.0..5.0).contains(&(wire - event));
    assert!(header(json, json_event), "{json} {json_event}");
    for form in ["json-zlib", "json-zstd", "etf-zlib"] {
        let (compressed, event) = wire(form);
        assert!(compressed < json && event > compressed, "{form}: {compressed} of {event}, plain {json}");
    }
    let (etf, etf_event) = wire("etf");
    assert!(header(etf, etf_event), "{etf} {etf_event}");
}
