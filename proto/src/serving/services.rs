//! The services of a server, by their names.

use std::convert::Infallible;

use http::{Request, Response};
use tonic::body::Body;
use tonic::server::NamedService;
use tower::util::BoxCloneSyncService;

use super::work::Servable;
use tonic_health::server::{HealthReporter, health_reporter};

pub(super) type Boxed = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// What a server serves.
#[derive(Clone, Default)]
pub struct Services {
    pub(super) all: Vec<Entry>,
}

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) service: Boxed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One of ours: calls with one request and one answer.
    Unary,
    /// Answers with streams, which have no deadline.
    Stream,
    /// The same, and needs no secret.
    Open,
}

impl Services {
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves this one too.
    pub fn with<S: Servable + NamedService>(self, service: S) -> Self {
        self.add(Kind::Unary, service)
    }

    /// What there is up to here, described: reflection in both versions that clients ask for.
    pub fn with_reflection(self) -> Self {
        let builder = |own: &'static str| {
            let builder = tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(crate::DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
            let names = self.all.iter().map(|entry| entry.name).chain([HEALTH, own]);
            names.fold(builder, tonic_reflection::server::Builder::with_service_name)
        };
        let v1 = builder(REFLECTION).build_v1().expect("the build has made the descriptors");
        let v1alpha = builder(REFLECTION_ALPHA).build_v1alpha().expect("the build has made the descriptors");
        self.add(Kind::Stream, v1).add(Kind::Stream, v1alpha)
    }

    pub(super) fn with_health(self) -> (HealthReporter, Self) {
        let (reporter, service) = health_reporter();
        (reporter, self.add(Kind::Open, service))
    }

    fn add<S: Servable + NamedService>(mut self, kind: Kind, service: S) -> Self {
        self.all.push(Entry { name: S::NAME, kind, service: BoxCloneSyncService::new(service) });
        self
    }
}

/// What is described beside our own services.
const HEALTH: &str = "grpc.health.v1.Health";
const REFLECTION: &str = "grpc.reflection.v1.ServerReflection";
const REFLECTION_ALPHA: &str = "grpc.reflection.v1alpha.ServerReflection";
