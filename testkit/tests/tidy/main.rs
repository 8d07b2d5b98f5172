//! Tidy: the rules of the house that neither the compiler nor clippy can keep, as tests over the working tree.
//!
//! A rule is a function from a `Tree` (a list of files with their text) to a list of findings, so that each rule is also
//! tried on a made-up tree that breaks it. The tests here run the rules on the real one.

mod code;
mod edges;
mod layout;
mod text;
mod tree;

use tree::Tree;

#[track_caller]
fn expect_none(findings: &[String]) {
    assert!(findings.is_empty(), "{} findings:\n  {}\n", findings.len(), findings.join("\n  "));
}

#[test]
fn the_tree_is_the_real_one() {
    let tree = Tree::load();
    for path in ["Cargo.toml", "Makefile", ".ci/run", "testkit/tests/tidy/main.rs"] {
        assert!(tree.file(path).is_some(), "{path} was not read");
    }
}

#[test]
fn files_are_short() {
    let lengths = layout::lengths(&Tree::load());
    println!("{} files, 90th percentile {} lines", lengths.len(), layout::percentile_90(&lengths));
    expect_none(&layout::too_long(&lengths));
}

#[test]
fn every_file_is_reached() {
    expect_none(&layout::dead_files(&Tree::load()));
}

#[test]
fn modules_are_files_with_their_own_names() {
    expect_none(&layout::mod_files(&Tree::load()));
}

#[test]
fn every_source_file_says_what_it_is() {
    expect_none(&text::without_header(&Tree::load()));
}

#[test]
fn nothing_is_allowed_away_or_left_to_do() {
    expect_none(&text::forbidden_words(&Tree::load()));
}

#[test]
fn no_line_ends_in_white_space() {
    expect_none(&text::trailing_white_space(&Tree::load()));
}

#[test]
fn no_path_of_a_machine_is_named() {
    expect_none(&text::machine_paths(&Tree::load()));
}

#[test]
fn crates_use_only_what_lies_below_them() {
    expect_none(&edges::forbidden_edges(&Tree::load()));
}

#[test]
fn the_map_names_every_crate() {
    expect_none(&edges::missing_on_the_map(&Tree::load()));
}
