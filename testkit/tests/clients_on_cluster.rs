//! The client libraries on a cluster: two of them are on different gateways, and nobody may notice.

#[path = "clients/main.rs"]
mod clients;
