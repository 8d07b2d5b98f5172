//! The suite on a service in this process.

use async_trait::async_trait;
use proto::{Transport, clients};
use tokio::runtime::Handle;

use crate::service::Scripted;
use crate::suite::{Rig, transport_suite};

struct Local(Scripted);

#[async_trait]
impl Rig for Local {
    async fn start() -> Self {
        Self(Scripted::new("one"))
    }

    fn transport(&self) -> Transport {
        Transport::local(clients::messages_server(self.0.clone()), Handle::current())
    }

    fn service(&self) -> &Scripted {
        &self.0
    }
}

transport_suite!(Local);
