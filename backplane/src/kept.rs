//! What is surely still in a stream: whether an event that is not there was never published.
//!
//! An event goes when it is too old, or when its stream has no room. Who looks for one and does not find it knows
//! something only if neither can have taken it.

use model::limits::OUTBOX_AHEAD_MS;

/// What a stream has kept, by the clock of who stores it, in Unix milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// When it was made. What was published before that lay in another incarnation, which is gone.
    pub made_ms: u64,
    /// An event goes when it is this old.
    pub age_ms: u64,
    /// A time by which everything was stored that went for want of room and was not too old; `None` where nothing was.
    pub pushed_out_ms: Option<u64>,
}

impl Kept {
    /// Whether everything is there that was published at `from_ms` or later, asked at `now_ms`. Both may be by other clocks
    /// than the stream's, up to [`OUTBOX_AHEAD_MS`] apart. A stream is not made anew in so short a time.
    pub fn covers(&self, from_ms: u64, now_ms: u64) -> bool {
        let surely_after = |gone_ms: u64| from_ms > gone_ms.saturating_add(OUTBOX_AHEAD_MS);
        from_ms >= self.made_ms
            && surely_after(now_ms.saturating_sub(self.age_ms))
            && self.pushed_out_ms.is_none_or(surely_after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MADE_MS: u64 = 1_700_000_000_000;
    const AGE_MS: u64 = 600_000;
    const KEPT: Kept = Kept { made_ms: MADE_MS, age_ms: AGE_MS, pushed_out_ms: None };

    #[test]
    fn what_may_have_gone_is_not_covered() {
        let later_ms = MADE_MS + 2 * AGE_MS;
        let pushed = Kept { pushed_out_ms: Some(later_ms), ..KEPT };
        let for_ever = Kept { age_ms: u64::MAX, ..KEPT };
        let rows = [
            // Of another incarnation.
            (KEPT, MADE_MS - 1, MADE_MS, false),
            (KEPT, MADE_MS, MADE_MS, true),
            // Too old, by clocks that are apart.
            (KEPT, MADE_MS, MADE_MS + AGE_MS - OUTBOX_AHEAD_MS - 1, true),
            (KEPT, MADE_MS, MADE_MS + AGE_MS - OUTBOX_AHEAD_MS, false),
            (for_ever, MADE_MS, later_ms, true),
            // Stored before what was pushed out, perhaps.
            (pushed, later_ms, later_ms, false),
            (pushed, later_ms + OUTBOX_AHEAD_MS, later_ms, false),
            (pushed, later_ms + OUTBOX_AHEAD_MS + 1, later_ms, true),
        ];
        for (kept, from_ms, now_ms, is_covered) in rows {
            assert_eq!(kept.covers(from_ms, now_ms), is_covered, "{kept:?} {from_ms} {now_ms}");
        }
    }
}
