//! The binary as people run it: real processes, real sockets, a data directory of their own.

mod admin;
mod config;
mod demo;
mod health;
mod server;
mod signals;
