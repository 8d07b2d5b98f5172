//! Tasks that a service cannot go on without: the first that ends by itself is told of.
//!
//! A task that dies is silent: its work is just not done any more. A watermark that stands still, or a view of
//! permissions that is not fed, shows hours later and elsewhere. So a service runs such tasks through its [`Supervisor`],
//! and whoever started the service waits for [`Supervisor::ended`] and ends the process with that name.
//!
//! Nothing here starts a task: the service's own tracker does, and it waits for them at shutdown.

use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Watches the tasks of one service. Clones are the same.
#[derive(Clone)]
pub struct Supervisor {
    stop: CancellationToken,
    first: Arc<watch::Sender<Option<&'static str>>>,
}

/// Lies in a task, and reports its end.
struct Watch {
    supervisor: Supervisor,
    name: &'static str,
    /// Whether it may return; it may never panic.
    may_return: bool,
}

// === impl Supervisor ===

impl Supervisor {
    /// Once `stop` is cancelled tasks may end.
    pub fn new(stop: CancellationToken) -> Self {
        Self { stop, first: Arc::new(watch::Sender::new(None)) }
    }

    /// The task as it is to be spawned; it runs until the service stops.
    pub fn lasting<F: Future<Output = ()>>(
        &self,
        name: &'static str,
        task: F,
    ) -> impl Future<Output = ()> + use<F> {
        self.watch(name, false, task)
    }

    /// The same for a task that comes to an end. A panic is none.
    pub fn passing<F: Future<Output = ()>>(
        &self,
        name: &'static str,
        task: F,
    ) -> impl Future<Output = ()> + use<F> {
        self.watch(name, true, task)
    }

    fn watch<F: Future<Output = ()>>(
        &self,
        name: &'static str,
        may_return: bool,
        task: F,
    ) -> impl Future<Output = ()> + use<F> {
        let watch = Watch { supervisor: self.clone(), name, may_return };
        async move {
            // The task is dropped first: at its end nothing of it is left.
            let _watch = watch;
            task.await;
        }
    }

    /// Waits until a task has ended by itself; which one it was. At a shutdown none does.
    pub async fn ended(&self) -> &'static str {
        let mut first = self.first.subscribe();
        let ended = first.wait_for(Option::is_some).await.map(|name| *name);
        match ended {
            Ok(Some(name)) => name,
            _ => std::future::pending().await,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let Self { supervisor, name, may_return } = self;
        if supervisor.stop.is_cancelled() || (*may_return && !std::thread::panicking()) {
            return;
        }
        tracing::error!(task = *name, "a task has ended that the service cannot go on without");
        supervisor.first.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(*name);
            is_first
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::{task::JoinSet, time::timeout};

    fn supervisor() -> (CancellationToken, Supervisor, JoinSet<()>) {
        let stop = CancellationToken::new();
        (stop.clone(), Supervisor::new(stop), JoinSet::new())
    }

    async fn ended(supervisor: &Supervisor) -> Option<&'static str> {
        timeout(Duration::from_millis(200), supervisor.ended()).await.ok()
    }

    #[tokio::test]
    async fn the_first_task_that_returns_or_panics_is_named() {
        let (_, supervisor, mut tasks) = supervisor();
        tasks.spawn(supervisor.passing("done", async {}));
        tasks.join_next().await.unwrap().unwrap();
        assert_eq!(ended(&supervisor).await, None);
        tasks.spawn(supervisor.passing("panicked", async { panic!("the test's") }));
        tasks.join_next().await.unwrap().unwrap_err();
        tasks.spawn(supervisor.lasting("returned", async {}));
        tasks.join_next().await.unwrap().unwrap();
        assert_eq!(ended(&supervisor).await, Some("panicked"));
        assert_eq!(ended(&supervisor.clone()).await, Some("panicked"), "who asks later is told too");
    }

    #[tokio::test]
    async fn at_a_shutdown_nothing_ends_by_itself() {
        let (stop, supervisor, mut tasks) = supervisor();
        tasks.spawn(supervisor.lasting("lasting", stop.clone().cancelled_owned()));
        stop.cancel();
        tasks.join_next().await.unwrap().unwrap();
        assert_eq!(ended(&supervisor).await, None);
    }
}
