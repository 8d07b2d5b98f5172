//! The files that the rules look at: text files of the working tree, without what builds and installs leave there.

use std::fs;
use std::path::Path;

/// Folders that are not ours: builds, installed packages, data of a run.
const FOLDERS_SKIPPED: &[&str] = &[
    ".cache",
    ".git",
    ".venv",
    "__pycache__",
    "dist",
    "node_modules",
    "starling-cluster",
    "starling-data",
    "target",
];

/// Endings of the files that people write. A file without an ending is read when its name is in `NAMES_READ`.
const ENDINGS_READ: &[&str] = &[
    "css", "go", "html", "java", "js", "json", "md", "mjs", "proto", "py", "rs", "sh", "toml", "ts", "tsx",
    "txt", "yaml", "yml",
];

const NAMES_READ: &[&str] = &[".gitignore", "Dockerfile", "LICENSE", "Makefile"];

/// Folders whose files are scripts without an ending.
const SCRIPT_FOLDERS: &[&str] = &[".ci/", "scripts/"];

/// A text file: its path from the root, with `/` between the parts, and what it says.
pub struct File {
    pub path: String,
    pub text: String,
}

/// The files, in the order of their paths.
pub struct Tree {
    pub files: Vec<File>,
}

impl Tree {
    /// Reads the working tree that this test was compiled in.
    pub fn load() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("testkit lies in the root");
        let mut tree = Self { files: Vec::new() };
        tree.read_folder(root, "");
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        tree
    }

    /// A made-up tree.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| File { path: (*path).into(), text: (*text).into() });
        Self { files: files.collect() }
    }

    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    pub fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    /// Rust files that are part of a crate's library or binary.
    pub fn sources(&self) -> impl Iterator<Item = &File> {
        self.rust().filter(|file| file.is_source())
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && !FOLDERS_SKIPPED.contains(&name.as_str()) {
                self.read_folder(&entry.path(), &format!("{path}/"));
            } else if !is_folder
                && is_read(&path, &name)
                && let Ok(text) = fs::read_to_string(entry.path())
            {
                self.files.push(File { path, text });
            }
        }
    }
}

impl File {
    /// Whether the file is compiled into a library or binary, as opposed to tests and benchmarks.
    pub fn is_source(&self) -> bool {
        self.path.contains("/src/") && !self.path.split('/').any(|part| part == "tests" || part == "tests.rs")
    }

    /// The folder, with the `/` at its end, and the name without `.rs`.
    pub fn folder_and_stem(&self) -> (&str, &str) {
        let name_starts = self.path.rfind('/').map_or(0, |slash| slash + 1);
        let (folder, name) = self.path.split_at(name_starts);
        (folder, name.strip_suffix(".rs").unwrap_or(name))
    }
}

fn is_read(path: &str, name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    let is_script = !name.contains('.') && SCRIPT_FOLDERS.iter().any(|folder| path.starts_with(folder));
    is_script || NAMES_READ.contains(&name) || ending.is_some_and(|ending| ENDINGS_READ.contains(&ending))
}

#[test]
fn scripts_are_read_and_builds_are_not() {
    assert!(is_read(".ci/run", "run"));
    assert!(is_read("Makefile", "Makefile"));
    assert!(!is_read("testkit/run", "run"));
    assert!(!is_read("web/logo.png", "logo.png"));
    let tests = Tree::of(&[("a/src/b/tests.rs", ""), ("a/tests/b.rs", ""), ("a/src/b.rs", "")]);
    assert_eq!(tests.sources().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["a/src/b.rs"]);
}
