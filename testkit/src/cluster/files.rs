//! What a cluster tells of itself in its folder: `processes.json` and `demo.json`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::ClusterDemo;
use super::log::Log;
use super::member::Member;
use super::plan::Planned;

/// See the module.
pub(super) struct Files {
    folder: PathBuf,
    members: Vec<Arc<Member>>,
    writing: Mutex<()>,
}

impl Files {
    pub(super) fn new(folder: &Path, members: Vec<Arc<Member>>) -> Self {
        Self { folder: folder.to_owned(), members, writing: Mutex::new(()) }
    }

    /// What runs now.
    pub(super) fn write_processes(&self, log: &Log) {
        let _turn = self.writing.lock();
        let all: Value = self.members.iter().map(|member| process(member)).collect();
        if let Err(error) = self.write("processes.json", &all) {
            log.print("cluster", &format!("(processes.json can't be written: {error})"));
        }
    }

    /// The demo data that the directory has made, with the addresses of all edges.
    pub(super) fn write_demo(
        &self,
        data: &Path,
        apis: &[String],
        gateways: &[String],
    ) -> io::Result<ClusterDemo> {
        let mut demo: Value = serde_json::from_slice(&fs::read(data.join("demo.json"))?)?;
        demo["apis"] = json!(apis);
        demo["gateways"] = json!(gateways);
        self.write("demo.json", &demo)?;
        Ok(serde_json::from_value(demo)?)
    }

    /// As a whole or not at all.
    fn write(&self, name: &str, value: &Value) -> io::Result<()> {
        let (path, new) = (self.folder.join(name), self.folder.join(format!("{name}.new")));
        fs::write(&new, format!("{value:#}\n"))?;
        fs::rename(new, path)
    }
}

fn process(member: &Member) -> Value {
    let Planned { name, role, admin, command, .. } = member.planned();
    json!({ "name": name, "role": role, "pid": member.pid(), "admin": admin, "command": command })
}
