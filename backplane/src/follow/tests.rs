//! The driver against the in-process adapter.
