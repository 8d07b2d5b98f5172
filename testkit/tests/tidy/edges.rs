//! Which crate may use which: the walls of ARCHITECTURE.md, read from the manifests. Development and build dependencies
//! count, apart from `testkit` and `doubles`, which every crate's tests may use.

use toml::{Table, Value};

use crate::tree::Tree;

const FOUNDATION: &[&str] = &["model", "tasks", "proto", "backplane"];
const FOUNDATION_AND_REDIS: &[&str] = &["model", "tasks", "proto", "redis-link", "backplane"];
const FOUNDATION_AND_STORAGE: &[&str] = &["model", "tasks", "proto", "backplane", "storage"];

/// Which crates of this workspace a crate may name.
enum May {
    Use(&'static [&'static str]),
    /// Who joins the parts: all that stand before it in the list.
    UseAllBefore,
}

/// Every crate, lowest first. A new edge is a decision: it is made here.
const ALLOWED: &[(&str, May)] = &[
    ("model", May::Use(&[])),
    ("tasks", May::Use(&["model"])),
    ("proto", May::Use(&["model", "tasks"])),
    ("redis-link", May::Use(&["model", "tasks"])),
    ("backplane", May::Use(&["model", "tasks", "proto", "redis-link"])),
    ("storage", May::Use(&["model", "proto"])),
    ("guilds", May::Use(FOUNDATION_AND_STORAGE)),
    ("messages", May::Use(FOUNDATION_AND_STORAGE)),
    ("presence", May::Use(FOUNDATION)),
    ("fanout", May::Use(FOUNDATION)),
    ("encoding", May::Use(&["model"])),
    ("gateway", May::Use(&["model", "tasks", "proto", "backplane", "encoding"])),
    ("api", May::Use(FOUNDATION_AND_REDIS)),
    ("starling", May::UseAllBefore),
    ("doubles", May::Use(&["model", "tasks", "proto", "backplane", "encoding"])),
    ("testkit", May::UseAllBefore),
    ("loadtest", May::UseAllBefore),
];

/// Crates from outside with the only ones of ours that may name them.
const OUTSIDE: &[(&str, &[&str])] = &[
    ("anyhow", &["starling", "loadtest"]),
    ("async-nats", &["backplane"]),
    ("fjall", &["storage"]),
    ("redis", &["redis-link"]),
    ("scylla", &["storage", "guilds", "messages"]),
    ("zlib-rs", &["encoding"]),
    ("zstd-safe", &["encoding", "loadtest"]),
];

/// `model` is vocabulary: whatever waits, listens or writes does not belong there.
const NEVER_IN_MODEL: &[&str] = &["axum", "hyper", "socket2", "tokio", "tokio-util", "tonic", "tower"];

/// What every crate's tests may use.
const FOR_TESTS: &[&str] = &["testkit", "doubles"];

const KINDS: &[&str] = &["dependencies", "dev-dependencies", "build-dependencies"];

pub fn forbidden_edges(tree: &Tree) -> Vec<String> {
    let members = members(tree);
    members.iter().flat_map(|member| forbidden_edges_of(tree, &members, member)).collect()
}

pub fn missing_on_the_map(tree: &Tree) -> Vec<String> {
    let map = tree.file("ARCHITECTURE.md").map_or("", |file| &file.text);
    let is_missing = |member: &&String| !map.contains(&format!("`{member}/`"));
    let members = members(tree);
    let missing = members.iter().filter(is_missing);
    missing
        .map(|member| format!("ARCHITECTURE.md: `{member}/` is missing: one line that says what it is"))
        .collect()
}

fn forbidden_edges_of(tree: &Tree, members: &[String], member: &str) -> Vec<String> {
    let Some(place) = ALLOWED.iter().position(|(name, _)| *name == member) else {
        return vec![format!(
            "{member}: a crate without a place; give it one in `ALLOWED` and in ARCHITECTURE.md"
        )];
    };
    let mut findings = Vec::new();
    for (kind, used) in dependencies(&parse(tree, &format!("{member}/Cargo.toml"))) {
        let is_ours = members.contains(&used);
        let is_allowed = match ALLOWED[place].1 {
            May::Use(names) => names.contains(&used.as_str()),
            May::UseAllBefore => ALLOWED[..place].iter().any(|(name, _)| *name == used),
        };
        let for_tests = kind == "dev-dependencies" && FOR_TESTS.contains(&used.as_str());
        let reserved = OUTSIDE.iter().find(|(name, _)| *name == used);
        if is_ours && used != member && !for_tests && !is_allowed {
            findings.push(format!("{member}/Cargo.toml: {kind}: {member} may not use {used}"));
        } else if let Some((_, users)) = reserved.filter(|(_, users)| !users.contains(&member)) {
            findings.push(format!("{member}/Cargo.toml: {kind}: only {} may use {used}", users.join(", ")));
        } else if member == "model" && kind == "dependencies" && NEVER_IN_MODEL.contains(&used.as_str()) {
            findings
                .push(format!("{member}/Cargo.toml: {kind}: model has no I/O and no tasks, so no {used}"));
        }
    }
    findings
}

