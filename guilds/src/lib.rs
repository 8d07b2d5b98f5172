//! The directory: users, their tokens and applications, guilds, channels, roles, members, overwrites and invites.
//!
//! Every change takes one way, whoever makes it ([`changes`]): check → next revision → one batch of rows together with
//! one outbox row that holds all events of the change → commit (fsync) → publish each event in order → answer. A process
//! that is killed between any two of these has either done nothing, or left an outbox row that the next start publishes.
//!
//! - A *guild* is an actor ([`actor`]): one task that makes its changes one after another, and whose committed state
//!   (guild, roles, channels) readers share. Members are rows: a guild may have a million.
//! - *Users* have no task; their changes are ordered by striped locks ([`accounts`]).
//! - A *private channel* belongs to the lower id of its two users ([`private`]).
//! - [`rules`] says who may do what, [`validate`] what a field may hold; both are pure.
//! - [`store`] is the port to the rows, with its adapters.
//!
//! [`Directory`] is the whole service: open it, and serve it as `Accounts` and `Guilds` of `proto`.

mod accounts;
mod actor;
mod changes;
mod channels;
mod cleanup;
mod command;
mod directory;
mod events;
mod guild;
mod invites;
mod late;
mod members;
mod membership;
mod overwrites;
mod pages;
mod private;
mod roles;
mod rules;
mod seed;
mod service;
mod slots;
mod state;
pub mod store;
#[cfg(test)]
mod testing;
mod validate;

pub use accounts::passwords::PasswordCost;
pub use directory::{Config, Directory, OpenError};
