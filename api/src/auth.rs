//! Whose request it is.

use http::{HeaderMap, header};
use model::User;
use model::limits::TOKEN_CHARS_MAX;
use proto::clients::AccountsClient;
use proto::failure::Failure;
use proto::v1;

use crate::error::ApiResult;

/// With the longest prefix.
const TOKEN_BYTES_MAX: usize = "Bearer ".len() + TOKEN_CHARS_MAX;

/// The user whose token came with the request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) user: User,
    pub(crate) token_id: u64,
    /// Set for bots.
    pub(crate) application: Option<v1::Application>,
}

/// Authenticates `Authorization: Bot x`, `Bearer x` or `x`; the service reads the prefix.
pub(crate) async fn authenticate(accounts: &AccountsClient, headers: &HeaderMap) -> ApiResult<Caller> {
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::trim);
    let token = token.filter(|token| (1..=TOKEN_BYTES_MAX).contains(&token.len()));
    let token = token.ok_or_else(Failure::unauthenticated)?.to_owned();
    let identity = accounts.clone().authenticate(v1::AuthenticateRequest::of(token)).await?.into_inner();
    let user = identity.user.ok_or_else(Failure::unauthenticated)?.try_into()?;
    Ok(Caller { user, token_id: identity.token_id, application: identity.application })
}
