//! Client libraries that nobody here wrote, against the real program.
//!
//! Each library gets the same scenario: everything that a program on it does in a day, then a TCP reset, a resume, and what
//! it missed. The server's public gateway address is a proxy, so that IDENTIFY and RESUME both run through what breaks.

#![expect(clippy::unwrap_used, reason = "a test ends where it unwraps")]

mod discordjs;
mod driver;
mod house;
mod twilight;
