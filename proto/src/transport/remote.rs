//! The way to a service across the network: its replicas, and which of them a call goes to.
//!
//! - [`discovery`] finds the replicas and keeps a connection to each.
//! - The method's row in `methods` says which slot a request is about. The replica that rendezvous hashing prefers for
//!   the slot is asked first; if it answers NOT_OWNER, the owner that it names, or the next. An owner that was found is
//!   remembered for its slot, so only the first call after a move goes twice.
//! - A call that the service has not seen (no connection, a server that says goodbye, NOT_OWNER) goes to another replica,
//!   whatever it does. One that was sent and not answered is made again only where the method says that this does no
//!   harm, and only within the `budget`; otherwise its outcome is unknown, and the caller is told so.
//! - All of it happens within the call's deadline.

mod budget;
mod call;
mod choice;
mod connect;
mod discovery;
mod replica;
mod targets;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use model::limits::{RPC_CALLS_MAX, RPC_RESOLVE_MS, RPC_STOP_MS};
use tasks::{Ended, Tasks};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;

use super::Call;
use crate::executor::Executor;
use crate::secret::Secret;
use crate::tls::ClientTls;
use budget::Budget;
use choice::Owners;
use connect::Connector;
use discovery::{Discovery, Known};

pub use discovery::{Resolve, SystemResolver};
pub use targets::{BadTargets, Targets};

/// How the replicas of a service are found and spoken to.
#[derive(Clone)]
pub struct Config {
    /// What the service is called in texts for people.
    pub service: &'static str,
    pub targets: Targets,
    pub secret: Option<Secret>,
    pub tls: Option<ClientTls>,
    pub resolver: Arc<dyn Resolve>,
    /// How often a name is asked for its addresses, about.
    pub resolve_every: Duration,
}

/// The replicas of one service, for any number of clients. Clones are the same.
#[derive(Clone)]
pub struct Remote(Arc<Inner>);

struct Inner {
    service: &'static str,
    targets: Targets,
    secret: Option<Secret>,
    known: watch::Receiver<Known>,
    owners: Owners,
    budget: Budget,
    places: Arc<Semaphore>,
    stats: Stats,
    look: Arc<Notify>,
    /// Discovery, connections, and what belongs to them.
    tasks: Tasks,
}

/// What has happened so far.
#[derive(Debug, Default)]
struct Stats {
    calls: AtomicU64,
    redirects: AtomicU64,
    repeats: AtomicU64,
    refused: AtomicU64,
    lost: AtomicU64,
}

/// The same as numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub calls: u64,
    /// Attempts that were sent to somebody who does not own the slot.
    pub redirects: u64,
    /// Attempts after one that was not sent or not answered.
    pub repeats: u64,
    /// Repeats that the budget did not allow.
    pub refused: u64,
    /// Calls whose outcome is not known.
    pub lost: u64,
}

/// A replica as it is seen from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaState {
    pub address: String,
    pub is_up: bool,
    /// Why not, where that is known.
    pub trouble: Option<String>,
}

impl Config {
    /// Without secret and TLS, on the names of this machine.
    pub fn new(service: &'static str, targets: Targets) -> Self {
        let resolve_every = Duration::from_millis(RPC_RESOLVE_MS);
        Self { service, targets, secret: None, tls: None, resolver: Arc::new(SystemResolver), resolve_every }
    }
}

impl Remote {
    /// Begins to look for replicas and to connect to them, on this runtime.
    pub fn start(config: Config, runtime: Handle) -> Self {
        let Config { service, targets, secret, tls, resolver, resolve_every } = config;
        let (tasks, look) = (Tasks::new("transport"), Arc::new(Notify::new()));
        let executor = Executor::new(runtime, tasks.spawner().clone());
        let (sender, known) = watch::channel(Known::default());
        let discovery = Discovery {
            service,
            targets: targets.clone(),
            resolver,
            every: resolve_every,
            connector: Connector { tls, executor: executor.clone() },
            look: look.clone(),
        };
        let stop = tasks.spawner().stop_token().clone();
        executor.spawn_lasting("the discovery of replicas", async move {
            stop.run_until_cancelled(discovery.run(&sender)).await;
            // The connections end with their replicas.
            sender.send_replace(Known::default());
        });
        Self(Arc::new(Inner {
            service,
            targets,
            secret,
            known,
            owners: Owners::default(),
            budget: Budget::new(),
            places: Arc::new(Semaphore::new(RPC_CALLS_MAX)),
            stats: Stats::default(),
            look,
            tasks,
        }))
    }

    /// The replicas that are known.
    pub fn replicas(&self) -> Vec<ReplicaState> {
        let known = self.0.known.borrow();
        let state = |replica: &Arc<replica::Replica>| ReplicaState {
            address: replica.name().to_string(),
            is_up: replica.is_up(),
            trouble: replica.trouble().map(|why| why.to_string()),
        };
        known.replicas.iter().map(state).collect()
    }

    /// Whether a call would find a replica.
    pub fn is_up(&self) -> bool {
        self.0.known.borrow().replicas.iter().any(|replica| replica.is_up())
    }

    pub fn counts(&self) -> Counts {
        let Stats { calls, redirects, repeats, refused, lost } = &self.0.stats;
        let [calls, redirects, repeats, refused, lost] =
            [calls, redirects, repeats, refused, lost].map(|count| count.load(Ordering::Relaxed));
        Counts { calls, redirects, repeats, refused, lost }
    }

    /// Waits for a task that ends by itself, which only a defect does.
    pub async fn ended(&self) -> Ended {
        self.0.tasks.ended().await
    }

    /// Closes all connections once the calls that are under way are answered. New calls fail.
    pub async fn shutdown(&self) {
        self.0.tasks.shutdown(Duration::from_millis(RPC_STOP_MS)).await;
    }
}

impl Call for Remote {
    fn call(
        &self,
        request: Request<Body>,
        until: Instant,
    ) -> BoxFuture<'static, Result<Response<Body>, Status>> {
        let inner = self.0.clone();
        async move { call::make(&inner, request, until).await }.boxed()
    }
}
