//! The gateway's protocol, payload by payload, against the real program.

#![expect(clippy::unwrap_used, reason = "a test ends where it unwraps")]

mod admission;
mod bad_clients;
mod close_codes;
mod doors;
mod encodings;
mod fuzz;
mod lifecycle;
mod private;
mod resume;
mod voice;
mod walls;
