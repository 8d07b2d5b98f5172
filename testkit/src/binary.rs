//! Where the `starling` program is that the tests run.
//!
//! `STARLING_BIN` names one. Otherwise it lies beside the test that asks, in the same profile's folder, and is built there
//! when it is missing or older than a source that cargo noted for it. So `cargo test -p testkit` never tests an old one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;
use std::{env, fs, io};

static BINARY: OnceLock<PathBuf> = OnceLock::new();

/// The path of an up-to-date `starling`.
///
/// # Panics
/// When it cannot be built: no test makes sense then.
pub fn starling() -> &'static Path {
    BINARY.get_or_init(|| match find() {
        Ok(path) => path,
        Err(error) => panic!("no starling to test: {error}"),
    })
}

fn find() -> io::Result<PathBuf> {
    if let Some(path) = env::var_os("STARLING_BIN") {
        return Ok(path.into());
    }
    let profile = profile()?;
    let binary = profile.join("starling");
    if !is_fresh(&binary) {
        build(&profile)?;
    }
    Ok(binary)
}

/// The folder of cargo's profile in which the running test was built.
pub(crate) fn profile() -> io::Result<PathBuf> {
    let test = env::current_exe()?;
    let is_profile = |folder: &&Path| folder.join(".fingerprint").is_dir();
    let profile = test.ancestors().find(is_profile).map(Path::to_owned);
    profile.ok_or_else(|| io::Error::other("the test does not lie in a folder of cargo"))
}

/// Whether no file that cargo lists in `starling.d` is younger.
fn is_fresh(binary: &Path) -> bool {
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let Some(built) = modified(binary) else { return false };
    let Ok(list) = fs::read_to_string(binary.with_extension("d")) else { return false };
    let Some((_, sources)) = list.split_once(": ") else { return false };
    let is_older = |path: &str| modified(Path::new(path)).is_some_and(|at: SystemTime| at <= built);
    sources.split_whitespace().all(is_older)
}

fn build(profile: &Path) -> io::Result<()> {
    let name = profile.file_name().and_then(|name| name.to_str()).unwrap_or("debug");
    let name = if name == "debug" { "dev" } else { name };
    let target = profile.parent().unwrap_or(profile);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root).args(["build", "--quiet", "-p", "starling", "--profile", name]);
    let status = command.arg("--target-dir").arg(target).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("cargo build ended with {status}"))) }
}
