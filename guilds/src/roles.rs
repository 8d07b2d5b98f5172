//! Roles and their order. Position 0 is `@everyone`; a new role comes to position 1 and pushes up what stood there.

use std::collections::BTreeMap;

use async_trait::async_trait;
use model::limits::{
    CHANGE_BYTES_MAX, COLOR_MAX, EMOJI_BYTES_MAX, GUILD_ROLES_MAX, POSITION_MAX, ROLE_NAME_CHARS_MAX,
};
use model::{Permissions, Role, RoleId};
use proto::convert::id;
use proto::failure::{FailureKind, code};
use proto::{Failure, v1};

use crate::channels;
use crate::command::{Change, Command};
use crate::rules::Rank;
use crate::state::GuildState;
use crate::validate::Fields;

/// The public API's code for a role that cannot be deleted, moved or given.
const INVALID_ROLE: u32 = 50_028;

#[async_trait]
impl Command for v1::CreateRoleRequest {
    type Reply = Role;

    async fn run(self, at: &mut Change<'_>) -> Result<Role, Failure> {
        let actor = at.actor(id("actor_id", self.actor_id)?).await?;
        actor.needs(Permissions::MANAGE_ROLES)?;
        let fields = self.fields.unwrap_or_default();
        check(&fields)?;
        let everyone = at.state.permissions_of(at.guild.id.cast()).unwrap_or_default();
        let permissions = fields.permissions.map_or(everyone, Permissions::from_bits);
        if fields.permissions.is_some() {
            actor.may_grant(permissions)?;
        }
        let mut role = Role::new(at.changes.ledger.next_id(), "new role", permissions);
        apply(fields, &mut role);
        insert(at, role)
    }
}

/// Adds a role at the lowest position.
pub(crate) fn insert(at: &mut Change<'_>, mut role: Role) -> Result<Role, Failure> {
    if at.state.roles.len() >= GUILD_ROLES_MAX {
        let message = format!("Maximum number of server roles reached ({GUILD_ROLES_MAX})");
        return Err(Failure::new(FailureKind::Invalid, code::MAX_ROLES, message));
    }
    role.position = 1;
    let mut pushed: Vec<&Role> = at.state.roles.values().filter(|role| role.position > 0).collect();
    pushed.sort_by_key(|role| Rank::of_role(role));
    let role = at.put_role(role);
    for (other, free) in pushed.into_iter().zip(2..) {
        if other.position >= free {
            break;
        }
        at.put_role(Role { position: free, ..other.clone() });
    }
    Ok(role)
}

#[async_trait]
impl Command for v1::EditRoleRequest {
    type Reply = Role;

    async fn run(self, at: &mut Change<'_>) -> Result<Role, Failure> {
        let actor = at.actor(id("actor_id", self.actor_id)?).await?;
        actor.needs(Permissions::MANAGE_ROLES)?;
        let mut role = at.state.role(id("role_id", self.role_id)?)?.clone();
        actor.outranks_role(&role)?;
        let mut fields = self.fields.unwrap_or_default();
        check(&fields)?;
        if let Some(bits) = fields.permissions {
            actor.may_grant(Permissions::from_bits(bits).without(role.permissions))?;
            role.permissions = Permissions::from_bits(bits);
        }
        if at.state.is_everyone(role.id) {
            fields.name = None;
        }
        apply(fields, &mut role);
        Ok(at.put_role(role))
    }
}

#[async_trait]
impl Command for v1::MoveRolesRequest {
    type Reply = Vec<Role>;

    async fn run(self, at: &mut Change<'_>) -> Result<Vec<Role>, Failure> {
        let actor = at.actor(id("actor_id", self.actor_id)?).await?;
        actor.needs(Permissions::MANAGE_ROLES)?;
        let mut moves: BTreeMap<RoleId, u32> = BTreeMap::new();
        for (index, step) in self.moves.iter().enumerate() {
            let role = at.state.role(id("moves.role_id", step.role_id)?)?;
            if at.state.is_everyone(role.id) {
                if step.position == 0 {
                    continue;
                }
                return Err(invalid_role());
            }
            let path = format!("{index}.position");
            Fields::default().range(&path, step.position.into(), 1, POSITION_MAX.into()).finish()?;
            if step.position != role.position {
                actor.outranks_role(role)?;
                outranks_position(actor.rank(), step.position)?;
            }
            moves.insert(role.id, step.position);
        }
        let mut roles = reordered(at.state, &moves);
        for role in &roles {
            let before = &at.state.roles[&role.id];
            if before.position != role.position || moves.contains_key(&role.id) {
                at.put_role(role.clone());
            }
        }
        roles.extend(at.state.roles.get(&at.guild.id.cast()).cloned());
        roles.sort_by_key(|role| role.position);
        Ok(roles)
    }
}

