//! The composition root: configuration, wiring, and the operator's commands. Everything else is in the other crates.
//!
//! - [`settings`] is the one table of settings; [`cli`] the arguments.
//! - [`role`] is what a process runs, and which settings that needs.
//! - [`process`] is a run of the server: logging, runtime, signals, exit code.
//! - [`server`] joins the services, or runs one role of a cluster, and starts and stops them in order; [`Server`] can run
//!   inside a test as well.
//! - [`admin`] is the operator's side of a running server (health, metrics, calls), [`operate`] the commands that call it.
//! - [`servers`] has the commands that look after what a cluster stands on.
//! - [`demo`] makes the demo data and says how to connect.

pub mod admin;
pub mod cli;
pub mod demo;
mod files;
mod logging;
pub mod operate;
pub mod process;
pub mod role;
pub mod server;
pub mod servers;
pub mod settings;
mod traces;

pub use server::Server;
pub use settings::Settings;
