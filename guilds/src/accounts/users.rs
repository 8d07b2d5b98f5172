//! Users: registered, logged in, changed.
//!
//! A name belongs to one person, without regard to case. Bots are named as their applications are, and may share names.

use std::sync::Arc;

use model::limits::{
    AVATAR_CHARS_MAX, GLOBAL_NAME_CHARS_MAX, PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN, USERNAME_CHARS_MAX,
    USERNAME_CHARS_MIN,
};
use model::{User, UserId};
use proto::convert::id;
use proto::{Failure, FieldError, v1};
use storage::SlotSet;

use crate::accounts::Accounts;
use crate::accounts::tokens::{self, NewToken};
use crate::changes::Draft;
use crate::cleanup;
use crate::events::Event;
use crate::store::Write;
use crate::store::keys::lower;
use crate::validate::Fields;

impl Accounts {
    pub(crate) async fn register(
        self: &Arc<Self>,
        request: v1::RegisterRequest,
    ) -> Result<v1::TokenReply, Failure> {
        let mut fields = Fields::default();
        fields.username("username", &request.username);
        fields.length("password", &request.password, PASSWORD_CHARS_MIN, PASSWORD_CHARS_MAX);
        if let Some(name) = &request.global_name {
            fields.max_length("global_name", name.trim(), GLOBAL_NAME_CHARS_MAX);
        }
        fields.finish()?;
        let name = lower(&request.username);
        // A look before the expensive part; the one that counts comes under the lock.
        self.refuse_taken(&name).await?;
        let phc = self.passwords.hash(request.password).await?;
        let accounts = self.clone();
        self.run(async move {
            let _name = accounts.names.lock(&[&name]).await;
            accounts.refuse_taken(&name).await?;
            let user_id = accounts.changes.next_id_in(SlotSet::Users);
            let mut user = User::new(user_id, request.username, false);
            user.global_name = text(request.global_name);
            let token = NewToken::make(&accounts.changes.ledger, user.id, accounts.changes.now().ms());
            let writes = vec![
                Write::PutUser(user.clone()),
                Write::PutUsername(name, user.id),
                Write::PutPassword(user.id, phc),
                Write::PutToken(token.row),
            ];
            accounts.commit(user.id, Draft { writes, events: Vec::new() }).await?;
            Ok(tokens::reply(&user, token))
        })
        .await
    }

    async fn refuse_taken(&self, lower: &str) -> Result<(), Failure> {
        if self.changes.store.user_named(lower).await?.is_none() {
            return Ok(());
        }
        Err(name_taken())
    }

    pub(crate) async fn login(
        self: &Arc<Self>,
        request: v1::LoginRequest,
    ) -> Result<v1::TokenReply, Failure> {
        let store = &self.changes.store;
        let is_possible = request.password.chars().count() <= PASSWORD_CHARS_MAX;
        let user = if is_possible { store.user_named(&lower(&request.username)).await? } else { None };
        let phc = match user {
            Some(user) => store.password(user).await?,
            None => None,
        };
        let password = if is_possible { request.password } else { String::new() };
        let is_right = self.passwords.is_right(password, phc).await?;
        match user.filter(|_| is_right) {
            Some(user) => self.issue_token(user).await,
            None => {
                let wrong = |path: &str| FieldError {
                    path: path.into(),
                    code: "INVALID_LOGIN".into(),
                    message: "Name or password is wrong.".into(),
                };
                Err(Failure::invalid_fields(vec![wrong("login"), wrong("password")]))
            }
        }
    }

    pub(crate) async fn find_user(&self, username: &str) -> Result<User, Failure> {
        let found = self.changes.store.user_named(&lower(username)).await?;
        self.user(found.ok_or_else(crate::state::unknown_user)?).await
    }

    /// Changes a user, and then writes their member rows again; the answer waits for that as long as it can.
    pub(crate) async fn edit_user(self: &Arc<Self>, request: v1::EditUserRequest) -> Result<User, Failure> {
        let user_id: UserId = id("user_id", request.user_id)?;
        let accounts = self.clone();
        let user = self.run(async move { accounts.store_edit(user_id, request).await }).await?;
        let accounts = self.clone();
        let refresh = self.run(async move {
            cleanup::refresh_user(&accounts, user_id).await;
            Ok(())
        });
        // It is written down and goes on whatever becomes of this wait.
        if let Err(failure) = refresh.await {
            tracing::warn!(%failure, user = %user_id, "member rows are being written after the answer");
        }
        Ok(user)
    }

    async fn store_edit(&self, user_id: UserId, request: v1::EditUserRequest) -> Result<User, Failure> {
        let _user = self.users.lock(&[user_id.get()]).await;
        let before = self.user(user_id).await?;
        let mut user = before.clone();
        check(&request, &before)?;
        let old = lower(&before.username);
        let new = request.username.as_deref().map_or_else(|| old.clone(), lower);
        let _names = self.names.lock(&[&old, &new]).await;
        let mut draft = Draft::default();
        if new != old && !before.bot {
            self.refuse_taken(&new).await?;
            draft.writes.push(Write::DeleteUsername(old, user_id));
            draft.writes.push(Write::PutUsername(new, user_id));
        }
        if let Some(name) = request.username {
            user.username = name;
        }
        if request.global_name.is_some() {
            user.global_name = text(request.global_name);
        }
        if request.avatar.is_some() {
            user.avatar = text(request.avatar);
        }
        draft.writes.push(Write::PutUser(user.clone()));
        draft.writes.push(Write::PutRefresh(user_id, self.changes.ledger.next()));
        draft.events.push(Event::user_update(&user));
        self.commit(user_id, draft).await?;
        Ok(user)
    }
}

/// What somebody is told who wants a name that another person has.
pub(crate) fn name_taken() -> Failure {
    let message = "This name is taken. Try another one.";
    Failure::invalid_field("username", "USERNAME_ALREADY_TAKEN", message)
}

/// An empty text is none.
fn text(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

fn check(request: &v1::EditUserRequest, user: &User) -> Result<(), Failure> {
    let mut fields = Fields::default();
    if let Some(name) = &request.username {
        if user.bot {
            fields.length("username", name, USERNAME_CHARS_MIN, USERNAME_CHARS_MAX);
        } else {
            fields.username("username", name);
        }
    }
    if let Some(name) = &request.global_name {
        fields.max_length("global_name", name.trim(), GLOBAL_NAME_CHARS_MAX);
    }
    if let Some(avatar) = &request.avatar {
        fields.max_length("avatar", avatar, AVATAR_CHARS_MAX);
    }
    fields.finish()
}
