//! Bounds of this crate alone; what others must know as well stands in `model::limits`.

use std::time::Duration;

/// Guilds whose view is kept.
pub(crate) const GUILD_VIEWS_MAX: usize = 20_000;
/// Channels whose guild is remembered.
pub(crate) const CHANNELS_CACHED_MAX: usize = 200_000;
/// Members, and users who are members of nothing, that are remembered.
pub(crate) const PEOPLE_CACHED_MAX: usize = 100_000;
/// How long a name may be shown after its user changed it: USER_UPDATE does not come on guilds' subjects.
pub(crate) const PEOPLE_FRESH: Duration = Duration::from_secs(30);
/// How long a request waits for its replica to have seen what was published before it came.
pub(crate) const FRESH_WAIT: Duration = Duration::from_millis(500);
/// When a caller may try again after a 503.
pub(crate) const RETRY_MS: u64 = 1_000;
/// Senders under slow mode whose last message a channel remembers beside the store: more than are ever under way.
pub(crate) const SLOW_SENDERS_MAX: usize = 16_384;
/// Nonces that a channel remembers.
pub(crate) const NONCES_MAX: usize = 250_000;
/// How long senders wait for a publish; then they are told that the outcome is unknown, and the publish goes on.
pub(crate) const PUBLISH_WAIT: Duration = Duration::from_millis(3_500);
/// Changes that are stored in one write.
pub(crate) const CHANGES_PER_WRITE_MAX: usize = 128;
/// Edits among them: with the answered message in its event one can have 400 KB.
pub(crate) const EDITS_PER_WRITE_MAX: usize = 8;
/// How long a shutdown waits for what is under way.
pub(crate) const SHUTDOWN_WAIT: Duration = Duration::from_secs(8);
/// A user's typing in one channel is told at most this often.
pub(crate) const TYPING_EVERY: Duration = Duration::from_secs(3);
pub(crate) const TYPISTS_CACHED_MAX: usize = 100_000;
pub(crate) const BULK_DELETE_AGE_MS: u64 = 14 * 86_400_000;
pub(crate) const BULK_DELETE_MAX: usize = 100;
/// Embeds or components as JSON.
pub(crate) const RICH_BYTES_MAX: usize = 64 * 1024;
pub(crate) const COMPONENTS_MAX: usize = 40;
pub(crate) const REACTORS_PER_PAGE_MAX: u32 = 100;
/// Channels in one call for last messages.
pub(crate) const LAST_IDS_MAX: usize = 10_000;
/// Channels of which the store remembers the ten days that they were written to last.
pub(crate) const BUCKETS_CACHED_MAX: usize = 200_000;
/// Tens of days of a channel that are looked up at one time.
pub(crate) const BUCKETS_PER_READ: usize = 16;
/// Newest messages of channels that are read or written at one time.
pub(crate) const LASTS_AT_ONCE: usize = 32;
/// Rows read at a time when a channel or the outbox is read through.
pub(crate) const PAGE_LEN: usize = 500;
