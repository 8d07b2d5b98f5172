//! What is left to do after a change is answered, and after a restart: removing the rows of a deleted guild, and writing
//! a changed user's member rows again. Both are written down with the change that asks for them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use model::limits::{CLEANUP_PAGE_LEN, CLEANUP_RETRY_MS, REFRESHES_AT_ONCE};
use model::{GuildId, UserId};
use proto::{Failure, FailureKind};

use crate::accounts::Accounts;
use crate::actor::Actors;
use crate::changes::Changes;
use crate::members::RefreshMember;
use crate::store::{Commit, StoreError, Write};

/// Removes members, names and invites of a guild that is gone, page by page.
pub(crate) async fn delete_guild(changes: Arc<Changes>, guild: GuildId) {
    while !changes.stop.is_cancelled() {
        match delete_page(&changes, guild).await {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, %guild, "rows of a deleted guild are left for now");
                pause(&changes).await;
            }
        }
    }
}

async fn delete_page(changes: &Changes, guild: GuildId) -> Result<bool, StoreError> {
    let members = changes.store.members_after(guild, None, CLEANUP_PAGE_LEN).await?;
    let mut writes: Vec<_> =
        members.into_iter().map(|member| Write::DeleteMember(Box::new(member))).collect();
    let is_last = writes.len() < CLEANUP_PAGE_LEN;
    if is_last {
        writes.extend(changes.store.invites_of(guild).await?.into_iter().map(Write::DeleteInvite));
        writes.push(Write::EndDeletion(guild));
    }
    changes.store.commit(Commit { writes, ..Commit::default() }).await?;
    Ok(is_last)
}

/// Writes a user's member rows again in all their guilds, with an event in each, a few guilds at a time.
pub(crate) async fn refresh_user(accounts: &Accounts, user: UserId) {
    while !accounts.changes.stop.is_cancelled() {
        match refresh_all(accounts, user).await {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(%error, %user, "member rows of a changed user are left for now");
                pause(&accounts.changes).await;
            }
        }
    }
}

async fn refresh_all(accounts: &Accounts, user: UserId) -> Result<(), Failure> {
    let (changes, actors) = (&accounts.changes, &accounts.actors);
    let Some(edit) = changes.store.refresh_of(user).await? else { return Ok(()) };
    let mut last = None;
    loop {
        let guilds = changes.store.guilds_after(user, last, CLEANUP_PAGE_LEN).await?;
        let mut waiting = FuturesUnordered::new();
        for guild in &guilds {
            if waiting.len() == REFRESHES_AT_ONCE {
                waiting.next().await.unwrap_or(Ok(()))?;
            }
            waiting.push(refresh_one(actors, *guild, user));
        }
        while let Some(outcome) = waiting.next().await {
            outcome?;
        }
        last = guilds.last().copied();
        if guilds.len() < CLEANUP_PAGE_LEN {
            break;
        }
    }
    // A newer edit has a pass of its own.
    let _user = accounts.users.lock(&[user.get()]).await;
    if changes.store.refresh_of(user).await? == Some(edit) {
        let writes = vec![Write::DeleteRefresh(user)];
        changes.store.commit(Commit { writes, ..Commit::default() }).await?;
    }
    Ok(())
}

async fn refresh_one(actors: &Arc<Actors>, guild: GuildId, user: UserId) -> Result<(), Failure> {
    match actors.change(guild, RefreshMember(user)).await {
        Err(failure) if failure.kind == FailureKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

async fn pause(changes: &Changes) {
    let wait = tokio::time::sleep(Duration::from_millis(CLEANUP_RETRY_MS));
    let _ = changes.stop.run_until_cancelled(wait).await;
}
