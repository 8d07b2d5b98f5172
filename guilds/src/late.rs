//! Changes that came too late: stored by an earlier owner after the slot had passed on, and found by the late pass.
//!
//! Nobody was told that such a change was made, and readers have not heard of it, or have dropped its events as those of a
//! replaced owner. Yet its rows hold wherever this owner has written none of the same; what stood there before is gone, so it
//! can't be taken back. Therefore it counts, as far as it holds: the guild is read again, and what the change's events
//! speak of is stored and told anew as it is now, with the guild's next revision and in our epoch. Whatever mixture of two
//! owners' rows there was, what is stored and what readers hold agree afterwards.

use std::sync::Arc;

use async_trait::async_trait;
use model::view::{MemberView, ViewChange};
use model::{ChannelId, EventKind, GuildId, Member, RoleId, Subject, UserId};
use proto::{Envelope, Failure, FailureKind};
use storage::{OutboxEvent, SlotSet};

use crate::accounts::Accounts;
use crate::changes::Draft;
use crate::cleanup;
use crate::command::{Change, Command};
use crate::events::Event;
use crate::store::Write;

/// Tells a late change anew.
pub(crate) async fn tell(
    accounts: &Arc<Accounts>,
    set: SlotSet,
    events: &[OutboxEvent],
) -> Result<(), Failure> {
    let mut late = Vec::with_capacity(events.len());
    for event in events {
        match Envelope::decode(event.envelope.clone()) {
            Ok(envelope) => late.push((event.subject, envelope)),
            // Of a newer version: whoever wrote it will be back.
            Err(error) => tracing::error!(%error, event_id = event.event_id, "a late event can't be read"),
        }
    }
    let guild = late.iter().find_map(|(_, event)| event.guild_id);
    match (set, guild) {
        (SlotSet::Guilds, Some(guild)) => tell_guild(accounts, guild, late).await,
        (SlotSet::Users, _) => {
            let user = late.iter().find_map(|(subject, _)| match subject {
                Subject::User(user) => Some(*user),
                Subject::Guild(_) => None,
            });
            match user {
                Some(user) => tell_user(accounts, user, late).await,
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

// --- Guilds

async fn tell_guild(
    accounts: &Arc<Accounts>,
    guild: GuildId,
    late: Vec<(Subject, Envelope)>,
) -> Result<(), Failure> {
    let deletion = late.iter().find(|(_, event)| event.kind == EventKind::GuildDelete).cloned();
    let had_guild = late.iter().any(|(subject, _)| matches!(subject, Subject::Guild(_)));
    accounts.actors.reload(guild).await?;
    let events = late.into_iter().map(|(_, event)| event).collect();
    match accounts.actors.change(guild, LateChange { events }).await {
        Err(failure) if failure.kind == FailureKind::NotFound => {}
        told => return told,
    }
    // It is gone, by this change or another.
    let changes = accounts.changes.clone();
    if let Some((subject, event)) = deletion {
        let lease = changes.lease(SlotSet::Guilds, guild.get())?;
        let events = vec![Event::again(subject, &event, event.revision)];
        let stored = changes.store(&lease, Draft { writes: Vec::new(), events }).await?;
        changes.publish(stored).await?;
    }
    if had_guild {
        // A member may have come back with the change.
        let rest = cleanup::delete_guild(changes.clone(), guild);
        changes.tasks.spawn_passing("the removal of a deleted guild", rest);
    }
    Ok(())
}

struct LateChange {
    events: Vec<Envelope>,
}

#[async_trait]
impl Command for LateChange {
    type Reply = ();

    async fn run(self, at: &mut Change<'_>) -> Result<(), Failure> {
        if self.events.iter().any(|event| event.kind == EventKind::GuildDelete) {
            // Its roles and channels are gone, whatever was written of the guild itself since.
            at.delete_guild();
            return Ok(());
        }
        for event in &self.events {
            tell_one(at, event).await?;
        }
        Ok(())
    }
}

async fn tell_one(at: &mut Change<'_>, late: &Envelope) -> Result<(), Failure> {
    use EventKind::{
        ChannelCreate, ChannelDelete, ChannelUpdate, GuildJoined, GuildLeft, GuildMemberAdd,
        GuildMemberRemove, GuildMemberUpdate, GuildRoleCreate, GuildRoleDelete, GuildRoleUpdate, GuildUpdate,
        InviteCreate, InviteDelete,
    };
    match (late.kind, &late.view) {
        (GuildUpdate, Some(ViewChange::Owner { before, .. })) => at.put_guild_of(*before),
        (GuildUpdate, _) => at.put_guild(),
        (ChannelCreate | ChannelUpdate | ChannelDelete, Some(ViewChange::Channel { id, .. })) => {
            tell_channel(at, late, *id);
        }
        (GuildRoleCreate | GuildRoleUpdate | GuildRoleDelete, Some(ViewChange::Role { id, .. })) => {
            tell_role(at, late, *id);
        }
        (GuildMemberAdd | GuildMemberUpdate | GuildMemberRemove, Some(ViewChange::Member { id, .. })) => {
            tell_member(at, late, *id).await?;
        }
        (GuildJoined | GuildLeft, _) => tell_membership(at, late).await?,
        (InviteCreate | InviteDelete, _) => tell_invite(at, late).await?,
        _ => {}
    }
    Ok(())
}

/// What was deleted is deleted once more, so that it is done by us.
fn tell_channel(at: &mut Change<'_>, late: &Envelope, id: ChannelId) {
    let Some(ViewChange::Channel { before, after, .. }) = &late.view else { return };
    match (at.state.channels.get(&id).cloned(), after) {
        (Some(channel), Some(_)) => {
            let before = before.clone().map(|view| model::Channel {
                kind: view.kind,
                overwrites: view.overwrites,
                rate_limit_per_user: view.rate_limit_per_user,
                ..channel.clone()
            });
            at.put_channel_over(before.as_ref(), channel);
        }
        (Some(channel), None) => drop(at.put_channel(channel)),
        (None, None) => {
            at.event(again(at, late));
            at.write(Write::DeleteChannel(at.guild.id, id));
        }
        (None, Some(_)) => {}
    }
}

fn tell_role(at: &mut Change<'_>, late: &Envelope, id: RoleId) {
    let Some(ViewChange::Role { before, after, .. }) = &late.view else { return };
    match (at.state.roles.get(&id).cloned(), after) {
        (Some(role), Some(_)) => drop(at.put_role_over(*before, role)),
        (Some(role), None) => drop(at.put_role(role)),
        (None, None) => {
            at.event(again(at, late));
            at.write(Write::DeleteRole(at.guild.id, id));
        }
        (None, Some(_)) => {}
    }
}

/// A member's row is in the guild's partition, those by which they are found are elsewhere: all are written.
async fn tell_member(at: &mut Change<'_>, late: &Envelope, id: UserId) -> Result<(), Failure> {
    let Some(ViewChange::Member { before, after, .. }) = &late.view else { return Ok(()) };
    let Some(mut member) = at.member(id).await? else {
        if after.is_none() {
            at.event(again(at, late));
        }
        return Ok(());
    };
    let before = match after {
        Some(_) => before.clone().map(|MemberView { roles, timed_out_until }| Member {
            roles,
            communication_disabled_until: timed_out_until,
            ..member.clone()
        }),
        None => Some(member.clone()),
    };
    member.revision = at.guild.revision;
    at.event(Event::member(&at.guild, before.as_ref(), &member));
    at.write(Write::PutMember(Box::new(member), None));
    Ok(())
}

/// Whether the user's gateways have to open the guild, or to leave it.
async fn tell_membership(at: &mut Change<'_>, late: &Envelope) -> Result<(), Failure> {
    let Some(user) = late.user_id else { return Ok(()) };
    match (late.kind, at.member(user).await?) {
        (EventKind::GuildJoined, Some(_)) => at.event(Event::guild_joined(&at.guild, user)),
        (EventKind::GuildLeft, None) => at.event(Event::guild_left(&at.guild, user)),
        _ => {}
    }
    Ok(())
}

async fn tell_invite(at: &mut Change<'_>, late: &Envelope) -> Result<(), Failure> {
    let data: serde_json::Value = serde_json::from_slice(&late.data).unwrap_or_default();
    let Some(code) = data["code"].as_str() else { return Ok(()) };
    let is_there = at.changes.store.invite(code).await?.is_some();
    if is_there == (late.kind == EventKind::InviteCreate) {
        at.event(again(at, late));
    }
    Ok(())
}

/// The event as it was, with the guild's next revision.
fn again(at: &Change<'_>, late: &Envelope) -> Event {
    Event::again(Subject::Guild(at.guild.id), late, Some(at.guild.revision))
}

// --- Users

async fn tell_user(
    accounts: &Arc<Accounts>,
    user: UserId,
    late: Vec<(Subject, Envelope)>,
) -> Result<(), Failure> {
    let this = accounts.clone();
    accounts.run(async move { tell_user_anew(&this, user, late).await }).await
}

async fn tell_user_anew(
    accounts: &Accounts,
    id: UserId,
    late: Vec<(Subject, Envelope)>,
) -> Result<(), Failure> {
    let _user = accounts.users.lock(&[id.get()]).await;
    let store = &accounts.changes.store;
    let mut draft = Draft::default();
    for (_, event) in late {
        if event.kind == EventKind::UserUpdate
            && let Some(user) = store.user(id).await?
        {
            draft.events.push(Event::user_update(&user));
            draft.writes.push(Write::PutUser(user));
        }
        if let (EventKind::TokenRevoked, Some(token)) = (event.kind, event.token_id)
            && store.token_by_id(token).await?.is_none()
        {
            draft.events.push(Event::token_revoked(id, token));
        }
    }
    if draft.is_empty() {
        return Ok(());
    }
    accounts.commit(id, draft).await
}

#[cfg(test)]
mod tests;
