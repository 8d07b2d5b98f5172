//! Where calls arrive, whatever connection they come by.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service as _;

use super::services::{Entry, Kind, Services};
use super::shed;
use super::work::Work;
use crate::secret::Secret;

/// Takes calls.
pub(super) struct Desk {
    services: Services,
    secret: Option<Secret>,
    places: Arc<Semaphore>,
    work: Work,
    connections: AtomicU64,
    calls: AtomicU64,
    strangers: AtomicU64,
    shed: AtomicU64,
}

/// What a server has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that were accepted.
    pub connections: u64,
    /// Calls that reached a service.
    pub calls: u64,
    /// Calls without the secret.
    pub strangers: u64,
    /// Calls that came when there were too many.
    pub shed: u64,
}

impl Desk {
    pub(super) fn new(services: Services, secret: Option<Secret>, calls_max: usize, work: Work) -> Self {
        let places = Arc::new(Semaphore::new(calls_max));
        let [connections, calls, strangers, shed] = [(); 4].map(|()| AtomicU64::new(0));
        Self { services, secret, places, work, connections, calls, strangers, shed }
    }

    /// The names of the services that are ours.
    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        let ours = |entry: &&Entry| entry.kind == Kind::Unary;
        self.services.all.iter().filter(ours).map(|entry| entry.name)
    }

    pub(super) fn counts(&self) -> Counts {
        let [connections, calls, strangers, shed] =
            [&self.connections, &self.calls, &self.strangers, &self.shed]
                .map(|count| count.load(Ordering::Relaxed));
        Counts { connections, calls, strangers, shed }
    }

    pub(super) fn count_connection(&self) {
        count(&self.connections);
    }

    /// Waits so long for services that work on calls.
    pub(super) async fn shutdown(&self, grace: Duration) {
        self.work.shutdown(grace).await;
    }

    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let answer = self.pass(request.map(Body::new)).await;
        answer.unwrap_or_else(|status| status.into_http())
    }

    async fn pass(&self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let entry = self.find(request.uri().path());
        if entry.is_none_or(|entry| entry.kind != Kind::Open)
            && let Some(secret) = &self.secret
        {
            secret.check(request.headers()).inspect_err(|_| count(&self.strangers))?;
        }
        let entry = entry.ok_or_else(|| self.no_service())?;
        let mut service = entry.service.clone();
        if entry.kind != Kind::Unary {
            let Ok(response) = service.call(request).await;
            return Ok(response);
        }
        let place = self.places.clone().try_acquire_owned().map_err(|_| {
            count(&self.shed);
            shed()
        })?;
        count(&self.calls);
        self.work.clone().run(service, request, place).await
    }

    fn find(&self, path: &str) -> Option<&Entry> {
        let (name, _method) = path.strip_prefix('/')?.split_once('/')?;
        self.services.all.iter().find(|entry| entry.name == name)
    }

    fn no_service(&self) -> Status {
        let names: Vec<_> = self.services.all.iter().map(|entry| entry.name).collect();
        Status::unimplemented(format!("no such service here; there are {}", names.join(", ")))
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
