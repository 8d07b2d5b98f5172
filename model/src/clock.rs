//! The wall clock as a port. The only place in the workspace that reads the ambient clock.

use std::sync::Arc;
#[cfg(debug_assertions)]
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells the time. Wall time may step; what must not go backwards keeps its own floor.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds of the Unix epoch.
    fn now_ms(&self) -> u64;
}

/// A clock that is shared between the parts of a process.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl SystemClock {
    pub fn shared() -> SharedClock {
        Arc::new(Self)
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one adapter of the ambient clock")]
    fn now_ms(&self) -> u64 {
        let now_ms =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as u64);
        #[cfg(debug_assertions)]
        let now_ms = now_ms.saturating_add_signed(*OFFSET_MS);
        now_ms
    }
}

/// By how many milliseconds this process's clock is ahead: for tests that run processes whose clocks differ. Builds
/// without debug assertions have none.
#[cfg(debug_assertions)]
pub const OFFSET_VARIABLE: &str = "STARLING_CLOCK_OFFSET_MS";

#[cfg(debug_assertions)]
static OFFSET_MS: LazyLock<i64> = LazyLock::new(|| {
    let given = std::env::var(OFFSET_VARIABLE).ok();
    given.map_or(0, |offset| offset.parse().expect("STARLING_CLOCK_OFFSET_MS is a whole number"))
});

/// A clock that moves only when told to, for tests in virtual time.
#[derive(Debug, Clone, Default)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    pub fn at(unix_ms: u64) -> Self {
        Self(Arc::new(AtomicU64::new(unix_ms)))
    }

    pub fn set(&self, unix_ms: u64) {
        self.0.store(unix_ms, Ordering::SeqCst);
    }

    pub fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}
