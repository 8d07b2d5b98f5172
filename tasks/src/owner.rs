//! The owner of a service's tasks, and the handle by which they are spawned.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use model::limits::TASKS_KILL_MS;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ended::{Ended, First};
use crate::watch::{Watch, Watched};

/// The tasks of one service, owned: dropped, it kills them.
#[derive(Debug)]
pub struct Tasks {
    spawner: Spawner,
}

/// Spawns tasks of a service. Clones are the same, and own nothing.
#[derive(Debug, Clone)]
pub struct Spawner {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) service: &'static str,
    pub(crate) first: First,
    tracker: TaskTracker,
    /// The first step: finish, and return. Cancelled with `kill`.
    pub(crate) stop: CancellationToken,
    /// The second: drop what still runs.
    kill: CancellationToken,
}

// === impl Tasks ===

impl Tasks {
    /// None yet. `service` is how whoever reads a log or an error knows it.
    #[expect(clippy::disallowed_methods, reason = "here is what everybody else is to use")]
    pub fn new(service: &'static str) -> Self {
        let kill = CancellationToken::new();
        let stop = kill.child_token();
        let shared = Shared { service, first: First::default(), tracker: TaskTracker::new(), stop, kill };
        Self { spawner: Spawner { shared: Arc::new(shared) } }
    }

    pub fn spawner(&self) -> &Spawner {
        &self.spawner
    }

    /// Waits until a task has ended by itself that must not. While all is well, and once the service stops, it waits for
    /// ever.
    pub async fn ended(&self) -> Ended {
        self.spawner.shared.first.wait().await
    }

    /// The first step: from now on every task may end.
    pub fn stop(&self) {
        self.spawner.shared.stop.cancel();
    }

    /// Both steps: stops, and kills what has not ended after `grace`. Answers whether all are gone then.
    pub async fn shutdown(&self, grace: Duration) -> bool {
        self.stop();
        let Shared { service, tracker, .. } = &*self.spawner.shared;
        tracker.close();
        if timeout(grace, tracker.wait()).await.is_ok() {
            return true;
        }
        tracing::warn!(service, running = tracker.len(), "tasks have not ended in time and are killed");
        self.kill().await
    }

    /// The second step alone. Answers whether all are gone: a task that does not wait for anything cannot be killed.
    pub async fn kill(&self) -> bool {
        let Shared { service, tracker, kill, .. } = &*self.spawner.shared;
        kill.cancel();
        tracker.close();
        let all_ended = timeout(Duration::from_millis(TASKS_KILL_MS), tracker.wait()).await.is_ok();
        if !all_ended {
            tracing::warn!(service, running = tracker.len(), "killed tasks go on and are left behind");
        }
        all_ended
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.spawner.shared.kill.cancel();
    }
}

// === impl Spawner ===

impl Spawner {
    /// Spawns a task that runs until the service stops.
    pub fn spawn_lasting(
        &self,
        task: impl Into<Cow<'static, str>>,
        future: impl Future<Output = ()> + Send + 'static,
    ) {
        let watch = self.watch(task.into(), false);
        self.spawn(Watched { task: future, watch });
    }

    /// Spawns a task that comes to an end. A panic is none.
    pub fn spawn_passing(
        &self,
        task: impl Into<Cow<'static, str>>,
        future: impl Future<Output = ()> + Send + 'static,
    ) {
        let watch = self.watch(task.into(), true);
        self.spawn(Watched { task: future, watch });
    }

    /// Spawns a task whose panic concerns nobody but who waits for it. Its answer is `None` if it was killed.
    pub fn spawn<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<Option<T>> {
        let Shared { tracker, kill, .. } = &*self.shared;
        tracker.spawn(kill.clone().run_until_cancelled_owned(future))
    }

    /// The same for work that blocks a thread. It cannot be killed.
    pub fn spawn_blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        self.shared.tracker.spawn_blocking(work)
    }

    /// Whether the service stops.
    pub fn is_stopping(&self) -> bool {
        self.shared.stop.is_cancelled()
    }

    /// Cancelled when the service stops.
    pub fn stop_token(&self) -> &CancellationToken {
        &self.shared.stop
    }

    pub(crate) fn watch(&self, task: Cow<'static, str>, may_return: bool) -> Watch {
        Watch { shared: Arc::clone(&self.shared), task, may_return }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures_util::FutureExt;

    use super::*;
    use crate::How;

    const GRACE: Duration = Duration::from_secs(1);

    /// Lets everything happen that can happen now.
    async fn settle() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_task_that_returns_or_panics_is_named_also_to_who_asks_later() {
        let tasks = Tasks::new("service");
        tasks.spawner().spawn_passing("one that is done", async {});
        assert!(tasks.spawner().spawn(async { panic!("the test's") }).await.is_err());
        settle().await;
        assert_eq!(tasks.ended().now_or_never(), None);
        tasks.spawner().spawn_passing("task 7", async { panic!("the test's") });
        settle().await;
        tasks.spawner().spawn_lasting("another", async {});
        let first = Ended { service: "service", task: "task 7".into(), how: How::Panicked };
        assert_eq!(tasks.ended().await, first);
        settle().await;
        assert_eq!(tasks.ended().await, first);
        assert_eq!(first.to_string(), "the service cannot go on: task 7 has panicked; see the log above");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lasting_task_that_returns_has_ended_by_itself() {
        let tasks = Tasks::new("service");
        tasks.spawner().spawn_lasting("its keeper", async {});
        assert_eq!(tasks.ended().await.how, How::Returned);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_stop_tasks_have_their_time_and_none_has_ended_by_itself() {
        let tasks = Tasks::new("service");
        let stop = tasks.spawner().stop_token().clone();
        let (done, finished) = tokio::sync::oneshot::channel();
        tasks.spawner().spawn_lasting("its keeper", async move {
            stop.cancelled().await;
            tokio::time::sleep(GRACE / 2).await;
            done.send(()).unwrap();
        });
        assert!(tasks.shutdown(GRACE).await);
        assert_eq!(finished.now_or_never(), Some(Ok(())));
        assert_eq!(tasks.ended().now_or_never(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_not_ended_after_the_grace_is_killed() {
        let tasks = Tasks::new("service");
        tasks.spawner().spawn_lasting("its keeper", pending());
        let killed = tasks.spawner().spawn(pending::<()>());
        let begun = tokio::time::Instant::now();
        assert!(tasks.shutdown(GRACE).await);
        assert_eq!(begun.elapsed(), GRACE);
        assert_eq!(killed.await.unwrap(), None);
        assert_eq!(tasks.spawner().spawn(async {}).await.unwrap(), None, "nothing is begun afterwards");
        assert_eq!(tasks.ended().now_or_never(), None);
    }

    #[tokio::test]
    async fn what_cannot_be_killed_is_told() {
        let tasks = Tasks::new("service");
        let (end, ended) = std::sync::mpsc::sync_channel::<()>(0);
        tasks.spawner().spawn_blocking(move || ended.recv().is_err());
        tokio::time::pause();
        // By itself paused time stands still while a thread is blocked.
        let passes = tokio::time::advance(Duration::from_millis(TASKS_KILL_MS + 1));
        let (all_ended, ()) = tokio::join!(tasks.kill(), passes);
        assert!(!all_ended);
        drop(end);
    }

    #[tokio::test(start_paused = true)]
    async fn with_their_owner_tasks_are_gone() {
        let tasks = Tasks::new("service");
        let spawner = tasks.spawner().clone();
        let task = spawner.spawn(pending::<()>());
        drop(tasks);
        assert_eq!(task.await.unwrap(), None);
        assert!(spawner.is_stopping());
    }
}
