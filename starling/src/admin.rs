//! The operator's side of a running server: `/livez`, `/readyz`, `/metrics`, and the calls of `starling admin`.
//!
//! It listens from the first moment to the last, so it can say why the server is not ready. The calls need the token of
//! `admin.json`; the rest is open to whoever reaches the listener, which is not for the public.

pub mod calls;
mod credentials;
mod handlers;
mod http;
pub mod metrics;
mod process_metrics;

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use model::limits::ADMIN_STOP_MS;
use parking_lot::Mutex;
use tasks::{Ended, Tasks};
use tokio::net::TcpListener;

use crate::server::DirectoryClients;
pub use credentials::Credentials;
use handlers::Handlers;
pub use handlers::new_password;
use metrics::Readings;

/// Whether clients can be served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// What is being done.
    Starting(&'static str),
    /// What is missing: another process that this one needs.
    Waiting(Cow<'static, str>),
    Ready,
    Draining,
}

/// Holds the readiness. Clones are the same.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Mutex<Readiness>>);

impl Gate {
    pub fn set(&self, readiness: Readiness) {
        *self.0.lock() = readiness;
    }

    fn get(&self) -> Readiness {
        self.0.lock().clone()
    }
}

/// The running admin listener.
pub struct Admin {
    pub addr: SocketAddr,
    pub readiness: Gate,
    shared: Arc<Shared>,
    /// The accept loop, and one for each connection.
    tasks: Tasks,
}

/// What its requests share.
struct Shared {
    readiness: Gate,
    readings: Mutex<Vec<Readings>>,
    /// `None` inside where it answers none.
    calls: OnceLock<Option<Calls>>,
}

struct Calls {
    handlers: Handlers,
    token: String,
}

impl Admin {
    /// Answers on this listener until [`Admin::shutdown`].
    pub fn start(listener: TcpListener) -> io::Result<Self> {
        let addr = listener.local_addr()?;
        let readiness = Gate(Arc::new(Mutex::new(Readiness::Starting("the process has just begun"))));
        let shared = Arc::new(Shared {
            readiness: readiness.clone(),
            readings: Mutex::default(),
            calls: OnceLock::new(),
        });
        let tasks = Tasks::new("admin listener");
        let accept = http::accept(listener, shared.clone(), tasks.spawner().clone());
        tasks.spawner().spawn_lasting("its accept loop", accept);
        Ok(Self { addr, readiness, shared, tasks })
    }

    /// More to show at `/metrics`.
    pub fn add_metrics(&self, readings: Readings) {
        self.shared.readings.lock().push(readings);
    }

    /// From now on answers calls with this token.
    pub fn serve_calls(&self, clients: DirectoryClients, credentials: &Credentials) {
        let calls = Calls { handlers: Handlers { clients }, token: credentials.token.clone() };
        if self.shared.calls.set(Some(calls)).is_err() {
            tracing::error!("the admin listener answers calls already");
        }
    }

    /// Calls are answered by another process, not by this one.
    pub fn answers_no_calls(&self) {
        self.shared.calls.get_or_init(|| None);
    }

    /// Waits for a task that ends by itself, which only a defect does.
    pub async fn ended(&self) -> Ended {
        self.tasks.ended().await
    }

    /// Ends it; requests that are under way are finished.
    pub async fn shutdown(self) {
        self.tasks.shutdown(Duration::from_millis(ADMIN_STOP_MS)).await;
    }
}
