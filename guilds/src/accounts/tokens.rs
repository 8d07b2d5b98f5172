//! Tokens: random, stored as a hash only, several per user, revocable.
//!
//! [`proto::token`] has their form. A token is looked up by its SHA-256: the time of a lookup tells nothing about the
//! token, and who reads the store cannot log in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::limits::{TOKEN_CHARS_MAX, USER_TOKENS_MAX};
use model::{ApplicationId, UserId};
use proto::failure::code;
use proto::token::{bare, claimed_user};
use proto::{Failure, v1};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use storage::{Lease, Ledger, Slot, SlotSet};

use crate::accounts::Accounts;
use crate::changes::Draft;
use crate::events::Event;
use crate::store::{TokenHash, TokenRow, Write};

/// A token that nobody has yet.
pub(crate) struct NewToken {
    pub(crate) text: String,
    pub(crate) row: TokenRow,
}

impl NewToken {
    pub(crate) fn make(ledger: &Ledger, user_id: UserId, now_ms: u64) -> Self {
        let name = URL_SAFE_NO_PAD.encode(user_id.to_string());
        let text = format!("{name}.{}", URL_SAFE_NO_PAD.encode(model::entropy::bytes::<32>()));
        let row = TokenRow { hash: hash(&text), token_id: ledger.next(), user_id, created_at_ms: now_ms };
        Self { text, row }
    }
}

/// What a token is stored as.
pub(crate) fn hash(text: &str) -> TokenHash {
    Sha256::digest(text.as_bytes()).into()
}

impl Draft {
    /// The token goes, and its sessions are told.
    pub(crate) fn revoke(&mut self, token: TokenRow) {
        self.writes.push(Write::DeleteToken(token));
        self.events.push(Event::token_revoked(token.user_id, token.token_id));
    }
}

impl Accounts {
    /// Whose token it is.
    pub(crate) async fn authenticate(&self, text: &str) -> Result<v1::Identity, Failure> {
        let text = bare(text);
        if text.is_empty() || text.len() > TOKEN_CHARS_MAX {
            return Err(Failure::unauthenticated());
        }
        let hash = hash(text);
        // Of others' users nobody tells us what becomes of their tokens.
        let claimed = claimed_user(text);
        let lease = claimed.and_then(|user| self.changes.lease(SlotSet::Users, user.get()).ok());
        let look = match self.cache.get(claimed.filter(|_| lease.is_some()), &hash) {
            Ok(identity) => return Ok(identity),
            Err(look) => look,
        };
        let token = self.changes.store.token(&hash).await?.ok_or_else(Failure::unauthenticated)?;
        let user = self.changes.store.user(token.user_id).await?.ok_or_else(Failure::unauthenticated)?;
        let application: Option<v1::Application> = if user.bot {
            let id: ApplicationId = user.id.cast();
            self.changes.store.application(id).await?
        } else {
            None
        };
        let identity =
            v1::Identity { user: Some((&user).into()), token_id: token.token_id, application, places: None };
        let is_ours =
            |lease: Lease| lease.slot == Slot::of(user.id.get()) && self.changes.leases.check(&lease).is_ok();
        if lease.is_some_and(is_ours) {
            self.cache.keep(look, hash, user.id, &identity);
        }
        Ok(identity)
    }

    /// A new token for a user; when they have too many, the oldest goes.
    pub(crate) async fn issue_token(self: &Arc<Self>, user_id: UserId) -> Result<v1::TokenReply, Failure> {
        let accounts = self.clone();
        self.run(async move {
            let _user = accounts.users.lock(&[user_id.get()]).await;
            let user = accounts.user(user_id).await?;
            let token = NewToken::make(&accounts.changes.ledger, user_id, accounts.changes.now().ms());
            let mut draft = Draft::default();
            let tokens = accounts.changes.store.tokens_of(user_id).await?;
            let over = (tokens.len() + 1).saturating_sub(USER_TOKENS_MAX);
            tokens.into_iter().take(over).for_each(|token| draft.revoke(token));
            draft.writes.push(Write::PutToken(token.row));
            accounts.commit(user_id, draft).await?;
            Ok(reply(&user, token))
        })
        .await
    }

    pub(crate) async fn revoke_token(self: &Arc<Self>, which: v1::RevokeTokenRequest) -> Result<(), Failure> {
        use v1::revoke_token_request::Which;
        let store = &self.changes.store;
        let token = match which.which {
            Some(Which::Token(text)) => store.token(&hash(bare(&text))).await?,
            Some(Which::TokenId(id)) => store.token_by_id(id).await?,
            None => None,
        };
        let unknown = || Failure::unknown(code::UNKNOWN_TOKEN, "Token");
        let token = token.ok_or_else(unknown)?;
        let accounts = self.clone();
        self.run(async move {
            let _user = accounts.users.lock(&[token.user_id.get()]).await;
            let token = accounts.changes.store.token(&token.hash).await?.ok_or_else(unknown)?;
            let mut draft = Draft::default();
            draft.revoke(token);
            accounts.commit(token.user_id, draft).await
        })
        .await
    }

    pub(crate) async fn list_tokens(&self, user_id: UserId) -> Result<v1::ListTokensReply, Failure> {
        self.user(user_id).await?;
        let tokens = self.changes.store.tokens_of(user_id).await?;
        let info =
            |token: TokenRow| v1::TokenInfo { token_id: token.token_id, created_at_ms: token.created_at_ms };
        Ok(v1::ListTokensReply { tokens: tokens.into_iter().map(info).collect() })
    }
}

pub(crate) fn reply(user: &model::User, token: NewToken) -> v1::TokenReply {
    v1::TokenReply { token: token.text, user: Some(user.into()), token_id: token.row.token_id }
}
