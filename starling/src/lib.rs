//! The binary's parts.

pub mod settings;
