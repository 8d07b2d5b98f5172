//! `make cluster`: a whole cluster on this machine, for people. Ctrl-C ends it.
//!
//! `CLUSTER_DIR` names its folder, `./starling-cluster` where it does not.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use testkit::cluster::{Cluster, Options};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

#[tokio::main]
async fn main() -> ExitCode {
    let folder = env::var_os("CLUSTER_DIR").map_or_else(|| "starling-cluster".into(), PathBuf::from);
    match run(folder).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(folder: PathBuf) -> std::io::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let began = Instant::now();
    let started = tokio::select! {
        started = Cluster::start(Options::full(folder)) => started?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    let Some(cluster) = started else {
        return Err(std::io::Error::other(
            "a server is missing, as said above: `make servers` installs them",
        ));
    };
    let (demo, folder) = (&cluster.demo, cluster.folder().display());
    println!("\nready after {:.1} s\n", began.elapsed().as_secs_f64());
    for (what, addresses) in [("api", &demo.apis), ("gateway", &demo.gateways)] {
        addresses.iter().for_each(|address| println!("  {what:<8} {address}"));
    }
    println!(
        "\nUsers, ids and tokens: {folder}/demo.json. What runs: {folder}/processes.json. Ctrl-C ends it.\n"
    );
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    println!("\nending");
    cluster.stop().await;
    Ok(())
}
