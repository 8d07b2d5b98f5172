//! The statements, prepared once.

use storage::cassandra::{Cassandra, ConnectError, PreparedStatement};

/// Statements with their text: the fields are prepared in order.
macro_rules! statements {
    ($name:ident, $prepare:ident { $($field:ident: $cql:literal,)* }) => {
        pub(super) struct $name {
            $(pub(super) $field: PreparedStatement,)*
        }

        impl $name {
            pub(super) async fn prepare(cassandra: &Cassandra) -> Result<Self, ConnectError> {
                Ok(Self { $($field: cassandra.$prepare($cql).await?,)* })
            }
        }
    };
}

statements! { Reads, prepare_read {
    user: "SELECT value FROM users WHERE user_id = ?",
    username: "SELECT user_id FROM usernames WHERE name = ?",
    password: "SELECT phc FROM passwords WHERE user_id = ?",
    token: "SELECT token_id, user_id, created_at_ms FROM tokens WHERE hash = ?",
    token_by_id: "SELECT hash, user_id, created_at_ms FROM tokens_by_id WHERE token_id = ?",
    tokens_of_user: "SELECT token_id, hash, created_at_ms FROM tokens_of_user WHERE user_id = ?",
    application: "SELECT value FROM applications WHERE application_id = ?",
    applications_of_owner: "SELECT application_id FROM applications_of_owner WHERE owner_id = ?",
    refresh: "SELECT edit FROM refreshes WHERE slot = ? AND user_id = ?",
    refreshes: "SELECT user_id FROM refreshes WHERE slot = ? AND user_id > ? LIMIT ?",
    guild: "SELECT kind, value FROM guilds WHERE guild_id = ?",
    guild_exists: "SELECT id FROM guilds WHERE guild_id = ? AND kind = 1",
    guild_of_channel: "SELECT guild_id FROM guild_of_channel WHERE channel_id = ?",
    deletions: "SELECT guild_id FROM deletions WHERE slot = ? AND guild_id > ? LIMIT ?",
    invite: "SELECT value FROM invites WHERE code = ?",
    invites_of_guild: "SELECT code FROM invites_of_guild WHERE guild_id = ?",
    member: "SELECT value FROM members WHERE guild_id = ? AND year = ? AND user_id = ?",
    members: "SELECT value FROM members WHERE guild_id = ? AND year = ? AND user_id > ? LIMIT ?",
    member_years: "SELECT year FROM member_years WHERE guild_id = ? AND year >= ?",
    names: "SELECT user_id FROM member_names
        WHERE guild_id = ? AND initial = ? AND name >= ? AND name <= ? LIMIT ?",
    guilds_of_user: "SELECT guild_id FROM guilds_of_user WHERE user_id = ? AND guild_id > ? LIMIT ?",
    private_channel: "SELECT lower_id, higher_id FROM private_channels WHERE channel_id = ?",
    private_channel_of: "SELECT channel_id FROM private_channels_of_users WHERE lower_id = ? AND higher_id = ?",
    private_place: "SELECT other_id, closed_at FROM private_places WHERE user_id = ? AND channel_id = ?",
    private_places: "SELECT channel_id, other_id, closed_at FROM private_places WHERE user_id = ? LIMIT ?",
} }

statements! { Writes, prepare_write {
    put_user: "INSERT INTO users (user_id, value) VALUES (?, ?)",
    put_password: "INSERT INTO passwords (user_id, phc) VALUES (?, ?)",
    put_token: "INSERT INTO tokens (hash, token_id, user_id, created_at_ms) VALUES (?, ?, ?, ?)",
    put_token_by_id: "INSERT INTO tokens_by_id (token_id, hash, user_id, created_at_ms) VALUES (?, ?, ?, ?)",
    put_token_of_user: "INSERT INTO tokens_of_user (user_id, token_id, hash, created_at_ms) VALUES (?, ?, ?, ?)",
    delete_token: "DELETE FROM tokens WHERE hash = ?",
    delete_token_by_id: "DELETE FROM tokens_by_id WHERE token_id = ?",
    delete_token_of_user: "DELETE FROM tokens_of_user WHERE user_id = ? AND token_id = ?",
    put_application: "INSERT INTO applications (application_id, value) VALUES (?, ?)",
    put_application_of_owner: "INSERT INTO applications_of_owner (owner_id, application_id) VALUES (?, ?)",
    put_refresh: "INSERT INTO refreshes (slot, user_id, edit) VALUES (?, ?, ?)",
    delete_refresh: "DELETE FROM refreshes WHERE slot = ? AND user_id = ?",
    put_part: "INSERT INTO guilds (guild_id, kind, id, value) VALUES (?, ?, ?, ?)",
    delete_part: "DELETE FROM guilds WHERE guild_id = ? AND kind = ? AND id = ?",
    delete_guild: "DELETE FROM guilds WHERE guild_id = ?",
    put_guild_of_channel: "INSERT INTO guild_of_channel (channel_id, guild_id) VALUES (?, ?)",
    delete_guild_of_channel: "DELETE FROM guild_of_channel WHERE channel_id = ?",
    put_deletion: "INSERT INTO deletions (slot, guild_id) VALUES (?, ?)",
    delete_deletion: "DELETE FROM deletions WHERE slot = ? AND guild_id = ?",
    put_invite: "INSERT INTO invites (code, value) VALUES (?, ?)",
    delete_invite: "DELETE FROM invites WHERE code = ?",
    put_invite_of_guild: "INSERT INTO invites_of_guild (guild_id, code) VALUES (?, ?)",
    delete_invite_of_guild: "DELETE FROM invites_of_guild WHERE guild_id = ? AND code = ?",
    put_member: "INSERT INTO members (guild_id, year, user_id, value) VALUES (?, ?, ?, ?)",
    delete_member: "DELETE FROM members WHERE guild_id = ? AND year = ? AND user_id = ?",
    put_member_year: "INSERT INTO member_years (guild_id, year) VALUES (?, ?)",
    delete_member_years: "DELETE FROM member_years WHERE guild_id = ?",
    put_name: "INSERT INTO member_names (guild_id, initial, name, user_id) VALUES (?, ?, ?, ?)",
    delete_name: "DELETE FROM member_names WHERE guild_id = ? AND initial = ? AND name = ? AND user_id = ?",
    put_guild_of_user: "INSERT INTO guilds_of_user (user_id, guild_id) VALUES (?, ?)",
    delete_guild_of_user: "DELETE FROM guilds_of_user WHERE user_id = ? AND guild_id = ?",
    put_private_channel: "INSERT INTO private_channels (channel_id, lower_id, higher_id) VALUES (?, ?, ?)",
    put_private_channel_of: "INSERT INTO private_channels_of_users (lower_id, higher_id, channel_id) VALUES (?, ?, ?)",
    put_private_place: "INSERT INTO private_places (user_id, channel_id, other_id, closed_at) VALUES (?, ?, ?, ?)",
} }

statements! { Conditional, prepare_conditional {
    claim: "INSERT INTO usernames (name, user_id, claimed_ms) VALUES (?, ?, ?) IF NOT EXISTS",
    take_over: "UPDATE usernames SET user_id = ?, claimed_ms = ? WHERE name = ? IF user_id = ? AND claimed_ms = ?",
    release: "DELETE FROM usernames WHERE name = ? IF user_id = ? AND claimed_ms = ?",
} }

statements! { Serial, prepare_serial_read {
    holder: "SELECT user_id, claimed_ms FROM usernames WHERE name = ?",
} }
