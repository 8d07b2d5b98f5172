//! The binary as people run it: real processes, real sockets, a data directory of their own.

#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod admin;
mod config;
mod demo;
mod grpc;
mod health;
mod roles;
mod server;
mod signals;
