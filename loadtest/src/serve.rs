//! Servers to compare with. Each does the least that a broadcast needs: what comes on `/publish` goes to every other
//! connection as a frame of its own, nothing is stored, nobody is known, nothing can be resumed.

use std::net::SocketAddr;

use crate::cli::Serve;

mod floor;
mod frame;
mod plain;

/// Runs one of them until it is killed.
pub fn run(serve: &Serve) -> anyhow::Result<()> {
    match serve {
        Serve::Plain { listen } => plain::run(*listen),
        Serve::Floor { listen, merge } => floor::run(*listen, usize::from(*merge)),
    }
}

/// The line that says where it listens, as the start-up lines of Starling do.
fn announce(addr: SocketAddr) {
    println!("listening on ws://{addr}");
}
