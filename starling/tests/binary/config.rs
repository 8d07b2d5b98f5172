//! Precedence and refusals, as a person meets them. Every setting and every text: `src/settings/load/tests.rs`.

use crate::server::{output, starling, text};

/// Arguments, a variable, and how the error begins.
type Refusal<'a> = (&'a [&'a str], Option<(&'a str, &'a str)>, &'a str);

#[test]
fn a_flag_wins_over_a_variable_over_the_file_over_the_default() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("starling.toml");
    std::fs::write(&file, "api_listen = '127.0.0.1:1001'\n").unwrap();
    let file = file.to_str().unwrap();
    let flags = ["config", "--config", file, "--api-listen", "127.0.0.1:1003"];
    let variable = Some("127.0.0.1:1002");
    let rows: [(&[&str], Option<&str>, &str); 4] = [
        (&["config"], None, "api_listen = \"127.0.0.1:8080\"  # default"),
        (&["config", "--config", file], None, &format!("api_listen = \"127.0.0.1:1001\"  # {file}:1")),
        (&["config", "--config", file], variable, "api_listen = \"127.0.0.1:1002\"  # STARLING_API_LISTEN"),
        (&flags, variable, "api_listen = \"127.0.0.1:1003\"  # --api-listen"),
    ];
    for (arguments, variable, expected) in rows {
        let mut command = starling(arguments);
        command.envs(variable.map(|value| ("STARLING_API_LISTEN", value)));
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let shown = text(&output.stdout);
        assert!(shown.lines().any(|line| line == expected), "{expected} is not in:\n{shown}");
    }
    let output = starling(&["config"]).env("STARLING_CONFIG", file).output().unwrap();
    assert!(text(&output.stdout).contains("127.0.0.1:1001"));
}

#[test]
fn a_bad_configuration_is_refused_with_code_2_before_anything_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let file = dir.path().join("starling.toml");
    std::fs::write(&file, "\n[gateway]\nlisten = 1\n").unwrap();
    let file = file.to_str().unwrap();
    let in_file = format!("error: {file}:2: unknown setting `gateway`; did you mean `gateway_");
    let rows: [Refusal<'_>; 7] = [
        (&["--config", file], None, &in_file),
        (
            &["--config", "/no/such.toml"],
            None,
            "error: read the configuration file /no/such.toml: No such file",
        ),
        (
            &[],
            Some(("STARLING_DEMMO", "1")),
            "error: STARLING_DEMMO: unknown variable; did you mean `STARLING_DEMO`?",
        ),
        (
            &[],
            Some(("STARLING_DEMO", "1")),
            "error: STARLING_DEMO: demo: \"1\" is not allowed; expected true or false",
        ),
        (
            &["--max-concurrency", "0"],
            None,
            "error: invalid value '0' for '--max-concurrency <COUNT>': \"0\" is not allowed; expected a whole number from 1 to 10000",
        ),
        (&["--api-lisen", "x"], None, "error: unexpected argument '--api-lisen' found"),
        (
            &["--api-listen", "127.0.0.1:8081"],
            None,
            "error: default: gateway_listen: 127.0.0.1:8081 is the address of api_listen as well",
        ),
    ];
    for (arguments, variable, expected) in rows {
        let mut command = starling(arguments);
        let output = command.arg("--data-dir").arg(&data).envs(variable).output().unwrap();
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.starts_with(expected), "\n  {error}\nis not\n  {expected}");
        assert!(!data.exists(), "{arguments:?} made the data directory");
    }
}

#[test]
fn help_names_every_setting_and_the_version_is_told() {
    let help = text(&output(&["--help"]).stdout);
    for setting in starling::settings::SETTINGS {
        assert!(help.contains(&setting.flag()), "{}", setting.name);
    }
    assert!(help.contains("Examples:"));
    assert_eq!(text(&output(&["--version"]).stdout), format!("starling {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn completions_know_the_flags() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = text(&output(&["completions", shell]).stdout);
        assert!(script.contains("gateway-listen"), "{shell}");
    }
    assert_eq!(output(&["completions", "nosh"]).status.code(), Some(2));
}
