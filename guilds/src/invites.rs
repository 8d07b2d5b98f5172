//! Invites: made, used, deleted. The code names the guild; everything else is decided by the guild's own task, so that
//! an invite for one use lets one in.

use async_trait::async_trait;
use model::limits::{
    GUILD_INVITES_MAX, INVITE_AGE_SECS_DEFAULT, INVITE_AGE_SECS_MAX, INVITE_CODE_CHARS, INVITE_USES_MAX,
};
use model::{ChannelId, Invite, Permissions, UserId};
use proto::convert::id;
use proto::failure::{FailureKind, code};
use proto::{Failure, v1};

use crate::command::{Change, Command};
use crate::events::Event;
use crate::membership::join;
use crate::state::{GuildState, unknown_user};
use crate::store::Write;
use crate::validate::Fields;

/// The public API's code for what is only for people.
const PEOPLE_ONLY: u32 = 20_001;

/// An invite with what an answer shows of its surroundings.
pub(crate) struct Shown {
    pub(crate) invite: Invite,
    pub(crate) guild: model::Guild,
    pub(crate) channel: model::Channel,
}

impl Shown {
    /// `None` when its channel is gone.
    pub(crate) fn new(state: &GuildState, invite: Invite) -> Option<Self> {
        let channel = state.channels.get(&invite.channel_id)?.clone();
        Some(Self { invite, guild: state.guild.clone(), channel })
    }
}

#[async_trait]
impl Command for v1::CreateInviteRequest {
    type Reply = Invite;

    async fn run(self, at: &mut Change<'_>) -> Result<Invite, Failure> {
        let actor = at.actor_in_channel(id("actor_id", self.actor_id)?).await?;
        let channel = at.state.channel(id("channel_id", self.channel_id)?)?;
        actor.needs_in(channel, Permissions::CREATE_INSTANT_INVITE)?;
        let max_age = self.max_age_secs.unwrap_or(INVITE_AGE_SECS_DEFAULT);
        Fields::default()
            .range("max_age", max_age.into(), 0, INVITE_AGE_SECS_MAX.into())
            .range("max_uses", self.max_uses.into(), 0, INVITE_USES_MAX.into())
            .finish()?;
        let invite = Invite {
            code: new_code(),
            guild_id: at.guild.id,
            channel_id: channel.id,
            inviter_id: actor.id(),
            created_at: at.now,
            max_age,
            max_uses: self.max_uses,
            uses: 0,
            temporary: self.temporary,
        };
        let (usable, over): (Vec<_>, Vec<_>) = at
            .changes
            .store
            .invites_of(at.guild.id)
            .await?
            .into_iter()
            .partition(|invite| invite.is_usable(at.now));
        if !self.unique
            && let Some(like) = usable.iter().find(|other| is_alike(other, &invite))
        {
            return Ok(like.clone());
        }
        if usable.len() >= GUILD_INVITES_MAX {
            let message = format!("Maximum number of invites reached ({GUILD_INVITES_MAX})");
            return Err(Failure::new(FailureKind::Invalid, code::MAX_INVITES, message));
        }
        over.iter().for_each(|invite| at.delete_invite(invite));
        at.event(Event::invite_create(&at.guild, &invite, &actor.member.user));
        at.write(Write::PutInvite(invite.clone()));
        Ok(invite)
    }
}

/// Whether an invite that is there serves as well as a new one.
fn is_alike(other: &Invite, invite: &Invite) -> bool {
    let terms = |invite: &Invite| (invite.channel_id, invite.inviter_id, invite.max_age, invite.max_uses);
    terms(other) == terms(invite) && other.temporary == invite.temporary && other.uses == 0
}

fn new_code() -> String {
    const LETTERS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let letter = |_| char::from(LETTERS[model::entropy::below(LETTERS.len() as u64) as usize]);
    (0..INVITE_CODE_CHARS).map(letter).collect()
}

pub(crate) fn unknown_invite() -> Failure {
    Failure::unknown(code::UNKNOWN_INVITE, "Invite")
}

#[async_trait]
impl Command for v1::UseInviteRequest {
    type Reply = Shown;

    async fn run(self, at: &mut Change<'_>) -> Result<Shown, Failure> {
        let user_id: UserId = id("user_id", self.user_id)?;
        let user = at.user(user_id).await?.ok_or_else(unknown_user)?;
        if user.bot {
            return Err(Failure::new(FailureKind::Forbidden, PEOPLE_ONLY, "Bots cannot use this endpoint"));
        }
        let invite = at.changes.store.invite(&self.code).await?;
        let mut invite = invite.filter(|invite| invite.is_usable(at.now)).ok_or_else(unknown_invite)?;
        if at.member(user_id).await?.is_none() {
            join(at, user, Vec::new()).await?;
            invite.uses += 1;
            if invite.is_usable(at.now) {
                at.write(Write::PutInvite(invite.clone()));
            } else {
                at.delete_invite(&invite);
            }
        }
        let shown = Shown::new(at.state, invite).ok_or_else(unknown_invite)?;
        Ok(Shown { guild: at.guild.clone(), ..shown })
    }
}

#[async_trait]
impl Command for v1::DeleteInviteRequest {
    type Reply = Shown;

    async fn run(self, at: &mut Change<'_>) -> Result<Shown, Failure> {
        let invite = at.changes.store.invite(&self.code).await?.ok_or_else(unknown_invite)?;
        let actor = at.actor_in_channel(id("actor_id", self.actor_id)?).await?;
        let channel_id: ChannelId = invite.channel_id;
        let channel = at.state.channel(channel_id)?;
        if !actor.base.contains(Permissions::MANAGE_GUILD) {
            actor.needs_in(channel, Permissions::MANAGE_CHANNELS)?;
        }
        at.delete_invite(&invite);
        Shown::new(at.state, invite).ok_or_else(unknown_invite)
    }
}
