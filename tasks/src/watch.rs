//! Watches: each lies in a task behind its future, and sees by being dropped how the task ended.

use std::borrow::Cow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::ended::{Ended, How};
use crate::owner::Shared;

/// Tells its service when it is dropped too early.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) shared: Arc<Shared>,
    pub(crate) task: Cow<'static, str>,
    /// Whether the task may return before the service stops; it may never panic.
    pub(crate) may_return: bool,
}

pin_project! {
    /// A task with its watch, which is dropped after it: then nothing of the task is left.
    pub(crate) struct Watched<F, W> {
        #[pin]
        pub(crate) task: F,
        pub(crate) watch: W,
    }
}

// === impl Watch ===

impl Watch {
    pub(crate) fn tell(&self, how: How) {
        if !self.shared.stop.is_cancelled() {
            let Self { shared, task, .. } = self;
            shared.first.tell(Ended { service: shared.service, task: task.clone(), how });
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let how = How::now();
        if how == How::Panicked || !self.may_return {
            self.tell(how);
        }
    }
}

// === impl Watched ===

impl<F: Future, W> Future for Watched<F, W> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.project().task.poll(cx)
    }
}
