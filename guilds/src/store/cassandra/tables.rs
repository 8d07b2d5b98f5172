//! The directory's tables.
//!
//! | table | partition | what |
//! |---|---|---|
//! | `users`, `passwords`, `applications` | id | one row |
//! | `usernames` | name in lower case | whose it is; changed by conditional writes only |
//! | `tokens`, `tokens_by_id` | hash, token id | whose token |
//! | `tokens_of_user`, `applications_of_owner` | user | a few rows |
//! | `guilds` | guild | the guild, its roles and its channels, by kind |
//! | `guild_of_channel` | channel | one row |
//! | `invites`, `invites_of_guild` | code, guild | at most a thousand rows |
//! | `members` | guild and year | members by user id, in the year that the user was made in |
//! | `member_years` | guild | the years that it has, or has had, members of |
//! | `member_names` | guild and first letter | names in lower case, for searches |
//! | `guilds_of_user` | user | at most some hundred rows |
//! | `deletions`, `refreshes` | slot | what is left to do after a change |
//! | `private_channels`, `private_channels_of_users` | channel, two users | one row |
//! | `private_places` | user | private channels, the newest first |
//!
//! A guild of a million members has about a dozen partitions of members, of some 20 MB, and one of names for each letter.
//! Values are as in the embedded store.

use storage::cassandra::Schema;

/// Everything that the directory keeps in Cassandra beside the outbox.
pub const SCHEMA: Schema = Schema {
    name: "guilds",
    steps: &[
        &[
            "CREATE TABLE IF NOT EXISTS users (user_id bigint PRIMARY KEY, value blob)",
            "CREATE TABLE IF NOT EXISTS usernames (name text PRIMARY KEY, user_id bigint, claimed_ms bigint)",
            "CREATE TABLE IF NOT EXISTS passwords (user_id bigint PRIMARY KEY, phc text)",
            "CREATE TABLE IF NOT EXISTS tokens (
            hash blob PRIMARY KEY, token_id bigint, user_id bigint, created_at_ms bigint)",
            "CREATE TABLE IF NOT EXISTS tokens_by_id (
            token_id bigint PRIMARY KEY, hash blob, user_id bigint, created_at_ms bigint)",
            "CREATE TABLE IF NOT EXISTS tokens_of_user (
            user_id bigint, token_id bigint, hash blob, created_at_ms bigint,
            PRIMARY KEY (user_id, token_id))",
            "CREATE TABLE IF NOT EXISTS applications (application_id bigint PRIMARY KEY, value blob)",
            "CREATE TABLE IF NOT EXISTS applications_of_owner (
            owner_id bigint, application_id bigint,
            PRIMARY KEY (owner_id, application_id))",
            "CREATE TABLE IF NOT EXISTS refreshes (
            slot smallint, user_id bigint, edit bigint,
            PRIMARY KEY (slot, user_id))",
            "CREATE TABLE IF NOT EXISTS guilds (
            guild_id bigint, kind tinyint, id bigint, value blob,
            PRIMARY KEY (guild_id, kind, id))",
            "CREATE TABLE IF NOT EXISTS guild_of_channel (channel_id bigint PRIMARY KEY, guild_id bigint)",
            "CREATE TABLE IF NOT EXISTS deletions (
            slot smallint, guild_id bigint,
            PRIMARY KEY (slot, guild_id))",
            "CREATE TABLE IF NOT EXISTS invites (code text PRIMARY KEY, value blob)",
            "CREATE TABLE IF NOT EXISTS invites_of_guild (
            guild_id bigint, code text,
            PRIMARY KEY (guild_id, code))",
            "CREATE TABLE IF NOT EXISTS members (
            guild_id bigint, year smallint, user_id bigint, value blob,
            PRIMARY KEY ((guild_id, year), user_id))",
            "CREATE TABLE IF NOT EXISTS member_names (
            guild_id bigint, initial text, name text, user_id bigint,
            PRIMARY KEY ((guild_id, initial), name, user_id))",
            "CREATE TABLE IF NOT EXISTS guilds_of_user (
            user_id bigint, guild_id bigint,
            PRIMARY KEY (user_id, guild_id))",
        ],
        &[
            "CREATE TABLE IF NOT EXISTS private_channels (
            channel_id bigint PRIMARY KEY, lower_id bigint, higher_id bigint)",
            "CREATE TABLE IF NOT EXISTS private_channels_of_users (
            lower_id bigint, higher_id bigint, channel_id bigint,
            PRIMARY KEY ((lower_id, higher_id)))",
            "CREATE TABLE IF NOT EXISTS private_places (
            user_id bigint, channel_id bigint, other_id bigint, closed_at bigint,
            PRIMARY KEY (user_id, channel_id)) WITH CLUSTERING ORDER BY (channel_id DESC)",
        ],
        &["CREATE TABLE IF NOT EXISTS member_years (
            guild_id bigint, year smallint,
            PRIMARY KEY (guild_id, year))"],
    ],
};
