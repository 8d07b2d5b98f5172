//! What each write of a change puts and deletes.
//!
//! All statements of a batch have one timestamp, and of two with one timestamp that change one row neither is the later. So
//! of the writes of one row only the last is made.

use std::collections::{BTreeSet, HashMap};

use model::{GuildId, Member};
use prost::Message;
use proto::v1;
use storage::cassandra::WriteBatch;
use storage::{Slot, cassandra};

use super::CassandraStore;
use super::read::{CHANNEL, GUILD, ROLE, initial, number, slot_number, year};
use crate::store::{Commit, GuildRows, TokenRow, Write, keys};

impl CassandraStore {
    pub(super) fn batch(&self, commit: &Commit) -> WriteBatch {
        let mut batch = WriteBatch::new();
        last_of_each(&commit.writes).iter().for_each(|write| self.add(&mut batch, write));
        for (guild, year) in years_joined(&commit.writes) {
            batch.add(&self.writes.put_member_year, (number(guild), year));
        }
        if let Some(row) = &commit.outbox {
            self.outbox.put_row(&mut batch, row);
        }
        batch
    }

    fn add(&self, batch: &mut WriteBatch, write: &Write) {
        let writes = &self.writes;
        match write {
            Write::PutUser(user) => {
                batch.add(&writes.put_user, (number(user.id), v1::User::from(user).encode_to_vec()));
            }
            // Claimed before the batch, freed after it.
            Write::PutUsername(..) | Write::DeleteUsername(..) => {}
            Write::PutPassword(user, phc) => {
                batch.add(&writes.put_password, (number(*user), phc.clone()));
            }
            Write::PutToken(token) => self.put_token(batch, token),
            Write::DeleteToken(token) => self.delete_token(batch, token),
            Write::PutApplication(application) => {
                let id = application.id.cast_signed();
                batch.add(&writes.put_application, (id, application.encode_to_vec()));
                batch.add(&writes.put_application_of_owner, (application.owner_id.cast_signed(), id));
            }
            Write::PutRefresh(user, edit) => {
                let slot = slot_number(Slot::of(user.get()));
                batch.add(&writes.put_refresh, (slot, number(*user), edit.cast_signed()));
            }
            Write::DeleteRefresh(user) => {
                batch.add(&writes.delete_refresh, (slot_number(Slot::of(user.get())), number(*user)));
            }
            Write::PutPrivateChannel(channel, pair) => {
                let [lower, higher] = pair.users().map(number);
                batch.add(&writes.put_private_channel, (number(*channel), lower, higher));
                batch.add(&writes.put_private_channel_of, (lower, higher, number(*channel)));
            }
            Write::PutPrivatePlace(place) => {
                let closed_at = place.closed_at.map_or(0, number);
                let (user, other) = (number(place.user), number(place.other));
                batch.add(&writes.put_private_place, (user, number(place.channel), other, closed_at));
            }
            write => self.add_of_guild(batch, write),
        }
    }

    fn add_of_guild(&self, batch: &mut WriteBatch, write: &Write) {
        let writes = &self.writes;
        match write {
            Write::PutGuild(guild) => {
                let (id, value) = (number(guild.id), v1::Guild::from(guild).encode_to_vec());
                batch.add(&writes.put_part, (id, GUILD, id, value));
            }
            Write::DeleteGuild(rows) => self.delete_guild(batch, rows),
            Write::EndDeletion(id) => {
                batch.add(&writes.delete_member_years, (number(*id),));
                batch.add(&writes.delete_deletion, (slot_number(Slot::of(id.get())), number(*id)));
            }
            Write::PutRole(id, role) => {
                let value = v1::Role::from(role).encode_to_vec();
                batch.add(&writes.put_part, (number(*id), ROLE, number(role.id), value));
            }
            Write::DeleteRole(id, role) => {
                batch.add(&writes.delete_part, (number(*id), ROLE, number(*role)));
            }
            Write::PutChannel(channel) => {
                let (guild, id) = (channel.guild_id.map_or(0, number), number(channel.id));
                let value = v1::Channel::from(channel).encode_to_vec();
                batch.add(&writes.put_part, (guild, CHANNEL, id, value));
                batch.add(&writes.put_guild_of_channel, (id, guild));
            }
            Write::DeleteChannel(id, channel) => {
                batch.add(&writes.delete_part, (number(*id), CHANNEL, number(*channel)));
                batch.add(&writes.delete_guild_of_channel, (number(*channel),));
            }
            Write::PutInvite(invite) => {
                let value = v1::Invite::from(invite).encode_to_vec();
                batch.add(&writes.put_invite, (invite.code.clone(), value));
                batch.add(&writes.put_invite_of_guild, (number(invite.guild_id), invite.code.clone()));
            }
            Write::DeleteInvite(invite) => {
                batch.add(&writes.delete_invite, (invite.code.clone(),));
                batch.add(&writes.delete_invite_of_guild, (number(invite.guild_id), invite.code.clone()));
            }
            Write::PutMember(member, before) => self.put_member(batch, member, before.as_deref()),
            Write::DeleteMember(member) => self.delete_member(batch, member),
            write => unreachable!("{write:?} belongs to accounts"),
        }
    }

    fn put_token(&self, batch: &mut WriteBatch, token: &TokenRow) {
        let TokenRow { hash, token_id, user_id, created_at_ms } = *token;
        let (token_id, user, created) =
            (token_id.cast_signed(), number(user_id), created_at_ms.cast_signed());
        let hash = hash.to_vec();
        batch.add(&self.writes.put_token, (hash.clone(), token_id, user, created));
        batch.add(&self.writes.put_token_by_id, (token_id, hash.clone(), user, created));
        batch.add(&self.writes.put_token_of_user, (user, token_id, hash, created));
    }

