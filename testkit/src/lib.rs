//! What tests share: faulty adapters, and the suites that every adapter of a port has to pass.

pub mod binary;
pub mod cassandra;
pub mod cluster;
pub mod conformance;
mod daemon;
pub mod faulty;
pub mod gateway_client;
pub mod leases;
pub mod nats;
pub mod proc;
pub mod proxy;
pub mod redis;
pub mod rest;
pub mod server;
pub mod switch;
pub mod traffic;
pub mod tunnel;
pub mod ws;
