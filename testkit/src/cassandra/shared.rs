//! One server for all test programs of a `cargo test`, which know nothing of each other.
//!
//! The server lies in a folder beside the built programs. Whoever needs it first starts it, under a lock; the others find
//! it by the file with its port. Each says who uses it: a file named by the process id of the cargo or `scripts/run-tests`
//! that started it (or its own), with the time at which that process began, as ids are given again. A shell beside the
//! server looks once a second whether any of them is alive, and if none is ends the server and removes the folder.
//!
//! Who comes at that moment is not cheated: the shell takes the port's file away first and looks again, and a user
//! names itself first and looks for that file again. One of the two sees the other.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::launch::{self, Node};
use crate::binary;

/// `host:port` of the server.
pub(super) fn find_or_start() -> io::Result<String> {
    let root = binary::profile()?.join(FOLDER);
    fs::create_dir_all(&root)?;
    let lock = File::create(root.join("lock"))?;
    lock.lock()?;
    for entry in fs::read_dir(&root)?.flatten() {
        let folder = entry.path();
        if let Some(node) = join(&folder)? {
            return Ok(node.address());
        }
        if folder.is_dir() && !folder.join(USERS).exists() {
            // Of a server that has ended by itself: only its log was of use.
            fs::remove_dir_all(&folder)?;
        }
    }
    // The shell removes a folder some time after its users have gone, so each start has one of its own.
    let folder = root.join(format!("{}-{}", launch::INSTALLED, std::process::id()));
    fs::create_dir_all(folder.join(USERS))?;
    name_user(&folder)?;
    let (node, _) = launch::on_free_ports(&folder, false, start)?;
    fs::write(folder.join(PORT), node.port.to_string())?;
    Ok(node.address())
}

/// The server of this folder, when it is there and stays.
fn join(folder: &Path) -> io::Result<Option<Node>> {
    let is_ours =
        folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with(launch::INSTALLED));
    if !is_ours || !folder.join(PORT).exists() {
        return Ok(None);
    }
    let user = name_user(folder)?;
    let port = fs::read_to_string(folder.join(PORT)).ok().and_then(|port| port.parse().ok());
    let node =
        port.map(|port| Node { folder: folder.to_owned(), port, is_durable: false }).filter(Node::answers);
    if node.is_none() {
        let _ = fs::remove_file(user);
    }
    Ok(node)
}

/// Says that the server is used. The same for all test programs of one cargo.
fn name_user(folder: &Path) -> io::Result<PathBuf> {
    let mine = std::process::id();
    let parent = std::os::unix::process::parent_id();
    let is_cargo =
        fs::read_to_string(format!("/proc/{parent}/comm")).is_ok_and(|name| name.starts_with("cargo"));
    let is_run = std::env::var(RUN).is_ok_and(|run| run == parent.to_string());
    let user = if is_cargo || is_run { parent } else { mine };
    let stat = fs::read_to_string(format!("/proc/{user}/stat"))?;
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let began = after_name.split(' ').nth(STAT_BEGAN - STAT_STATE).unwrap_or_default();
    let path = folder.join(USERS).join(user.to_string());
    fs::write(&path, began)?;
    Ok(path)
}

fn start(node: &Node) -> io::Result<Child> {
    let command = node.command();
    let mut shell = Command::new("sh");
    shell.args(["-c", WATCH, "watch"]).arg(&node.folder).arg(command.get_program()).args(command.get_args());
    let log = launch::log(&node.folder)?;
    // A Ctrl-C ends the users; the shell sees that.
    shell.process_group(0).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let mut shell = shell.spawn()?;
    node.wait(|| !matches!(shell.try_wait(), Ok(None)))?;
    Ok(shell)
}

const FOLDER: &str = "servers";
const PORT: &str = "port";
const USERS: &str = "users";
/// The process id of the `scripts/run-tests` that started this program.
const RUN: &str = "STARLING_TEST_RUN";
/// Numbers of fields in `/proc/<pid>/stat`: the first after the name, and the time at which the process began.
const STAT_STATE: usize = 3;
const STAT_BEGAN: usize = 22;

const WATCH: &str = r#"folder=$1; shift
cd "$folder" || exit 1
"$@" &
server=$!
is_used() {
    for user in users/*; do
        read -r stat 2>/dev/null <"/proc/${user#users/}/stat" || continue
        set -- ${stat##*) }
        shift 19
        [ "$1" = "$(cat "$user")" ] && return 0
    done
    return 1
}
while sleep 1 && kill -0 $server 2>/dev/null; do
    is_used && continue
    mv port left 2>/dev/null
    if ! is_used; then
        kill -9 $server
        cd / && rm -rf "$folder"
        exit
    fi
    mv left port 2>/dev/null
done
rm -rf users"#;
