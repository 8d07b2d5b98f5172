//! Joining and leaving a guild.

use async_trait::async_trait;
use model::limits::{GUILD_MEMBERS_MAX, USER_GUILDS_MAX};
use model::role::RoleTags;
use model::{ApplicationId, Member, Permissions, Role, User, UserId};
use proto::convert::id;
use proto::failure::{FailureKind, code};
use proto::{Failure, v1};

use crate::changes::Changes;
use crate::command::{Change, Command};
use crate::events::Event;
use crate::roles::{self, Piece};
use crate::state::{unknown_member, unknown_user};

/// The public API's code for an owner who tries to leave.
const INVALID_GUILD: u32 = 50_055;
/// The public API's code for a bot that only its owner may add.
const BOT_NOT_PUBLIC: u32 = 20_012;

#[async_trait]
impl Command for v1::AddMemberRequest {
    type Reply = Member;

    async fn run(self, at: &mut Change<'_>) -> Result<Member, Failure> {
        let user_id: UserId = id("user_id", self.user_id)?;
        let actor = at.actor(id("actor_id", self.actor_id)?).await?;
        let user = at.user(user_id).await?.ok_or_else(unknown_user)?;
        if !user.bot {
            actor.needs(Permissions::CREATE_INSTANT_INVITE)?;
            return join(at, user, Vec::new()).await;
        }
        actor.needs(Permissions::MANAGE_GUILD)?;
        check_public(at, user_id, actor.id()).await?;
        if let Some(member) = at.member(user_id).await? {
            return Ok(member);
        }
        let permissions = Permissions::from_bits(self.bot_permissions) & actor.base;
        if permissions.is_empty() {
            return join(at, user, Vec::new()).await;
        }
        let mut role = Role::new(at.changes.ledger.next_id(), user.username.clone(), permissions);
        role.managed = true;
        role.tags = RoleTags { bot_id: Some(user_id) };
        let role = roles::insert(at, role)?;
        join(at, user, vec![role]).await
    }
}

/// A private bot is added by its owner alone.
async fn check_public(at: &Change<'_>, bot: UserId, actor: UserId) -> Result<(), Failure> {
    let application: ApplicationId = bot.cast();
    match at.changes.store.application(application).await? {
        Some(application) if !application.bot_public && application.owner_id != actor.get() => {
            let message = "You are not authorized to perform this action on this application";
            Err(Failure::new(FailureKind::Forbidden, BOT_NOT_PUBLIC, message))
        }
        _ => Ok(()),
    }
}

/// Makes a user a member with these roles; one who is a member already stays as they are.
pub(crate) async fn join(at: &mut Change<'_>, user: User, roles: Vec<Role>) -> Result<Member, Failure> {
    if let Some(member) = at.member(user.id).await? {
        return Ok(member);
    }
    if at.guild.member_count >= GUILD_MEMBERS_MAX {
        return Err(too_many_members());
    }
    check_room(at.changes, &user).await?;
    at.guild.member_count += 1;
    let mut member = Member::new(at.guild.id, user, at.now);
    member.roles = roles.iter().map(|role| role.id).collect();
    let member = at.put_member(None, member);
    at.event(Event::guild_joined(&at.guild, member.user.id));
    Ok(member)
}

/// Refuses a person who is in as many guilds as one may be. A bot may be in as many as there are; what bounds it is
/// that each of them added it.
pub(crate) async fn check_room(changes: &Changes, user: &User) -> Result<(), Failure> {
    let is_full = !user.bot
        && changes.store.guilds_after(user.id, None, USER_GUILDS_MAX).await?.len() >= USER_GUILDS_MAX;
    if !is_full {
        return Ok(());
    }
    let message = format!("Maximum number of guilds reached ({USER_GUILDS_MAX})");
    Err(Failure::new(FailureKind::Invalid, code::MAX_GUILDS, message))
}

pub(crate) fn too_many_members() -> Failure {
    let message = format!("Maximum number of server members reached ({GUILD_MEMBERS_MAX})");
    Failure::new(FailureKind::Invalid, code::MAX_MEMBERS, message)
}

#[async_trait]
impl Command for v1::RemoveMemberRequest {
    type Reply = Piece;

    async fn run(self, at: &mut Change<'_>) -> Result<Piece, Failure> {
        let actor = at.actor(id("actor_id", self.actor_id)?).await?;
        let user_id: UserId = id("user_id", self.user_id)?;
        if user_id == actor.id() {
            if actor.is_owner() {
                return Err(Failure::new(FailureKind::Invalid, INVALID_GUILD, "Invalid Guild"));
            }
        } else {
            actor.needs(Permissions::KICK_MEMBERS)?;
            let member = at.member(user_id).await?.ok_or_else(unknown_member)?;
            actor.outranks(&member)?;
        }
        let member = at.existing_member(user_id).await?;
        let managed = |role: &&Role| role.managed && role.tags.bot_id == Some(user_id);
        if let Some(role) = at.state.roles.values().find(managed)
            && roles::remove(at, role) == Piece::More
        {
            return Ok(Piece::More);
        }
        at.delete_member(&member);
        Ok(Piece::Last)
    }
}
