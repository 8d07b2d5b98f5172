//! The HTTP edge over real sockets, with services that are fakes behind the clients of `proto`.

mod bodies;
mod client;
mod connections;
mod fakes;
mod fuzz;
mod limits;
mod shapes;
