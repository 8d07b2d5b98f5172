//! The client libraries on a backplane that loses, repeats, delays and reorders: nobody may notice.

#[path = "clients/main.rs"]
mod clients;
