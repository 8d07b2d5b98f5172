//! What guilds, channels, messages and users may hold.

pub const ACTIVITIES_BYTES_MAX: usize = 8 * 1024;
pub const CHANNEL_NAME_CHARS_MAX: usize = 100;
pub const CHANNEL_TOPIC_CHARS_MAX: usize = 1024;
pub const EMBED_CHARS_MAX: usize = 6000;
pub const EMBEDS_MAX: usize = 10;
pub const EMOJI_BYTES_MAX: usize = 64;
pub const GUILD_CHANNELS_MAX: usize = 500;
pub const GUILD_INVITES_MAX: usize = 1000;
pub const GUILD_MEMBERS_MAX: u64 = 1_000_000;
pub const GUILD_NAME_CHARS_MAX: usize = 100;
pub const GUILD_ROLES_MAX: usize = 250;
pub const MESSAGE_CONTENT_CHARS_MAX: usize = 2000;
pub const MESSAGE_LIST_DEFAULT: u32 = 50;
pub const MESSAGE_LIST_MAX: u32 = 100;
pub const MESSAGE_MENTIONS_MAX: usize = 100;
pub const MESSAGE_REACTIONS_MAX: usize = 20;
pub const NICK_CHARS_MAX: usize = 32;
pub const NONCE_CHARS_MAX: usize = 25;
pub const OVERWRITES_MAX: usize = 500;
pub const ROLE_NAME_CHARS_MAX: usize = 100;
pub const SLOWMODE_SECS_MAX: u32 = 21_600;
pub const USER_GUILDS_MAX: usize = 200;
pub const BOT_GUILDS_MAX: usize = 250_000;
pub const USERNAME_CHARS_MAX: usize = 32;
