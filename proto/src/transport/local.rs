//! The way to a service in the same process.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use tokio::runtime::Handle;
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;

use super::Call;
use crate::serving::{Servable, Work};

pub(super) struct Local<S> {
    service: S,
    work: Work,
}

impl<S: Servable> Local<S> {
    pub(super) fn new(service: S, runtime: Handle) -> Self {
        Self { service, work: Work::new(runtime) }
    }
}

impl<S: Servable> Call for Local<S> {
    fn call(
        &self,
        request: Request<Body>,
        _until: Instant,
    ) -> BoxFuture<'static, Result<Response<Body>, Status>> {
        // The deadline travels in the request, as it does on the wire.
        self.work.clone().run(self.service.clone(), request, ()).boxed()
    }
}
