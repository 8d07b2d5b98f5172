//! What each route does: read the request, call one service, show what it answers.

pub(crate) mod applications;
pub(crate) mod auth;
pub(crate) mod channels;
pub(crate) mod directs;
pub(crate) mod gateway;
pub(crate) mod guilds;
pub(crate) mod invites;
pub(crate) mod members;
pub(crate) mod messages;
pub(crate) mod reactions;
pub(crate) mod roles;
pub(crate) mod users;
