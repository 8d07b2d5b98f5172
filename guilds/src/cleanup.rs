//! What is left to do after a change is answered, and after a restart: removing the rows of a deleted guild, and writing
//! a changed user's member rows again. Both are written down with the change that asks for them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use model::limits::{CLEANUP_PAGE_LEN, CLEANUP_RETRY_MS, REFRESHES_AT_ONCE, RESUMES_AT_ONCE};
use model::{GuildId, UserId};
use proto::{Failure, FailureKind, v1};
use storage::{Lease, Slot, SlotSet};

use crate::accounts::Accounts;
use crate::changes::Changes;
use crate::members::RefreshMember;
use crate::store::{Commit, StoreError, Write};

/// Removes members, names and invites of a guild that is gone, page by page.
pub(crate) async fn delete_guild(changes: Arc<Changes>, guild: GuildId) {
    while !changes.tasks.is_stopping() {
        // Whose slot it is goes on with it.
        let Ok(lease) = changes.lease(SlotSet::Guilds, guild.get()) else { return };
        match delete_page(&changes, &lease, guild).await {
            Ok(true) => return,
            Ok(false) => {}
            Err(error) => {
                tracing::warn!(%error, %guild, "rows of a deleted guild are left for now");
                pause(&changes).await;
            }
        }
    }
}

async fn delete_page(changes: &Changes, lease: &Lease, guild: GuildId) -> Result<bool, StoreError> {
    let members = changes.store.members_after(guild, None, CLEANUP_PAGE_LEN).await?;
    let mut writes: Vec<_> =
        members.into_iter().map(|member| Write::DeleteMember(Box::new(member))).collect();
    let is_last = writes.len() < CLEANUP_PAGE_LEN;
    if is_last {
        writes.extend(changes.store.invites_of(guild).await?.into_iter().map(Write::DeleteInvite));
        writes.push(Write::EndDeletion(guild));
    }
    changes.store.commit(lease, Commit { writes, ..Commit::default() }).await?;
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
    if changes.store.refresh_of(user).await? == Some(edit)
        && let Ok(lease) = changes.lease(SlotSet::Users, user.get())
    {
        let writes = vec![Write::DeleteRefresh(user)];
        changes.store.commit(&lease, Commit { writes, ..Commit::default() }).await?;
    }
    Ok(())
}

/// Repeats it in this one guild until it is done, or until shutdown: the others have not to wait for it.
async fn refresh_one(accounts: &Accounts, guild: GuildId, user: UserId) {
    while !accounts.changes.tasks.is_stopping() {
        match refresh_member(accounts, guild, user).await {
            Ok(()) => return,
            Err(failure) if failure.kind == FailureKind::NotFound => return,
            Err(failure) => {
                tracing::warn!(%failure, %guild, %user, "a member row of a changed user is left for now");
                pause(&accounts.changes).await;
            }
        }
    }
}

/// A guild that is another replica's is asked of that one.
async fn refresh_member(accounts: &Accounts, guild: GuildId, user: UserId) -> Result<(), Failure> {
    match (accounts.actors.change(guild, RefreshMember(user)).await, &accounts.replicas) {
        (Err(failure), Some(replicas)) if failure.kind == FailureKind::NotOwner => {
            let request = v1::RefreshMemberRequest { guild_id: guild.get(), user_id: user.get() };
            replicas.clone().refresh_member(request).await.map(drop).map_err(Failure::from)
        }
        (answer, _) => answer,
    }
}

/// Goes on with what an earlier owner of these slots has left to do.
pub(crate) fn resume(accounts: &Arc<Accounts>, set: SlotSet, slots: Vec<Slot>) {
    let tasks = &accounts.changes.tasks;
    match set {
        SlotSet::Guilds => {
            let deletions = resume_deletions(accounts.changes.clone(), slots);
            tasks.spawn_passing("the removal of deleted guilds", deletions);
        }
        SlotSet::Users => {
            let refreshes = resume_refreshes(accounts.clone(), slots);
            tasks.spawn_passing("the refresh of changed users", refreshes);
        }
        SlotSet::Channels => {}
    }
}

/// Goes on with every deletion in these slots that an earlier owner did not finish, a few at a time.
async fn resume_deletions(changes: Arc<Changes>, slots: Vec<Slot>) {
    let resume = |slot| resume_deletions_in(changes.clone(), slot);
    futures_util::stream::iter(slots).for_each_concurrent(RESUMES_AT_ONCE, resume).await;
}

async fn resume_deletions_in(changes: Arc<Changes>, slot: Slot) {
    let mut last = None;
    while !changes.tasks.is_stopping() {
        let page = match changes.store.deletions(slot, last, CLEANUP_PAGE_LEN).await {
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

/// Goes on with every changed user of these slots whose member rows an earlier owner did not write again, a few at a time.
async fn resume_refreshes(accounts: Arc<Accounts>, slots: Vec<Slot>) {
    let resume = |slot| resume_refreshes_in(accounts.clone(), slot);
    futures_util::stream::iter(slots).for_each_concurrent(RESUMES_AT_ONCE, resume).await;
}

async fn resume_refreshes_in(accounts: Arc<Accounts>, slot: Slot) {
    let mut last = None;
    while !accounts.changes.tasks.is_stopping() {
        let page = match accounts.changes.store.refreshes(slot, last, CLEANUP_PAGE_LEN).await {
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
