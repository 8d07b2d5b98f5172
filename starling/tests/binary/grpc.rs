//! gRPC as other programs use it: the examples of `docs/grpc.md`, run as they stand.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::server::{Server, text};

/// One block of commands, and what they print where the page says so.
#[derive(Debug)]
struct Example {
    commands: String,
    printed: Option<String>,
}

#[test]
fn the_examples_of_the_documentation_do_what_it_says() {
    let Some(grpcurl) = grpcurl() else {
        println!("skipped: grpcurl is not installed; `make grpcurl` builds it, with Go");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("starling-data");
    let server = Server::start_in(&data, &["--demo", "--grpc-listen", "127.0.0.1:0"]);
    let address = server.grpc.clone().unwrap();
    let page = std::fs::read_to_string(root().join("docs/grpc.md")).unwrap();
    let examples = examples(&page);
    assert!(examples.len() >= 8, "{} examples", examples.len());
    let printed = run(&examples, folder.path(), &grpcurl, &address);
    assert_eq!(printed.len(), examples.len(), "{printed:#?}");
    for (example, printed) in examples.iter().zip(&printed) {
        if let Some(expected) = &example.printed {
            assert!(
                is_like(printed, expected),
                "{}\n--- printed\n{printed}\n--- not\n{expected}",
                example.commands
            );
        }
    }
    server.stop();
}

#[test]
fn grpc_is_off_unless_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&folder, &[]);
    assert_eq!(server.grpc, None);
    assert!(!folder.path().join("grpc.secret").exists());
    server.stop();
}

#[test]
fn the_secret_stays_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = [(); 2].map(|()| {
        let server = Server::start(&folder, &["--grpc-listen", "127.0.0.1:0"]);
        let metrics = server.get(&format!("{}/metrics", server.admin)).body;
        assert!(metrics.contains("starling_grpc_calls_total 0"), "{metrics}");
        server.stop();
        std::fs::read_to_string(folder.path().join("grpc.secret")).unwrap()
    });
    assert_eq!(secrets[0], secrets[1]);
}

/// Runs all of them in one shell, in order; answers what each printed.
fn run(examples: &[Example], folder: &Path, grpcurl: &Path, address: &str) -> Vec<String> {
    let mut script = String::from("set -eu\nexec 2>&1\n");
    for example in examples {
        script.push_str(&example.commands.replace("127.0.0.1:9091", address));
        script.push_str(&format!("echo '{BORDER}'\n"));
    }
    let path = format!("{}:{}", grpcurl.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let output =
        Command::new("sh").args(["-c", &script]).current_dir(folder).env("PATH", path).output().unwrap();
    let printed = text(&output.stdout);
    assert!(output.status.success(), "{}\n{printed}", output.status);
    let mut parts: Vec<String> = printed.split(&format!("{BORDER}\n")).map(str::to_owned).collect();
    assert_eq!(parts.pop().as_deref(), Some(""), "the last thing printed is a border");
    parts
}

/// The blocks of commands with the blocks that follow them at once.
fn examples(page: &str) -> Vec<Example> {
    let mut examples = Vec::new();
    let mut rest = page;
    while let Some((_, after)) = rest.split_once("```sh\n") {
        let (commands, after) = after.split_once("```\n").expect("a block ends");
        let printed =
            after.strip_prefix("```text\n").map(|block| block.split_once("```\n").expect("it ends").0);
        examples.push(Example { commands: commands.to_owned(), printed: printed.map(str::to_owned) });
        rest = after;
    }
    examples
}

/// Whether the text is the expected one, in which `…` stands for anything. Leading and trailing space does not count.
fn is_like(text: &str, expected: &str) -> bool {
    let mut parts = expected.trim().split('…');
    let first = parts.next().unwrap_or_default();
    let Some(mut left) = text.trim().strip_prefix(first) else { return false };
    let mut last = first;
    for part in parts {
        let Some((_, after)) = left.split_once(part) else { return false };
        (left, last) = (after, part);
    }
    left.is_empty() || last.trim().is_empty() || text.trim().ends_with(last)
}

fn grpcurl() -> Option<PathBuf> {
    let named = std::env::var_os("STARLING_GRPCURL").map(PathBuf::from);
    let installed = root().join(".cache/tools/grpcurl");
    let found = named.or_else(|| installed.is_file().then_some(installed));
    let is_ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    assert!(found.is_some() || !is_ci, "grpcurl is missing; `make grpcurl` builds it, with Go");
    found
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

const BORDER: &str = "--- end of an example ---";

#[test]
fn what_is_printed_is_compared_with_the_page() {
    for (text, expected, is) in [
        ("a\nb\n", "a\nb", true),
        ("a\nx\nc", "a\n…\nc", true),
        ("a\nx\nd", "a\n…\nc", false),
        ("{ \"id\": \"12\" } and more", "{ \"id\": \"…\" }", false),
        ("head\nmore", "head\n…", true),
        ("more\nhead", "head…", false),
    ] {
        assert_eq!(is_like(text, expected), is, "{text:?} {expected:?}");
    }
    let page = "x\n```sh\none\n```\n```text\n1\n```\n\n```sh\ntwo\n```\ny\n```text\nno\n```\n";
    let found = examples(page);
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].commands.as_str(), found[0].printed.as_deref()), ("one\n", Some("1\n")));
    assert_eq!((found[1].commands.as_str(), found[1].printed.as_deref()), ("two\n", None));
}
