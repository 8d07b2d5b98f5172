//! Who notices that a part of the gateway has ended by itself.
//!
//! Each part that must not end holds a [`Guard`]: dropped before its stop was asked for (it returned, or panicked), it
//! tells. A shard runs thousands of tasks whose panics the runtime catches; each of them has a [`Watch`], which takes no
//! memory and tells through the guard of its thread.

use std::cell::RefCell;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::error;

/// A part of the gateway that has ended although nobody asked it to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the gateway's {part} {how}; see the log above, and restart the process")]
pub struct Ended {
    pub part: String,
    how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Returned,
    Panicked,
}

/// The first part that has ended by itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Supervisor(Arc<watch::Sender<Option<Ended>>>);

/// Tells when it is dropped too early.
#[derive(Debug)]
pub(crate) struct Guard {
    part: String,
    supervisor: Supervisor,
    stop: CancellationToken,
}

/// Tells when it is dropped by a panic on a guarded thread.
pub(crate) struct Watch;

thread_local! {
    static GUARD: RefCell<Option<Guard>> = const { RefCell::new(None) };
}

impl Supervisor {
    pub(crate) fn guard(&self, part: impl Into<String>, stop: &CancellationToken) -> Guard {
        Guard { part: part.into(), supervisor: self.clone(), stop: stop.clone() }
    }

    /// Waits for the first part to end by itself.
    pub(crate) async fn ended(&self) -> Ended {
        let mut ended = self.0.subscribe();
        match ended.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(ended)) => ended.clone(),
            // The sender is this one's own, so it is there and the value is.
            _ => std::future::pending().await,
        }
    }
}

impl Guard {
    /// Guards this thread: a panic of one of its tasks is told as well.
    pub(crate) fn hold_thread(self) {
        GUARD.with_borrow_mut(|guard| *guard = Some(self));
    }

    /// The thread ends.
    pub(crate) fn release_thread() {
        drop(GUARD.take());
    }

    fn tell(&self, how: How) {
        if self.stop.is_cancelled() {
            return;
        }
        let ended = Ended { part: self.part.clone(), how };
        error!(%ended, "a part of the gateway is gone");
        self.supervisor.0.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(ended);
            is_first
        });
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.tell(if std::thread::panicking() { How::Panicked } else { How::Returned });
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            GUARD.with_borrow(|guard| guard.iter().for_each(|guard| guard.tell(How::Panicked)));
        }
    }
}

impl std::fmt::Display for How {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Returned => "ended by itself",
            Self::Panicked => "has panicked",
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn what_ends_by_itself_is_told_and_what_is_stopped_is_not() {
        let (supervisor, stop) = (Supervisor::default(), CancellationToken::new());
        let stopped = CancellationToken::new();
        stopped.cancel();
        drop(supervisor.guard("acceptor", &stopped));
        assert_eq!(supervisor.ended().now_or_never(), None);
        drop(supervisor.guard("intake of partition 3", &stop));
        drop(supervisor.guard("another", &stop));
        let text = supervisor.ended().await.to_string();
        assert!(text.starts_with("the gateway's intake of partition 3 ended by itself"), "{text}");
    }

    #[test]
    fn a_task_that_panics_on_a_guarded_thread_is_told() {
        let (supervisor, stop) = (Supervisor::default(), CancellationToken::new());
        let guard = supervisor.guard("shard 1", &stop);
        let thread = std::thread::spawn(move || {
            guard.hold_thread();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let task = async {
                let _watch = Watch;
                panic!("on purpose");
            };
            tokio::task::LocalSet::new().block_on(&runtime, async {
                #[expect(clippy::disallowed_methods, reason = "the test waits for it right here")]
                let ended = tokio::task::spawn_local(task).await;
                assert!(ended.is_err());
            });
            // The runtime has caught it, and the thread goes on.
            stop.cancel();
            Guard::release_thread();
        });
        thread.join().unwrap();
        let ended = supervisor.ended().now_or_never().expect("it was told before the stop");
        assert_eq!((ended.part.as_str(), ended.how), ("shard 1", How::Panicked));
    }
}
