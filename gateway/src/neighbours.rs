//! The way to other gateways.

use std::sync::Arc;

use proto::clients::GatewayClient;

/// Where others call this pod, and how it calls them.
#[derive(Clone)]
pub struct Neighbours {
    /// `host:port`, which the roster tells.
    pub address: String,
    pub ways: Arc<dyn Ways>,
}

/// The port to other gateways.
pub trait Ways: Send + Sync + 'static {
    /// A client of the gateway at this address, `host:port`.
    fn to(&self, address: &str) -> GatewayClient;
}
