//! Serves services of `proto` across the network: gRPC over HTTP/2, with TLS where it is wanted.
//!
//! ```ignore
//! let services = Services::new().with(clients::accounts_server(directory.clone()));
//! let server = Server::start(listener, services, Config::default()).await?;
//! server.set_serving(true).await;
//! ```
//!
//! A call passes, in this order: the secret (`Secret`), the limit of calls (what comes beyond is told to come again, before
//! anything is read), its deadline, and then the service, in a task of its own ([`Work`], the same as for local calls).
//! `grpc.health.v1.Health` answers for each service and needs no secret, for probes can't send one; reflection
//! (`grpc.reflection.v1`) does.
//!
//! A connection ends with a goodbye (GOAWAY): callers make new calls elsewhere, and what is under way is finished. That
//! happens at the end of the server, and to every connection when it reaches its age, so that replicas that are new get
//! callers. Ages are spread, or all callers would come back at once.

mod accept;
mod desk;
mod linger;
mod services;
mod work;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use model::limits::{
    RPC_CONNECTION_AGE_MS, RPC_CONNECTION_GRACE_MS, RPC_CONNECTIONS_MAX, RPC_SERVER_CALLS_MAX, RPC_STOP_MS,
    UNAVAILABLE_RETRY_MS,
};
use tasks::{Ended, Tasks};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tonic::{Code, Status};

use crate::executor::Executor;
use crate::failure::{Failure, FailureKind};
use crate::secret::Secret;
use crate::tls::ServerTls;
use accept::Acceptor;
use desk::Desk;

pub use desk::Counts;
pub use services::Services;
pub use work::Servable;
pub(crate) use work::Work;

/// Who may call, and how much.
#[derive(Clone)]
pub struct Config {
    /// Absent: whoever reaches the listener may call.
    pub secret: Option<Secret>,
    pub tls: Option<ServerTls>,
    pub connections_max: usize,
    pub calls_max: usize,
    pub connection_age: Duration,
    /// What the calls of a connection get to finish when its time is over.
    pub connection_grace: Duration,
}

/// A server that is running.
pub struct Server {
    local_addr: SocketAddr,
    desk: Arc<Desk>,
    health: tonic_health::server::HealthReporter,
    /// The accept loop, connections, and what belongs to them.
    tasks: Tasks,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            secret: None,
            tls: None,
            connections_max: RPC_CONNECTIONS_MAX,
            calls_max: RPC_SERVER_CALLS_MAX,
            connection_age: Duration::from_millis(RPC_CONNECTION_AGE_MS),
            connection_grace: Duration::from_millis(RPC_CONNECTION_GRACE_MS),
        }
    }
}

impl Server {
    /// Serves on a bound listener until [`Server::shutdown`], on this runtime. Its health is "not serving" until
    /// [`Server::set_serving`].
    pub async fn start(listener: TcpListener, services: Services, config: Config) -> io::Result<Self> {
        let local_addr = listener.local_addr()?;
        let (health, services) = services.with_health();
        let runtime = Handle::current();
        let tasks = Tasks::new("gRPC server");
        let (executor, stop) =
            (Executor::new(runtime.clone(), tasks.spawner().clone()), tasks.spawner().stop_token().clone());
        let desk = Arc::new(Desk::new(services, config.secret.clone(), config.calls_max, Work::new(runtime)));
        let acceptor = Acceptor::new(config, desk.clone(), executor.clone(), stop);
        executor.spawn_lasting("its accept loop", acceptor.run(listener));
        let server = Self { local_addr, desk, health, tasks };
        server.set_serving(false).await;
        Ok(server)
    }

    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What the health service answers, for each service and the whole.
    pub async fn set_serving(&self, is_serving: bool) {
        use tonic_health::ServingStatus::{NotServing, Serving};
        let status = if is_serving { Serving } else { NotServing };
        for name in self.desk.names().chain([""]) {
            self.health.set_service_status(name, status).await;
        }
    }

    /// What it counts; usable after the server has ended.
    pub fn counts(&self) -> impl Fn() -> Counts + Send + Sync + use<> {
        let desk = self.desk.clone();
        move || desk.counts()
    }

    /// Waits for a task that ends by itself, which only a defect does.
    pub async fn ended(&self) -> Ended {
        self.tasks.ended().await
    }

    /// Takes no further calls, and ends when those that are under way are answered, or when their time is over.
    pub async fn shutdown(self) {
        self.set_serving(false).await;
        let grace = Duration::from_millis(RPC_STOP_MS);
        self.tasks.shutdown(grace).await;
        // Nobody waits for these any more.
        self.desk.shutdown(grace).await;
    }
}

/// The answer of a server that has too much to do: nothing was done.
fn shed() -> Status {
    let failure = Failure::unavailable("too many calls at once, nothing was done", UNAVAILABLE_RETRY_MS);
    failure.into_status(Some(Code::ResourceExhausted))
}

/// Whether it is that answer, and not a caller's own limit.
pub(crate) fn is_shed(status: &Status) -> bool {
    status.code() == Code::ResourceExhausted && Failure::from(status.clone()).kind == FailureKind::Unavailable
}
