//! Bytes that an earlier version of Starling stored or sent, kept in the repository.
//!
//! A crate keeps them under `fixtures/v{N}/`. `UPDATE_FIXTURES=1` writes what today's code makes of the same value: for the
//! first time, and when a version is raised, into the folder of the new one. The folders of earlier versions stay as
//! they are.

use std::path::Path;
use std::{env, fs};

/// What is kept under this name, in the crate with this manifest folder; `today` is what would be written now.
///
/// # Panics
/// When there is nothing.
pub fn fixture(manifest_dir: &str, name: &str, today: &[u8]) -> Vec<u8> {
    let path = Path::new(manifest_dir).join("fixtures").join(name);
    if env::var_os("UPDATE_FIXTURES").is_some() {
        fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("the folder can be made");
        fs::write(&path, today).expect("the fixture can be written");
    }
    fs::read(&path).unwrap_or_else(|error| panic!("{name}: {error}; UPDATE_FIXTURES=1 writes it"))
}
