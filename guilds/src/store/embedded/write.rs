//! What each write of a change puts and deletes.

use model::Member;
use prost::Message;
use proto::v1;
use storage::Batch;

use super::EmbeddedStore;
use crate::store::keys::{self, account, guild, member, private};
use crate::store::{GuildRows, TokenRow, Write};

impl EmbeddedStore {
    pub(super) fn write(&self, batch: &mut Batch, write: &Write) {
        match write {
            Write::PutUser(user) => {
                let value = v1::User::from(user).encode_to_vec();
                batch.put(&self.accounts, keys::one(account::USER, user.id.get()), value);
            }
            Write::PutUsername(lower, user) => {
                let key = keys::bytes(account::USERNAME, lower.as_bytes());
                batch.put(&self.accounts, key, user.get().to_be_bytes());
            }
            Write::DeleteUsername(lower, _) => {
                batch.delete(&self.accounts, keys::bytes(account::USERNAME, lower.as_bytes()));
            }
            Write::PutPassword(user, phc) => {
                batch.put(&self.accounts, keys::one(account::PASSWORD, user.get()), phc);
            }
            Write::PutToken(token) => self.put_token(batch, token),
            Write::DeleteToken(token) => self.delete_token(batch, token),
            Write::PutApplication(application) => {
                let key = keys::one(account::APPLICATION, application.id);
                batch.put(&self.accounts, key, application.encode_to_vec());
                let key = keys::two(account::APPLICATION_OF_OWNER, application.owner_id, application.id);
                batch.put(&self.accounts, key, []);
            }
            Write::PutRefresh(user, edit) => {
                batch.put(&self.accounts, keys::one(account::REFRESH, user.get()), edit.to_be_bytes());
            }
            Write::DeleteRefresh(user) => {
                batch.delete(&self.accounts, keys::one(account::REFRESH, user.get()));
            }
            Write::PutPrivateChannel(channel, pair) => {
                let users = pair.users().map(|user| user.get().to_be_bytes()).concat();
                batch.put(&self.privates, keys::one(private::USERS_OF_CHANNEL, channel.get()), users);
                let [lower, higher] = pair.users();
                let key = keys::two(private::CHANNEL_OF_USERS, lower.get(), higher.get());
                batch.put(&self.privates, key, channel.get().to_be_bytes());
            }
            Write::PutPrivatePlace(place) => {
                let closed_at = place.closed_at.map_or(0, u64::from);
                let value = [place.other.get(), closed_at].map(u64::to_be_bytes).concat();
                let key = keys::two(private::PLACE, place.user.get(), place.channel.get());
                batch.put(&self.privates, key, value);
            }
            write => self.write_guild(batch, write),
        }
    }

    fn write_guild(&self, batch: &mut Batch, write: &Write) {
        match write {
            Write::PutGuild(guild) => {
                let value = v1::Guild::from(guild).encode_to_vec();
                batch.put(&self.guilds, keys::one(guild::GUILD, guild.id.get()), value);
            }
            Write::DeleteGuild(rows) => self.delete_guild(batch, rows),
            Write::EndDeletion(id) => batch.delete(&self.guilds, keys::one(guild::DELETION, id.get())),
            Write::PutRole(id, role) => {
                let key = keys::two(guild::ROLE, id.get(), role.id.get());
                batch.put(&self.guilds, key, v1::Role::from(role).encode_to_vec());
            }
            Write::DeleteRole(id, role) => {
                batch.delete(&self.guilds, keys::two(guild::ROLE, id.get(), role.get()));
            }
            Write::PutChannel(channel) => {
                let guild_id = channel.guild_id.map_or(0, u64::from);
                let value = v1::Channel::from(channel).encode_to_vec();
                batch.put(&self.guilds, keys::two(guild::CHANNEL, guild_id, channel.id.get()), value);
                let key = keys::one(guild::GUILD_OF_CHANNEL, channel.id.get());
                batch.put(&self.guilds, key, guild_id.to_be_bytes());
            }
            Write::DeleteChannel(id, channel) => {
                batch.delete(&self.guilds, keys::two(guild::CHANNEL, id.get(), channel.get()));
                batch.delete(&self.guilds, keys::one(guild::GUILD_OF_CHANNEL, channel.get()));
            }
            Write::PutInvite(invite) => {
                let value = v1::Invite::from(invite).encode_to_vec();
                batch.put(&self.guilds, keys::bytes(guild::INVITE, invite.code.as_bytes()), value);
                let guild_id = invite.guild_id.get();
                let key = keys::one_and_bytes(guild::INVITE_OF_GUILD, guild_id, invite.code.as_bytes());
                batch.put(&self.guilds, key, []);
            }
            Write::DeleteInvite(invite) => {
                let (code, guild_id) = (invite.code.as_bytes(), invite.guild_id.get());
                batch.delete(&self.guilds, keys::bytes(guild::INVITE, code));
                batch.delete(&self.guilds, keys::one_and_bytes(guild::INVITE_OF_GUILD, guild_id, code));
            }
            Write::PutMember(member, before) => self.put_member(batch, member, before.as_deref()),
            Write::DeleteMember(member) => self.delete_member(batch, member),
            write => unreachable!("{write:?} belongs to accounts"),
        }
    }

