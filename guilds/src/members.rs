//! Members: changed, and written again when their user has changed.

use std::collections::BTreeSet;

use async_trait::async_trait;
use model::limits::{NICK_CHARS_MAX, TIMEOUT_MS_MAX};
use model::{Member, Permissions, RoleId, Timestamp, UserId};
use proto::convert::{id, ids};
use proto::{Failure, v1};

use crate::command::{Change, Command};
use crate::roles::invalid_role;
use crate::rules::Actor;
use crate::state::GuildState;
use crate::validate::Fields;

#[async_trait]
impl Command for v1::EditMemberRequest {
    type Reply = Member;

    async fn run(self, at: &mut Change<'_>) -> Result<Member, Failure> {
        let actor = at.actor(id("actor_id", self.actor_id)?).await?;
        let before = at.existing_member(id("user_id", self.user_id)?).await?;
        let mut member = before.clone();
        set_nick(&self, &actor, &mut member)?;
        set_roles(&self, &actor, at.state, &mut member)?;
        if let Some(mute) = self.mute {
            actor.needs(Permissions::MUTE_MEMBERS)?;
            member.mute = mute;
        }
        if let Some(deaf) = self.deaf {
            actor.needs(Permissions::DEAFEN_MEMBERS)?;
            member.deaf = deaf;
        }
        set_timeout(&self, &actor, at, &mut member)?;
        if member == before {
            // Whoever asks for nothing needs no permission, so nobody is told.
            return Ok(member);
        }
        Ok(at.put_member(Some(before), member))
    }
}

fn set_nick(request: &v1::EditMemberRequest, actor: &Actor<'_>, member: &mut Member) -> Result<(), Failure> {
    let Some(nick) = &request.nick else { return Ok(()) };
    if actor.id() == member.user.id {
        let either = Permissions::CHANGE_NICKNAME | Permissions::MANAGE_NICKNAMES;
        if (actor.base & either).is_empty() {
            return Err(Failure::missing_permissions());
        }
    } else {
        actor.needs(Permissions::MANAGE_NICKNAMES)?;
        actor.outranks(member)?;
    }
    let nick = nick.trim();
    Fields::default().max_length("nick", nick, NICK_CHARS_MAX).finish()?;
    member.nick = (!nick.is_empty()).then(|| nick.to_owned());
    Ok(())
}

/// The whole list, or single additions and removals; each role that changes must stand below the actor.
fn set_roles(
    request: &v1::EditMemberRequest,
    actor: &Actor<'_>,
    state: &GuildState,
    member: &mut Member,
) -> Result<(), Failure> {
    let asks = request.roles.is_some() || !request.add_roles.is_empty() || !request.remove_roles.is_empty();
    if !asks {
        return Ok(());
    }
    actor.needs(Permissions::MANAGE_ROLES)?;
    let before: BTreeSet<RoleId> = member.roles.iter().copied().collect();
    let mut after = match &request.roles {
        Some(list) => ids("roles", &list.roles)?.into_iter().collect(),
        None => before.clone(),
    };
    after.extend(ids::<model::id::marker::Role>("add_roles", &request.add_roles)?);
    for role in ids("remove_roles", &request.remove_roles)? {
        state.role(role)?;
        after.remove(&role);
    }
    after.remove(&state.guild.id.cast());
    for changed in before.symmetric_difference(&after) {
        let role = state.role(*changed)?;
        if role.managed {
            return Err(invalid_role());
        }
        actor.outranks_role(role)?;
    }
    member.roles = after.into_iter().collect();
    Ok(())
}

fn set_timeout(
    request: &v1::EditMemberRequest,
    actor: &Actor<'_>,
    at: &Change<'_>,
    member: &mut Member,
) -> Result<(), Failure> {
    let Some(until_ms) = request.communication_disabled_until_ms else { return Ok(()) };
    actor.needs(Permissions::MODERATE_MEMBERS)?;
    actor.outranks(member)?;
    if until_ms == 0 {
        member.communication_disabled_until = None;
        return Ok(());
    }
    if Actor::new(at.state, member.clone(), at.now).is_administrator() {
        return Err(Failure::missing_permissions());
    }
    if until_ms > at.now.ms() + TIMEOUT_MS_MAX {
        let days = TIMEOUT_MS_MAX / 86_400_000;
        let message = format!("Must be at most {days} days in the future.");
        Fields::default().error("communication_disabled_until", "DATE_TIME_TYPE_MAX", message).finish()?;
    }
    member.communication_disabled_until = Some(Timestamp::from_ms(until_ms));
    Ok(())
}

/// A member's user has changed: their row is written again with the user as they are now.
pub(crate) struct RefreshMember(pub(crate) UserId);

#[async_trait]
impl Command for RefreshMember {
    type Reply = ();

    async fn run(self, at: &mut Change<'_>) -> Result<(), Failure> {
        let (Some(before), Some(user)) = (at.member(self.0).await?, at.user(self.0).await?) else {
            return Ok(());
        };
        if before.user == user {
            return Ok(());
        }
        let member = Member { user, ..before.clone() };
        at.put_member(Some(before), member);
        Ok(())
    }
}
