//! What tests share: faulty adapters, and the suites that every adapter of a port has to pass.

pub mod binary;
pub mod cassandra;
pub mod conformance;
pub mod faulty;
pub mod gateway_client;
pub mod nats;
pub mod proc;
pub mod proxy;
pub mod rest;
pub mod server;
mod watched;
pub mod ws;
