//! What is left to do after a change is answered, and after a restart: removing the rows of a deleted guild, and writing
//! a changed user's member rows again. Both are written down with the change that asks for them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use model::limits::{CLEANUP_PAGE_LEN, CLEANUP_RETRY_MS, REFRESHES_AT_ONCE, RESUMES_AT_ONCE};
use model::{GuildId, UserId};
use proto::FailureKind;

use crate::accounts::Accounts;
use crate::changes::Changes;
use crate::members::RefreshMember;
use crate::store::{Commit, StoreError, Write};

/// Removes members, names and invites of a guild that is gone, page by page.
pub(crate) async fn delete_guild(changes: Arc<Changes>, guild: GuildId) {
    while !changes.tasks.is_stopping() {
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
    while !accounts.changes.tasks.is_stopping() {
        match refresh_all(accounts, user).await {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(%error, %user, "member rows of a changed user are left for now");
                pause(&accounts.changes).await;
            }
        }
    }
}

async fn refresh_all(accounts: &Accounts, user: UserId) -> Result<(), StoreError> {
    let changes = &accounts.changes;
    let Some(edit) = changes.store.refresh_of(user).await? else { return Ok(()) };
    let mut last = None;
    loop {
        let guilds = changes.store.guilds_after(user, last, CLEANUP_PAGE_LEN).await?;
        last = guilds.last().copied();
        let is_last = guilds.len() < CLEANUP_PAGE_LEN;
        let work = guilds.into_iter().map(|guild| refresh_one(accounts, guild, user));
        futures_util::stream::iter(work).buffer_unordered(REFRESHES_AT_ONCE).collect::<()>().await;
        if is_last {
            break;
        }
    }
    // Without a mark that it is done, the next start goes over it again.
    if changes.tasks.is_stopping() {
        return Ok(());
    }
    // A newer edit has a pass of its own.
    let _user = accounts.users.lock(&[user.get()]).await;
    if changes.store.refresh_of(user).await? == Some(edit) {
        let writes = vec![Write::DeleteRefresh(user)];
        changes.store.commit(Commit { writes, ..Commit::default() }).await?;
    }
    Ok(())
}

/// Repeats it in this one guild until it is done, or until shutdown: the others have not to wait for it.
async fn refresh_one(accounts: &Accounts, guild: GuildId, user: UserId) {
    while !accounts.changes.tasks.is_stopping() {
        match accounts.actors.change(guild, RefreshMember(user)).await {
            Ok(()) => return,
            Err(failure) if failure.kind == FailureKind::NotFound => return,
            Err(failure) => {
                tracing::warn!(%failure, %guild, %user, "a member row of a changed user is left for now");
                pause(&accounts.changes).await;
            }
        }
    }
}

/// Goes on with every deletion that an earlier run did not finish, a few at a time.
pub(crate) async fn resume_deletions(changes: Arc<Changes>) {
    let mut last = None;
    while !changes.tasks.is_stopping() {
        let page = match changes.store.deletions(last, CLEANUP_PAGE_LEN).await {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(%error, "what is left of deleted guilds cannot be read");
                pause(&changes).await;
                continue;
            }
        };
        let is_last = page.len() < CLEANUP_PAGE_LEN;
        last = page.last().copied();
        let work = page.into_iter().map(|guild| delete_guild(changes.clone(), guild));
        futures_util::stream::iter(work).buffer_unordered(RESUMES_AT_ONCE).collect::<()>().await;
        if is_last {
            return;
        }
    }
}

/// Goes on with every changed user whose member rows an earlier run did not write again, a few at a time.
pub(crate) async fn resume_refreshes(accounts: Arc<Accounts>) {
    let mut last = None;
    while !accounts.changes.tasks.is_stopping() {
        let page = match accounts.changes.store.refreshes(last, CLEANUP_PAGE_LEN).await {
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(%error, "changed users who are left to write again cannot be read");
                pause(&accounts.changes).await;
                continue;
            }
        };
        let is_last = page.len() < CLEANUP_PAGE_LEN;
        last = page.last().copied();
        let work = page.into_iter().map(|user| refresh_user(&accounts, user));
        futures_util::stream::iter(work).buffer_unordered(RESUMES_AT_ONCE).collect::<()>().await;
        if is_last {
            return;
        }
    }
}

async fn pause(changes: &Changes) {
    let wait = tokio::time::sleep(Duration::from_millis(CLEANUP_RETRY_MS));
    let _ = changes.tasks.stop_token().run_until_cancelled(wait).await;
}
