//! The HTTP edge: Discord's REST API (v10) in front of Starling's services.
//!
//! A request goes through one pipeline ([`app`]): the path is normalised, the caller's address is checked, the route is
//! found in one table ([`routes`]), the token is authenticated, limits are counted, the body is read under a cap and a
//! timeout, and a short handler turns it into one call of a service. Nothing is kept here but counters, so any number of
//! replicas can stand side by side.
//!
//! Clients differ a lot in what they send and trip over small things in what they get: `json` reads leniently and says
//! precisely what is wrong; `reply` and `error` are the only places that make answers.

pub mod app;
mod auth;
mod body;
mod call;
pub mod config;
mod cors;
mod error;
mod handlers;
mod json;
mod multipart;
mod path;
mod query;
mod ratelimit;
mod reply;
mod routes;
pub mod server;
mod shape;

pub use app::App;
pub use config::{Config, Limits, WindowLimit};
pub use ratelimit::{Count, GlobalLimit, LocalLimit, SlicedLimit};
pub use routes::{RouteInfo, route_list};
pub use server::Api;
