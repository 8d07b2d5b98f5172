//! What may not stand in a file. The words are put together here, so that this file may name them.

use crate::code;
use crate::tree::{File, Tree};

/// In code, comments and literals apart. An exception is `expect` with a reason; what is left out is a precise error.
const FORBIDDEN_CODE: &[&str] = &["#[allow(", "#![allow(", "todo!(", "unimplemented!("];

/// In comments as well, as whole words.
const FORBIDDEN_MARKS: &[&str] =
    &[concat!("FIX", "ME"), concat!("XX", "X"), concat!("TO", "DO"), concat!("HA", "CK")];

/// Home folders: what they name exists on one machine.
const MACHINE_FOLDERS: &[&str] = &[concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/")];

pub fn without_header(tree: &Tree) -> Vec<String> {
    tree.sources()
        .filter(|file| !file.text.starts_with("//!"))
        .map(|file| format!("{}: begin with `//!`: what this file is, and why it is so", file.path))
        .collect()
}

pub fn forbidden_words(tree: &Tree) -> Vec<String> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let code = code::code_only(&file.text);
        for (number, (code, line)) in code.lines().zip(file.text.lines()).enumerate() {
            let in_code = FORBIDDEN_CODE.iter().filter(|word| code.contains(*word));
            let marks = FORBIDDEN_MARKS.iter().filter(|word| has_word(line, word));
            findings.extend(in_code.chain(marks).map(|word| at(file, number, &format!("`{word}`"))));
        }
    }
    findings
}

pub fn trailing_white_space(tree: &Tree) -> Vec<String> {
    every_line(tree, |line| line.ends_with([' ', '\t', '\r']).then(|| "white space at the end".to_owned()))
}

pub fn machine_paths(tree: &Tree) -> Vec<String> {
    every_line(tree, |line| {
        let folder = MACHINE_FOLDERS.iter().find(|folder| starts_a_path(line, folder))?;
        Some(format!("`{folder}` is a path of one machine; name it relative to the repository"))
    })
}

fn every_line(tree: &Tree, check: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let mut findings = Vec::new();
    for file in &tree.files {
        let found =
            file.text.split('\n').enumerate().filter_map(|(number, line)| Some((number, check(line)?)));
        findings.extend(found.map(|(number, what)| at(file, number, &what)));
    }
    findings
}

fn at(file: &File, number: usize, what: &str) -> String {
    format!("{}:{}: {what}", file.path, number + 1)
}

/// Whether `word` stands in `line` with no letter, digit or underscore beside it.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        let after = line[start + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// Whether `folder` stands in `line` as the beginning of an absolute path, not in the middle of a URL or a relative one.
fn starts_a_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-~/}".contains(c))
    })
}

#[test]
fn a_missing_header_is_found() {
    let tree = Tree::of(&[
        ("a/src/b.rs", "//! B.\n"),
        ("a/src/c.rs", "// C\n"),
        ("a/src/d.rs", ""),
        ("a/tests/e.rs", ""),
    ]);
    assert_eq!(without_header(&tree).len(), 2);
}

#[test]
fn forbidden_words_are_found() {
    let bad = format!(
        "#[allow(dead_code)]\nfn f() {{ todo!() }}\n// {}: later\n#![allow(x)]\nunimplemented!();\n",
        FORBIDDEN_MARKS[0]
    );
    let good = format!(
        "// never todo!() or #[allow(x)]\nlet s = \"unimplemented!()\";\nlet {}s = \"{}X\";\n",
        FORBIDDEN_MARKS[0], FORBIDDEN_MARKS[1]
    );
    let findings = forbidden_words(&Tree::of(&[("a/src/b.rs", &bad), ("a/src/c.rs", &good)]));
    assert_eq!(findings.len(), 5, "{findings:?}");
    assert!(findings[2].starts_with("a/src/b.rs:3: "));
}

#[test]
fn trailing_white_space_is_found() {
    let findings = trailing_white_space(&Tree::of(&[("a.md", "a\nb \nc\t\nd\r\n e\n")]));
    assert_eq!(findings.len(), 3, "{findings:?}");
}

#[test]
fn machine_paths_are_found() {
    let [home, root, users] = MACHINE_FOLDERS else { panic!("three folders") };
    let bad = format!("see {home}me/x\nb = \"{root}.cargo\"\n({users}me)\n");
    let good = format!("https://host{home}page\nweb{root}x\n$HOME/x ~{home}\n");
    let findings = machine_paths(&Tree::of(&[("bad.md", &bad), ("good.md", &good)]));
    assert_eq!(findings.len(), 3, "{findings:?}");
    assert!(findings[1].starts_with("bad.md:2: "));
}
