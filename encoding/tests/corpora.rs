//! The fuzz targets of this crate go over their kept inputs, without a fuzzer.

use std::fs;
use std::path::Path;

type Target = (&'static str, fn(&[u8]));

const TARGETS: &[Target] = &[
    ("etf_payload", encoding::fuzz_etf),
    ("shared_zlib", encoding::fuzz_zlib),
    ("shared_zstd", encoding::fuzz_zstd),
];

#[test]
fn kept_inputs_break_no_promise() {
    for (target, run) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
        let mut kept: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        kept.sort();
        assert!(!kept.is_empty(), "nothing is kept for {target}");
        for file in kept {
            // Shown when it fails.
            println!("{}", file.display());
            run(&fs::read(file).unwrap());
        }
    }
}