#[async_trait]
impl Command for v1::DeleteRoleRequest {
    type Reply = Piece;

    async fn run(self, at: &mut Change<'_>) -> Result<Piece, Failure> {
        let actor = at.actor(id("actor_id", self.actor_id)?).await?;
        actor.needs(Permissions::MANAGE_ROLES)?;
        let role = at.state.role(id("role_id", self.role_id)?)?.clone();
        actor.outranks_role(&role)?;
        if at.state.is_everyone(role.id) || role.managed {
            return Err(invalid_role());
        }
        Ok(remove(at, &role))
    }
}

/// How far a change came that may be too large for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Make it again: more is left.
    More,
    Last,
}

/// Deletes a role with its overwrites: members may keep its id in their rows, so nothing may refer to it any more.
/// Where the channels are too much for one change, it takes a piece of them and leaves the role.
pub(crate) fn remove(at: &mut Change<'_>, role: &Role) -> Piece {
    let target = model::OverwriteKind::Role(role.id);
    let mut bytes = 0;
    for channel in at.state.channels.values() {
        if channel.overwrites.iter().any(|overwrite| overwrite.target == target) {
            bytes += channels::change_bytes(channel);
            if bytes > CHANGE_BYTES_MAX {
                return Piece::More;
            }
            let mut channel = channel.clone();
            channel.overwrites.retain(|overwrite| overwrite.target != target);
            at.put_channel(channel);
        }
    }
    at.delete_role(role);
    Piece::Last
}

/// All roles but `@everyone` in their new order, numbered from 1; at one position stands whoever moved down
/// below, and whoever moved up above those who were there.
fn reordered(state: &GuildState, moves: &BTreeMap<RoleId, u32>) -> Vec<Role> {
    let others = state.roles.values().filter(|role| !state.is_everyone(role.id));
    let mut roles: Vec<Role> = others.cloned().collect();
    roles.sort_by_key(|role| {
        let position = moves.get(&role.id).copied().unwrap_or(role.position);
        (position, position.cmp(&role.position), Rank::of_role(role))
    });
    for (role, position) in roles.iter_mut().zip(1..) {
        role.position = position;
    }
    roles
}

/// Refuses a place as high as one's own highest role, or higher.
fn outranks_position(rank: Rank, position: u32) -> Result<(), Failure> {
    match rank {
        Rank::Role(own, _) if position >= own => Err(Failure::missing_permissions()),
        _ => Ok(()),
    }
}

pub(crate) fn invalid_role() -> Failure {
    Failure::new(FailureKind::Invalid, INVALID_ROLE, "Invalid Role")
}

fn check(fields: &v1::RoleFields) -> Result<(), Failure> {
    let mut errors = Fields::default();
    if let Some(name) = &fields.name {
        errors.length("name", name, 1, ROLE_NAME_CHARS_MAX);
    }
    if let Some(color) = fields.color {
        errors.range("color", color.into(), 0, COLOR_MAX.into());
    }
    if let Some(emoji) = &fields.unicode_emoji
        && emoji.len() > EMOJI_BYTES_MAX
    {
        errors.error("unicode_emoji", "BASE_TYPE_BAD_STRING", "Must be one emoji.");
    }
    errors.finish()
}

/// Everything but permissions.
fn apply(fields: v1::RoleFields, role: &mut Role) {
    if let Some(name) = fields.name {
        role.name = name;
    }
    if let Some(color) = fields.color {
        role.set_color(color);
    }
    if let Some(emoji) = fields.unicode_emoji {
        role.unicode_emoji = (!emoji.is_empty()).then_some(emoji);
    }
    role.hoist = fields.hoist.unwrap_or(role.hoist);
    role.mentionable = fields.mentionable.unwrap_or(role.mentionable);
}
