//! The way from one gateway of a simulation to another.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use proto::clients::{GatewayClient, local_gateway};
use proto::v1;
use proto::v1::gateway_server::Gateway;
use tokio::runtime::Handle;
use tonic::{Request, Response, Status};

use super::fakes::{Call, Gates};
use crate::giver::Giver;
use crate::neighbours::Ways;

/// Every gateway by its address.
#[derive(Default)]
pub struct Pods(Mutex<HashMap<String, GatewayClient>>);

/// A gateway whose calls can be made to wait or fail.
#[derive(Clone)]
struct Gatekeeper {
    giver: Giver,
    gates: Arc<Gates>,
}

impl Pods {
    pub fn add(&self, address: String, giver: Giver, gates: Arc<Gates>) {
        self.0.lock().insert(address, local_gateway(Gatekeeper { giver, gates }, Handle::current()));
    }
}

impl Ways for Pods {
    fn to(&self, address: &str) -> GatewayClient {
        self.0.lock().get(address).cloned().expect("only addresses of gateways are in the roster")
    }
}

#[tonic::async_trait]
impl Gateway for Gatekeeper {
    async fn take_session(
        &self,
        request: Request<v1::TakeSessionRequest>,
    ) -> Result<Response<v1::TakeSessionReply>, Status> {
        self.gates.pass(Call::TakeAsked, 0).await?;
        let reply = self.giver.take_session(request).await;
        self.gates.pass(Call::TakeAnswered, 0).await?;
        reply
    }
}
