//! `admin.json`: where the running server's admin listener is, and the token for it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::files;

const FILE: &str = "admin.json";

/// What `starling admin` needs to reach a server. The token is new at each start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Credentials {
    pub url: String,
    pub token: String,
}

impl Credentials {
    pub fn new(address: SocketAddr) -> Self {
        let ip = if address.ip().is_unspecified() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { address.ip() };
        let token: String = model::entropy::bytes::<32>().iter().map(|byte| format!("{byte:02x}")).collect();
        Self { url: format!("http://{}", SocketAddr::new(ip, address.port())), token }
    }

    pub fn write(&self, data_dir: &Path) -> io::Result<()> {
        files::write_private(&data_dir.join(FILE), self)
    }

    /// Those of the server that runs on this directory, or ended there without cleaning up.
    pub fn read(data_dir: &Path) -> io::Result<Option<Self>> {
        files::read(&data_dir.join(FILE))
    }

    pub fn remove(data_dir: &Path) -> io::Result<()> {
        match std::fs::remove_file(data_dir.join(FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
