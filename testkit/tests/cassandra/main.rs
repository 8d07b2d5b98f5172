//! The storage half of a cluster on a real server: the conformance suites, and what only a server can do to it.
//!
//! `cargo test -p testkit --test cassandra` needs the server that `make servers` installs, and Java 17.

mod migrate;
mod server;
