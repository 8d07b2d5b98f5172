//! Tasks of a service on a runtime that is named, whatever runtime asks for them: callers live on several.

use hyper::rt;
use tasks::Spawner;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Spawns on one runtime. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Executor {
    runtime: Handle,
    spawner: Spawner,
}

impl Executor {
    pub(crate) fn new(runtime: Handle, spawner: Spawner) -> Self {
        Self { runtime, spawner }
    }

    /// See [`Spawner::spawn`].
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<Option<T>> {
        let _runtime = self.runtime.enter();
        self.spawner.spawn(task)
    }

    /// See [`Spawner::spawn_lasting`].
    pub(crate) fn spawn_lasting(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let _runtime = self.runtime.enter();
        self.spawner.spawn_lasting(name, task);
    }

    /// See [`Spawner::spawn_passing`].
    pub(crate) fn spawn_passing(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let _runtime = self.runtime.enter();
        self.spawner.spawn_passing(name, task);
    }
}

impl<F> rt::Executor<F> for Executor
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.spawn(task);
    }
}