fn members(tree: &Tree) -> Vec<String> {
    let manifest = parse(tree, "Cargo.toml");
    let members =
        manifest.get("workspace").and_then(|workspace| workspace.get("members")).and_then(Value::as_array);
    members.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// All dependencies of a manifest, those of single targets too, by their names on the registry.
fn dependencies(manifest: &Table) -> Vec<(&'static str, String)> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let per_target = targets.into_iter().flat_map(Table::values).filter_map(Value::as_table);
    let mut found = Vec::new();
    for table in std::iter::once(manifest).chain(per_target) {
        for &kind in KINDS {
            let entries = table.get(kind).and_then(Value::as_table);
            for (name, entry) in entries.into_iter().flatten() {
                let real_name = entry.get("package").and_then(Value::as_str).unwrap_or(name);
                found.push((kind, real_name.to_owned()));
            }
        }
    }
    found
}

fn parse(tree: &Tree, path: &str) -> Table {
    let Some(file) = tree.file(path) else { return Table::new() };
    file.text.parse().unwrap_or_else(|error| panic!("{path} is no TOML: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "[workspace]\nmembers = [\"model\", \"guilds\", \"messages\", \"starling\", \"doubles\", \"testkit\"]\n";

    fn findings(path: &str, manifest: &str) -> Vec<String> {
        forbidden_edges(&Tree::of(&[("Cargo.toml", ROOT), (path, manifest)]))
    }

    #[test]
    fn a_service_may_not_use_a_service() {
        let rows = [
            "[dependencies]\nmessages.workspace = true",
            "[dev-dependencies]\nmessages = { path = \"../messages\" }",
            "[build-dependencies]\nother = { package = \"messages\" }",
            "[target.'cfg(unix)'.dependencies]\nmessages = \"1\"",
            "[dependencies]\ntestkit.workspace = true",
            "[dependencies]\nfjall.workspace = true",
            "[dependencies]\nanyhow = \"1\"",
        ];
        for row in rows {
            assert_eq!(findings("guilds/Cargo.toml", row).len(), 1, "{row}");
        }
    }

    #[test]
    fn what_lies_below_is_free() {
        let below = "[dependencies]\nmodel.workspace = true\ntokio = \"1\"\n[dev-dependencies]\ntestkit.workspace = true";
        assert_eq!(findings("guilds/Cargo.toml", below), Vec::<String>::new());
        let all = "[dependencies]\nguilds.workspace = true\nmessages.workspace = true\nanyhow = \"1\"";
        assert_eq!(findings("starling/Cargo.toml", all), Vec::<String>::new());
    }

    #[test]
    fn stand_ins_are_out_of_reach_of_the_program() {
        for (path, manifest, count) in [
            ("starling/Cargo.toml", "[dependencies]\ndoubles.workspace = true", 1),
            ("guilds/Cargo.toml", "[dependencies]\ndoubles.workspace = true", 1),
            ("guilds/Cargo.toml", "[dev-dependencies]\ndoubles.workspace = true", 0),
            ("testkit/Cargo.toml", "[dependencies]\ndoubles.workspace = true", 0),
        ] {
            assert_eq!(findings(path, manifest).len(), count, "{path}: {manifest}");
        }
    }

    #[test]
    fn model_stays_without_io() {
        assert_eq!(findings("model/Cargo.toml", "[dependencies]\ntokio = \"1\"\nguilds = \"1\"").len(), 2);
    }

    #[test]
    fn a_new_crate_needs_a_place() {
        let tree = Tree::of(&[("Cargo.toml", "[workspace]\nmembers = [\"attic\"]")]);
        assert_eq!(forbidden_edges(&tree).len(), 1);
        assert_eq!(missing_on_the_map(&tree).len(), 1);
        let mapped = Tree::of(&[
            ("Cargo.toml", "[workspace]\nmembers = [\"attic\"]"),
            ("ARCHITECTURE.md", "- `attic/` keeps old things"),
        ]);
        assert_eq!(missing_on_the_map(&mapped), Vec::<String>::new());
    }
}
