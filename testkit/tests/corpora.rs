//! Every target of `fuzz/` goes over its kept inputs, without a fuzzer.

#![expect(clippy::unwrap_used, reason = "a test ends where it unwraps")]

use std::fs;
use std::path::{Path, PathBuf};

type Target = (&'static str, fn(&[u8]));

/// By name. What `rest_request` needs lies with the API's tests, which replay it; `encoding` replays its own.
const HERE: &[Target] = &[
    ("client_command", gateway::link::fuzz_command),
    ("client_frames", gateway::wire::fuzz_decode),
    ("envelope", proto::fuzz_envelope),
    ("handshake", gateway::wire::fuzz_handshake),
];
const ELSEWHERE: &[&str] = &["etf_payload", "rest_request", "shared_zlib", "shared_zstd"];

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(folder);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn kept_inputs_break_no_promise() {
    for (target, run) in HERE {
        let kept = files(&format!("corpus/{target}"));
        assert!(!kept.is_empty(), "nothing is kept for {target}");
        for file in kept {
            // Shown when it fails.
            println!("{}", file.display());
            run(&fs::read(file).unwrap());
        }
    }
}

#[test]
fn no_target_is_forgotten() {
    let mut replayed: Vec<_> = HERE.iter().map(|(name, _)| *name).chain(ELSEWHERE.iter().copied()).collect();
    replayed.sort_unstable();
    let targets = files("fuzz_targets");
    let names: Vec<_> = targets.iter().map(|file| file.file_stem().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, replayed);
}
