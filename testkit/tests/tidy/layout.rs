//! How long files are, and whether each is reached from the root of its crate.

use std::collections::BTreeSet;

use crate::code;
use crate::tree::{File, Tree};

const LINES_MAX: usize = 500;
const LINES_90_PERCENT_MAX: usize = 400;

/// The lines without tests of every source file, shortest first.
pub fn lengths(tree: &Tree) -> Vec<(usize, String)> {
    let mut lengths: Vec<_> =
        tree.sources().map(|file| (code::lines_without_tests(&file.text), file.path.clone())).collect();
    lengths.sort();
    lengths
}

/// The length that nine of ten files do not exceed.
pub fn percentile_90(lengths: &[(usize, String)]) -> usize {
    let rank = (lengths.len() * 9).div_ceil(10);
    rank.checked_sub(1).map_or(0, |at| lengths[at].0)
}

pub fn too_long(lengths: &[(usize, String)]) -> Vec<String> {
    let mut findings: Vec<String> = lengths
        .iter()
        .filter(|(lines, _)| *lines > LINES_MAX)
        .map(|(lines, path)| {
            format!("{path}: {lines} lines without tests, more than {LINES_MAX}; split it by subject")
        })
        .collect();
    let percentile = percentile_90(lengths);
    if percentile > LINES_90_PERCENT_MAX {
        findings.push(format!("the 90th percentile is {percentile} lines, more than {LINES_90_PERCENT_MAX}"));
    }
    findings
}

/// `foo.rs` beside `foo/`, never `foo/mod.rs`: editors show the name, and searches find it.
pub fn mod_files(tree: &Tree) -> Vec<String> {
    let is_mod = |file: &&File| file.path.ends_with("/mod.rs");
    tree.rust()
        .filter(is_mod)
        .map(|file| format!("{}: name it after its folder, beside it", file.path))
        .collect()
}

/// Files under `src/` and `tests/` that no `mod` declares: the compiler never sees them.
pub fn dead_files(tree: &Tree) -> Vec<String> {
    let mut reached: BTreeSet<&str> = BTreeSet::new();
    let mut waiting: Vec<&File> = tree.rust().filter(|file| is_root(tree, file)).collect();
    while let Some(file) = waiting.pop() {
        if !reached.insert(&file.path) {
            continue;
        }
        for path in children(tree, file) {
            waiting.extend(tree.file(&path));
        }
    }
    tree.rust()
        .filter(|file| file.path.contains("/src/") || file.path.contains("/tests/"))
        .filter(|file| !reached.contains(file.path.as_str()))
        .map(|file| format!("{}: no `mod` reaches it; declare or delete it", file.path))
        .collect()
}

/// A file that cargo compiles by itself.
fn is_root(tree: &Tree, file: &File) -> bool {
    let (folder, stem) = file.folder_and_stem();
    let in_folder = |name: &str| folder.ends_with(&format!("/{name}/"));
    let in_target_folder = |name: &str| {
        let parent = folder.trim_end_matches('/').rfind('/').map_or("", |slash| &folder[..=slash]);
        stem == "main" && parent.ends_with(&format!("/{name}/"))
    };
    let is_crate_root = in_folder("src") && (stem == "lib" || stem == "main");
    let is_target = ["src/bin", "tests", "benches", "examples"].iter().any(|name| {
        let own_file = in_folder(name) && is_package(tree, folder.trim_end_matches('/').strip_suffix(name));
        own_file || in_target_folder(name)
    });
    is_crate_root || is_target || (stem == "build" && is_package(tree, Some(folder)))
}

/// Whether `folder` (with `/` at its end) holds a package. `src/foo/tests/` is a module, `foo/tests/` a folder of test targets.
fn is_package(tree: &Tree, folder: Option<&str>) -> bool {
    folder.is_some_and(|folder| tree.file(&format!("{folder}Cargo.toml")).is_some())
}

/// Where the modules that a file declares may lie.
fn children(tree: &Tree, file: &File) -> Vec<String> {
    let (folder, stem) = file.folder_and_stem();
    let own_folder =
        if is_root(tree, file) || stem == "mod" { folder.to_owned() } else { format!("{folder}{stem}/") };
    let mut paths = Vec::new();
    for module in code::module_files(&file.text) {
        let inside: String = module.inside.iter().map(|name| format!("{name}/")).collect();
        match module.path {
            Some(path) => paths.push(format!("{folder}{path}")),
            None => {
                let base = format!("{own_folder}{inside}{}", module.name.trim_start_matches("r#"));
                paths.push(format!("{base}.rs"));
                paths.push(format!("{base}/mod.rs"));
            }
        }
    }
    paths
}

#[test]
fn long_files_are_found() {
    let long = "x\n".repeat(501);
    let tested = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", "x\n".repeat(300), "    x\n".repeat(600));
    let tree =
        Tree::of(&[("a/src/long.rs", &long), ("a/src/tested.rs", &tested), ("a/tests/long.rs", &long)]);
    let lengths = lengths(&tree);
    assert_eq!(lengths, [(300, "a/src/tested.rs".to_owned()), (501, "a/src/long.rs".to_owned())]);
    let findings = too_long(&lengths);
    assert_eq!(findings.len(), 2, "{findings:?}");
    assert!(findings[0].starts_with("a/src/long.rs: 501"));
    assert!(findings[1].contains("90th percentile is 501"));
    assert!(too_long(&lengths[..1]).is_empty());
    assert!(too_long(&[]).is_empty());
}

#[test]
fn mod_rs_is_found() {
    assert_eq!(mod_files(&Tree::of(&[("a/src/b/mod.rs", ""), ("a/src/c/mode.rs", "")])).len(), 1);
}

#[test]
fn dead_files_are_found() {
    let tree = Tree::of(&[
        ("a/Cargo.toml", ""),
        ("a/build.rs", ""),
        ("a/src/lib.rs", "mod b;\nmod i { pub mod j; }\n// mod dead;\n"),
        ("a/src/b.rs", "mod c;\n#[cfg(test)]\nmod tests;\n"),
        ("a/src/b/c.rs", ""),
        ("a/src/b/tests.rs", "mod deep;"),
        ("a/src/b/tests/deep.rs", ""),
        ("a/src/b/tests/dead.rs", ""),
        ("a/src/c.rs", ""),
        ("a/src/dead.rs", ""),
        ("a/src/i/j.rs", ""),
        ("a/src/bin/tool.rs", ""),
        ("a/src/bin/other/main.rs", "mod part;"),
        ("a/src/bin/other/part.rs", ""),
        ("a/tests/one.rs", ""),
        ("a/tests/two/main.rs", "mod part;"),
        ("a/tests/two/part.rs", ""),
        ("a/tests/two/dead.rs", ""),
    ]);
    let findings: Vec<String> =
        dead_files(&tree).iter().map(|f| f.split(':').next().unwrap().to_owned()).collect();
    assert_eq!(findings, ["a/src/b/tests/dead.rs", "a/src/c.rs", "a/src/dead.rs", "a/tests/two/dead.rs"]);
}
