//! What is said of a task that has ended by itself, and to whom.

use std::borrow::Cow;
use std::fmt;

use tokio::sync::watch;

/// A task without which its service cannot go on has ended by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {service} cannot go on: {task} {how}; see the log above")]
pub struct Ended {
    pub service: &'static str,
    pub task: Cow<'static, str>,
    pub how: How,
}

/// The way in which it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Returned,
    Panicked,
}

/// The first task of a service that has ended by itself.
#[derive(Debug, Default)]
pub(crate) struct First(watch::Sender<Option<Ended>>);

// === impl Ended ===

impl Ended {
    /// Of a task that told of its panic by other means.
    pub fn panicked(service: &'static str, task: &'static str) -> Self {
        Self { service, task: task.into(), how: How::Panicked }
    }
}

// === impl How ===

impl How {
    /// Of a task that is being dropped.
    pub(crate) fn now() -> Self {
        if std::thread::panicking() { Self::Panicked } else { Self::Returned }
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Returned => "ended by itself",
            Self::Panicked => "has panicked",
        })
    }
}

// === impl First ===

impl First {
    pub(crate) fn tell(&self, ended: Ended) {
        tracing::error!("{ended}");
        self.0.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(ended);
            is_first
        });
    }

    pub(crate) async fn wait(&self) -> Ended {
        let mut first = self.0.subscribe();
        match first.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(ended)) => ended.clone(),
            // The sender is this one's own, so it is there and the value is.
            _ => std::future::pending().await,
        }
    }
}
