//! What every adapter of a port has to do. An adapter's tests name a maker, and get one test for each property.

pub mod backplane;
pub mod registry;
