//! What a call does, on every transport: the same suite runs in one process and over sockets. Then what only a network
//! can do to a call.

mod local;
mod network;
mod replica;
mod routing;
mod security;
mod service;
mod serving;
mod suite;