    fn put_token(&self, batch: &mut Batch, token: &TokenRow) {
        let (id, user) = (token.token_id.to_be_bytes(), token.user_id.get());
        let value = [id, user.to_be_bytes(), token.created_at_ms.to_be_bytes()].concat();
        batch.put(&self.accounts, keys::bytes(account::TOKEN, &token.hash), value);
        batch.put(&self.accounts, keys::two(account::TOKEN_OF_USER, user, token.token_id), token.hash);
        batch.put(&self.accounts, keys::one(account::TOKEN_BY_ID, token.token_id), token.hash);
    }

    fn delete_token(&self, batch: &mut Batch, token: &TokenRow) {
        batch.delete(&self.accounts, keys::bytes(account::TOKEN, &token.hash));
        let key = keys::two(account::TOKEN_OF_USER, token.user_id.get(), token.token_id);
        batch.delete(&self.accounts, key);
        batch.delete(&self.accounts, keys::one(account::TOKEN_BY_ID, token.token_id));
    }

    fn delete_guild(&self, batch: &mut Batch, rows: &GuildRows) {
        let id = rows.guild.id.get();
        batch.delete(&self.guilds, keys::one(guild::GUILD, id));
        for role in &rows.roles {
            batch.delete(&self.guilds, keys::two(guild::ROLE, id, role.id.get()));
        }
        for channel in &rows.channels {
            batch.delete(&self.guilds, keys::two(guild::CHANNEL, id, channel.id.get()));
            batch.delete(&self.guilds, keys::one(guild::GUILD_OF_CHANNEL, channel.id.get()));
        }
        batch.put(&self.guilds, keys::one(guild::DELETION, id), []);
    }

    fn put_member(&self, batch: &mut Batch, member: &Member, before: Option<&Member>) {
        let (guild_id, user) = (member.guild_id.get(), member.user.id.get());
        let value = v1::Member::from(member).encode_to_vec();
        batch.put(&self.members, keys::two(member::MEMBER, guild_id, user), value);
        if before.is_none() {
            batch.put(&self.members, keys::two(member::GUILD_OF_USER, user, guild_id), []);
        }
        let old_names = before.map(keys::names_of).unwrap_or_default();
        let names = keys::names_of(member);
        for name in old_names.iter().filter(|name| !names.contains(name)) {
            batch.delete(&self.members, keys::name(guild_id, name, user));
        }
        for name in names.iter().filter(|name| !old_names.contains(name)) {
            batch.put(&self.members, keys::name(guild_id, name, user), []);
        }
    }

    fn delete_member(&self, batch: &mut Batch, member: &Member) {
        let (guild_id, user) = (member.guild_id.get(), member.user.id.get());
        batch.delete(&self.members, keys::two(member::MEMBER, guild_id, user));
        batch.delete(&self.members, keys::two(member::GUILD_OF_USER, user, guild_id));
        for name in keys::names_of(member) {
            batch.delete(&self.members, keys::name(guild_id, &name, user));
        }
    }
}