    fn delete_token(&self, batch: &mut WriteBatch, token: &TokenRow) {
        let token_id = token.token_id.cast_signed();
        batch.add(&self.writes.delete_token, (token.hash.to_vec(),));
        batch.add(&self.writes.delete_token_by_id, (token_id,));
        batch.add(&self.writes.delete_token_of_user, (number(token.user_id), token_id));
    }

    fn delete_guild(&self, batch: &mut WriteBatch, rows: &GuildRows) {
        let id = rows.guild.id;
        batch.add(&self.writes.delete_guild, (number(id),));
        for channel in &rows.channels {
            batch.add(&self.writes.delete_guild_of_channel, (number(channel.id),));
        }
        batch.add(&self.writes.put_deletion, (slot_number(Slot::of(id.get())), number(id)));
    }

    fn put_member(&self, batch: &mut WriteBatch, member: &Member, before: Option<&Member>) {
        let (guild, user) = (number(member.guild_id), number(member.user.id));
        let value = v1::Member::from(member).encode_to_vec();
        batch.add(&self.writes.put_member, (guild, year(member.user.id.get()), user, value));
        if before.is_none() {
            batch.add(&self.writes.put_guild_of_user, (user, guild));
        }
        let old_names = before.map(keys::names_of).unwrap_or_default();
        let names = keys::names_of(member);
        for name in old_names.iter().filter(|name| !names.contains(name)) {
            self.add_name(batch, &self.writes.delete_name, member.guild_id, name, user);
        }
        for name in names.iter().filter(|name| !old_names.contains(name)) {
            self.add_name(batch, &self.writes.put_name, member.guild_id, name, user);
        }
    }

    fn delete_member(&self, batch: &mut WriteBatch, member: &Member) {
        let (guild, user) = (number(member.guild_id), number(member.user.id));
        batch.add(&self.writes.delete_member, (guild, year(member.user.id.get()), user));
        batch.add(&self.writes.delete_guild_of_user, (user, guild));
        for name in keys::names_of(member) {
            self.add_name(batch, &self.writes.delete_name, member.guild_id, &name, user);
        }
    }

    fn add_name(
        &self,
        batch: &mut WriteBatch,
        statement: &cassandra::PreparedStatement,
        guild: GuildId,
        name: &str,
        user: i64,
    ) {
        batch.add(statement, (number(guild), initial(name), name.to_owned(), user));
    }
}

/// Under which years new members are found, each once.
fn years_joined(writes: &[Write]) -> BTreeSet<(GuildId, i16)> {
    let year_of_new = |write: &Write| match write {
        Write::PutMember(member, None) => Some((member.guild_id, year(member.user.id.get()))),
        _ => None,
    };
    writes.iter().filter_map(year_of_new).collect()
}

/// What a write concerns: two that are equal here change the same rows.
#[derive(PartialEq, Eq, Hash)]
enum Row<'a> {
    User(u64),
    Password(u64),
    Token(u64),
    Application(u64),
    Refresh(u64),
    Guild(u64),
    Deletion(u64),
    Role(u64, u64),
    Channel(u64),
    Member(u64, u64),
    Invite(&'a str),
    PrivateChannel(u64),
    PrivatePlace(u64, u64),
}

/// None of a name, which is not in the batch.
fn row_of(write: &Write) -> Option<Row<'_>> {
    Some(match write {
        Write::PutUsername(..) | Write::DeleteUsername(..) => return None,
        Write::PutUser(user) => Row::User(user.id.get()),
        Write::PutPassword(user, _) => Row::Password(user.get()),
        Write::PutToken(token) | Write::DeleteToken(token) => Row::Token(token.token_id),
        Write::PutApplication(application) => Row::Application(application.id),
        Write::PutRefresh(user, _) | Write::DeleteRefresh(user) => Row::Refresh(user.get()),
        Write::PutGuild(guild) => Row::Guild(guild.id.get()),
        Write::DeleteGuild(rows) => Row::Guild(rows.guild.id.get()),
        Write::EndDeletion(guild) => Row::Deletion(guild.get()),
        Write::PutRole(guild, role) => Row::Role(guild.get(), role.id.get()),
        Write::DeleteRole(guild, role) => Row::Role(guild.get(), role.get()),
        Write::PutChannel(channel) => Row::Channel(channel.id.get()),
        Write::DeleteChannel(_, channel) => Row::Channel(channel.get()),
        Write::PutMember(member, _) | Write::DeleteMember(member) => {
            Row::Member(member.guild_id.get(), member.user.id.get())
        }
        Write::PutInvite(invite) | Write::DeleteInvite(invite) => Row::Invite(&invite.code),
        Write::PutPrivateChannel(channel, _) => Row::PrivateChannel(channel.get()),
        Write::PutPrivatePlace(place) => Row::PrivatePlace(place.user.get(), place.channel.get()),
    })
}

/// Of writes of one member, what the last puts in the place of what the first found.
fn last_of_each(writes: &[Write]) -> Vec<Write> {
    let mut kept: Vec<Write> = Vec::with_capacity(writes.len());
    let mut places = HashMap::new();
    for write in writes {
        let Some(row) = row_of(write) else { continue };
        match places.get(&row) {
            None => {
                places.insert(row, kept.len());
                kept.push(write.clone());
            }
            Some(place) => {
                let earlier = &mut kept[*place];
                *earlier = match (&*earlier, write) {
                    (Write::PutMember(_, before), Write::PutMember(member, _)) => {
                        Write::PutMember(member.clone(), before.clone())
                    }
                    _ => write.clone(),
                };
            }
        }
    }
    kept
}
