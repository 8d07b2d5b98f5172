//! Compiles the `.proto` files with a compiler written in Rust, so that nobody needs `protoc`.

use std::error::Error;

const FILES: [&str; 5] = ["common", "event", "guilds", "messages", "presence"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = FILES.map(|name| format!("starling/v1/{name}.proto"));
    let descriptors = protox::compile(files, ["proto"])?;
    tonic_prost_build::configure().build_transport(false).bytes(".").compile_fds(descriptors)?;
    Ok(())
}
