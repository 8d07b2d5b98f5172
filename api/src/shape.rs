//! Objects of the public API that exist nowhere but in answers to requests.

mod application;
mod guild;
mod invite;

pub(crate) use application::{ApplicationObject, bits_of_flags};
pub(crate) use guild::{Details, UserGuildObject};
pub(crate) use invite::{Detail, InviteObject};
