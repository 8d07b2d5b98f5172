//! A role as a process: the parts of the cluster that it needs, then what is its own, then gRPC; and all of it backwards at
//! the end.
//!
//! `/readyz` says what is being waited for. Once the role has started, it goes by whether everything is there that the
//! role cannot do without.

use std::sync::Arc;

use anyhow::Context as _;
use proto::serving::{Server, Services};
use tasks::{Ended, Tasks};

use super::cluster::Cluster;
use super::{Running, bind, grpc};
use crate::admin::metrics::Readings;
use crate::admin::{Admin, Gate, Readiness};
use crate::role::Role;
use crate::settings::Settings;

/// What is particular to a role.
pub(crate) trait Part: Sized {
    const ROLE: Role;

    /// Opens it; everything that it needs is there.
    async fn open(ground: Ground<'_>) -> anyhow::Result<Self>;

    /// What it serves over gRPC, if anything.
    fn serves(&self) -> Option<Services> {
        None
    }

    /// Whether it has to be called while it ends: others take over what it has.
    fn is_called_to_the_end(&self) -> bool {
        false
    }

    /// What it does once it can be called, before it is ready.
    async fn begin(&mut self, _: Ground<'_>) -> anyhow::Result<()> {
        Ok(())
    }

    /// Says what it lacks of its own that it can't do without.
    fn missing(&self) -> Missing {
        Box::new(|| None)
    }

    /// Answers calls of `starling admin`, or leaves them to others.
    fn answer_calls(&self, admin: &Admin) -> anyhow::Result<()> {
        admin.answers_no_calls();
        Ok(())
    }

    /// What it counts, for `/metrics`.
    fn readings(&self) -> Readings;

    /// Its start-up lines.
    fn lines(&self) -> Vec<String> {
        Vec::new()
    }

    /// What people may want to read after them.
    fn guide(&self) -> String {
        String::new()
    }

    /// Waits for a task that ends by itself, which only a defect does.
    async fn ended(&self) -> Ended;

    /// Ends it: what was accepted is finished.
    async fn shutdown(self) -> anyhow::Result<()>;
}

/// Says what is missing, as long as something is.
pub(crate) type Missing = Box<dyn Fn() -> Option<&'static str> + Send + Sync>;

/// What a part is opened on.
#[derive(Clone, Copy)]
pub(crate) struct Ground<'a> {
    pub(super) settings: &'a Settings,
    pub(super) cluster: &'a Cluster,
    pub(super) gate: &'a Gate,
}

/// A running role.
pub(crate) struct RoleServer<P> {
    admin: Admin,
    cluster: Arc<Cluster>,
    part: P,
    grpc: Option<Server>,
    chores: Tasks,
}

impl<P: Part> RoleServer<P> {
    /// Starts it, which takes as long as something is missing that it needs.
    pub(crate) async fn start(settings: Settings) -> anyhow::Result<Self> {
        let listener = bind("admin", settings.admin_listen)?;
        let admin = Admin::start(listener).context("start the admin listener")?;
        let gate = admin.readiness.clone();
        let cluster = Arc::new(Cluster::begin(&settings, P::ROLE)?);
        admin.add_metrics(cluster.readings());
        cluster.join(&gate).await?;
        let ground = Ground { settings: &settings, cluster: &cluster, gate: &gate };
        let mut part = P::open(ground).await?;
        admin.add_metrics(part.readings());
        let grpc = match (part.serves(), settings.grpc_listen.0) {
            (Some(services), Some(address)) => {
                let server =
                    grpc::start(address, settings.grpc_secret.0.clone(), &settings, services).await?;
                admin.add_metrics(Arc::new(grpc::readings(server.counts())));
                server.set_serving(true).await;
                Some(server)
            }
            _ => None,
        };
        part.begin(ground).await?;
        part.answer_calls(&admin)?;
        gate.set(Readiness::Ready);
        let chores = Tasks::new("process");
        let (watched, missing) = (cluster.clone(), part.missing());
        let watch = async move { watched.watch(&gate, &missing).await };
        chores.spawner().spawn_lasting("the watch over what it needs", watch);
        Ok(Self { admin, cluster, part, grpc, chores })
    }
}

impl<P: Part> Running for RoleServer<P> {
    fn lines(&self) -> Vec<String> {
        let mut lines = vec![format!("admin listening on http://{}", self.admin.addr)];
        lines.extend(self.part.lines());
        lines.extend(self.grpc.as_ref().map(|grpc| format!("grpc listening on {}", grpc.local_addr())));
        lines
    }

    fn guide(&self) -> String {
        self.part.guide()
    }

    async fn failed(&self) -> anyhow::Error {
        let ended = tokio::select! {
            ended = self.admin.ended() => ended,
            ended = self.cluster.ended() => ended,
            ended = self.part.ended() => ended,
            ended = grpc::ended(self.grpc.as_ref()) => ended,
            ended = self.chores.ended() => ended,
        };
        ended.into()
    }

    async fn shutdown(self) -> anyhow::Result<()> {
        // First, so that nothing says "ready" again.
        self.chores.kill().await;
        self.admin.readiness.set(Readiness::Draining);
        let (first, last) =
            if self.part.is_called_to_the_end() { (None, self.grpc) } else { (self.grpc, None) };
        if let Some(grpc) = first {
            grpc.shutdown().await;
        }
        let ended = self.part.shutdown().await;
        if let Some(grpc) = last {
            grpc.shutdown().await;
        }
        self.cluster.shutdown().await;
        self.admin.shutdown().await;
        ended
    }
}
