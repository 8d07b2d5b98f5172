//! Accounts, guilds, and how their changes are stored and told.

/// Changes of accounts that may be under way or wait.
pub const ACCOUNTS_QUEUE_MAX: usize = 1024;
pub const APPLICATION_DESCRIPTION_CHARS_MAX: usize = 400;
pub const AVATAR_CHARS_MAX: usize = 128;
pub const BITRATE_MAX: u32 = 384_000;
pub const BITRATE_MIN: u32 = 8_000;
pub const CATEGORY_CHANNELS_MAX: usize = 50;
/// What the channels of one change may come to, with their events: half of [`STORE_BATCH_BYTES_MAX`](super::STORE_BATCH_BYTES_MAX).
pub const CHANGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Time in which a change is answered: published, refused, or of unknown outcome. Below [`RPC_DEADLINE_MS`](super::RPC_DEADLINE_MS).
pub const CHANGE_WAIT_MS: u64 = 4_000;
pub const CLEANUP_PAGE_LEN: usize = 250;
pub const CLEANUP_RETRY_MS: u64 = 1_000;
pub const COLOR_MAX: u32 = 0xff_ffff;
/// Time that the service has to end its tasks.
pub const DIRECTORY_STOP_MS: u64 = 10_000;
pub const GLOBAL_NAME_CHARS_MAX: usize = 32;
pub const GUILD_DESCRIPTION_CHARS_MAX: usize = 300;
pub const GUILD_NAME_CHARS_MIN: usize = 2;
pub const ICON_CHARS_MAX: usize = 128;
pub const INVITE_AGE_SECS_DEFAULT: u32 = 86_400;
pub const INVITE_AGE_SECS_MAX: u32 = 604_800;
pub const INVITE_CODE_CHARS: usize = 8;
pub const INVITE_USES_MAX: u32 = 100;
pub const LOCK_STRIPES: usize = 64;
pub const MEMBERS_LIST_MAX: usize = 1000;
/// From this age on an event is first looked for in its stream: streams forget ids after two minutes.
pub const OUTBOX_LOOKUP_MS: u64 = 90_000;
pub const OUTBOX_PRUNE_MS: u64 = 30_000;
pub const OUTBOX_WATERMARK_MS: u64 = 1_000;
pub const OWNER_APPLICATIONS_MAX: usize = 50;
pub const PASSWORD_CHARS_MAX: usize = 128;
pub const PASSWORD_CHARS_MIN: usize = 8;
pub const PASSWORD_HASHES_AT_ONCE: usize = 2;
pub const PASSWORD_HASHES_WAIT_MS: u64 = 3_000;
pub const POSITION_MAX: u32 = 10_000;
pub const PUBLISH_RETRY_MS_MAX: u64 = 1_000;
pub const PUBLISH_TIMEOUT_MS: u64 = 2_000;
/// Guilds in which a changed user is written again at one time.
pub const REFRESHES_AT_ONCE: usize = 16;
/// Deletions, and likewise refreshes of users, that a start goes on with at one time.
pub const RESUMES_AT_ONCE: usize = 4;
pub const RTC_REGION_CHARS_MAX: usize = 32;
/// Members in one batch of a seed: four rows each.
pub const SEED_BATCH_MEMBERS: usize = 140;
pub const SEED_MEMBERS_MAX: u32 = 10_000;
/// Users of a seed that are written at one time.
pub const SEED_USERS_AT_ONCE: usize = 64;
pub const STORE_RETRY_MS: u64 = 100;
pub const TIMEOUT_MS_MAX: u64 = 28 * 86_400_000;
pub const TOKEN_CACHE_MAX: usize = 100_000;
pub const TOKEN_CHARS_MAX: usize = 128;
/// What a caller is told to wait when something is full or away.
pub const UNAVAILABLE_RETRY_MS: u64 = 1_000;
pub const USERNAME_CHARS_MIN: usize = 2;
pub const USER_TOKENS_MAX: usize = 100;
pub const VOICE_USERS_MAX: u32 = 99;
/// Private channels of a user that a list is made of: the newest ones. And how many of them a list has.
pub const PRIVATE_CHANNELS_MAX: usize = 1000;
pub const PRIVATE_CHANNELS_LISTED_MAX: usize = 200;
