//! The gateway's protocol, payload by payload, against the real program.

mod bad_clients;
mod close_codes;
mod fuzz;
mod lifecycle;
mod resume;
mod walls;
