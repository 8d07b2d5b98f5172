//! Applications, each with its bot: a user whose id is the application's.

use std::sync::Arc;

use model::limits::{
    APPLICATION_DESCRIPTION_CHARS_MAX, OWNER_APPLICATIONS_MAX, USERNAME_CHARS_MAX, USERNAME_CHARS_MIN,
};
use model::{ApplicationId, Intents, User, UserId};
use proto::convert::id;
use proto::failure::{FailureKind, code};
use proto::{Failure, v1};
use storage::SlotSet;

use crate::accounts::Accounts;
use crate::accounts::tokens::{self, NewToken};
use crate::changes::Draft;
use crate::store::Write;
use crate::validate::Fields;

impl Accounts {
    pub(crate) async fn create_application(
        self: &Arc<Self>,
        request: v1::CreateApplicationRequest,
    ) -> Result<v1::CreateApplicationReply, Failure> {
        let owner_id: UserId = id("owner_id", request.owner_id)?;
        Fields::default()
            .length("name", request.name.trim(), USERNAME_CHARS_MIN, USERNAME_CHARS_MAX)
            .max_length("description", &request.description, APPLICATION_DESCRIPTION_CHARS_MAX)
            .finish()?;
        let accounts = self.clone();
        self.run(async move {
            let _owner = accounts.users.lock(&[owner_id.get()]).await;
            accounts.user(owner_id).await?;
            if accounts.changes.store.applications_of(owner_id).await?.len() >= OWNER_APPLICATIONS_MAX {
                let message = format!("OAuth2 application limit reached ({OWNER_APPLICATIONS_MAX})");
                return Err(Failure::new(FailureKind::Invalid, code::MAX_APPLICATIONS, message));
            }
            let bot_id: UserId = accounts.changes.next_id_in(SlotSet::Users);
            let application = v1::Application {
                id: bot_id.get(),
                name: request.name.trim().to_owned(),
                description: request.description,
                owner_id: owner_id.get(),
                bot_id: bot_id.get(),
                bot_public: true,
                privileged_intents: request.privileged_intents & Intents::PRIVILEGED.bits(),
                verify_key: model::entropy::number(),
            };
            let token = NewToken::make(&accounts.changes.ledger, bot_id, accounts.changes.now().ms());
            let bot = User::new(bot_id, application.name.clone(), true);
            let writes = vec![
                Write::PutUser(bot),
                Write::PutApplication(application.clone()),
                Write::PutToken(token.row),
            ];
            accounts.commit(bot_id, Draft { writes, events: Vec::new() }).await?;
            Ok(v1::CreateApplicationReply { application: Some(application), bot_token: token.text })
        })
        .await
    }

    pub(crate) async fn application(&self, number: u64) -> Result<v1::Application, Failure> {
        let application_id: ApplicationId = id("application_id", number)?;
        let found = self.changes.store.application(application_id).await?;
        found.ok_or_else(|| Failure::unknown(code::UNKNOWN_APPLICATION, "Application"))
    }

    /// A new token for the bot; whoever has an old one is cut off.
    pub(crate) async fn reset_bot_token(
        self: &Arc<Self>,
        request: v1::ResetBotTokenRequest,
    ) -> Result<v1::TokenReply, Failure> {
        let application = self.application(request.application_id).await?;
        if application.owner_id != request.actor_id {
            return Err(Failure::missing_access());
        }
        let bot_id: UserId = id("bot_id", application.bot_id)?;
        let accounts = self.clone();
        self.run(async move {
            let _bot = accounts.users.lock(&[bot_id.get()]).await;
            let bot = accounts.user(bot_id).await?;
            let token = NewToken::make(&accounts.changes.ledger, bot_id, accounts.changes.now().ms());
            let mut draft = Draft::default();
            let old = accounts.changes.store.tokens_of(bot_id).await?;
            old.into_iter().for_each(|token| draft.revoke(token));
            draft.writes.push(Write::PutToken(token.row));
            accounts.commit(bot_id, draft).await?;
            Ok(tokens::reply(&bot, token))
        })
        .await
    }
}
