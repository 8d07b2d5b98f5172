//! Threads with a runtime of their own, and the tasks on them.
//!
//! The runtime catches the panic of a task and the thread goes on, with tables that nobody vouches for. So the thread's
//! watch lies where every task of the thread finds it, and what lies in each task takes no memory.

use std::borrow::Cow;
use std::cell::RefCell;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::ended::How;
use crate::owner::Spawner;
use crate::watch::{Watch, Watched};

/// The tasks of a thread. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct LocalTasks(TaskTracker);

/// Tells through the thread's watch when it is dropped by a panic.
struct LocalWatch;

/// The thread has a watch for as long as this is there.
struct Held;

thread_local! {
    static THREAD: RefCell<Option<Watch>> = const { RefCell::new(None) };
}

// === impl Spawner ===

impl Spawner {
    /// Runs the whole life of this thread: that it ends before the service stops is told, and so is a panic of any of its
    /// [`LocalTasks`].
    pub fn run_thread<T>(&self, thread: impl Into<Cow<'static, str>>, life: impl FnOnce() -> T) -> T {
        let watch = self.watch(thread.into(), false);
        THREAD.with_borrow_mut(|held| *held = Some(watch));
        let _held = Held;
        life()
    }
}

// === impl LocalTasks ===

impl LocalTasks {
    /// Spawns on the `LocalSet` that this is called on.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.0.spawn_local(Watched { task: future, watch: LocalWatch });
    }

    /// Waits at most so long until all have ended. Those that are left end with the thread's runtime.
    pub async fn wait(&self, limit: Duration) {
        self.0.close();
        if tokio::time::timeout(limit, self.0.wait()).await.is_err() {
            tracing::warn!(running = self.0.len(), "tasks of a thread have not ended in time");
        }
    }
}

impl Drop for LocalWatch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            THREAD.with_borrow(|watch| watch.iter().for_each(|watch| watch.tell(How::Panicked)));
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(THREAD.take());
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::task::LocalSet;

    use super::*;
    use crate::{Ended, Tasks};

    /// What is told of a thread that runs `life` on a `LocalSet` until the service is stopped.
    fn told(life: impl AsyncFnOnce(&LocalTasks) + Send) -> Option<Ended> {
        let tasks = Tasks::new("service");
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                tasks.spawner().run_thread("shard 1", || {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    LocalSet::new().block_on(&runtime, life(&LocalTasks::default()));
                    tasks.stop();
                });
            });
            // A panic of the thread is what some tests are about.
            let _ = thread.join();
        });
        tasks.ended().now_or_never()
    }

    #[test]
    fn a_thread_that_goes_on_until_the_stop_is_well() {
        assert_eq!(told(async |tasks| tasks.spawn(async {})), None);
    }

    #[test]
    fn a_task_that_panics_is_told_though_its_thread_goes_on() {
        let ended = told(async |tasks| {
            tasks.spawn(async { panic!("the test's") });
            tokio::task::yield_now().await;
        });
        assert_eq!(ended, Some(Ended { service: "service", task: "shard 1".into(), how: How::Panicked }));
    }

    #[test]
    fn a_thread_that_panics_is_told() {
        assert_eq!(told(async |_| panic!("the test's")).map(|ended| ended.how), Some(How::Panicked));
    }

    #[test]
    fn a_watch_takes_no_memory() {
        assert_eq!(size_of::<Watched<[u64; 3], LocalWatch>>(), 24);
    }
}
