//! What the text of a token says without being believed.
//!
//! A token is `base64url(user id in decimal) "." base64url(32 random bytes)`. Who it claims to be of proves nothing, only its
//! hash does; but it tells which replica to ask.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::UserId;

use crate::v1;

/// The token itself, without "Bot " or "Bearer ".
pub fn bare(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix("Bot ").or_else(|| text.strip_prefix("Bearer ")).unwrap_or(text).trim()
}

/// Who a bare token says it is of.
pub fn claimed_user(token: &str) -> Option<UserId> {
    let (name, _) = token.split_once('.')?;
    let id = URL_SAFE_NO_PAD.decode(name).ok()?;
    std::str::from_utf8(&id).ok()?.parse().ok()
}

impl v1::AuthenticateRequest {
    /// Asks the replica that owns the user whom the token claims.
    pub fn of(token: String) -> Self {
        let user_id = claimed_user(bare(&token)).map(UserId::get);
        Self { token, user_id, with_places: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_claims_a_user_or_nobody() {
        let name = URL_SAFE_NO_PAD.encode("1576677730118799381");
        let token = format!("{name}.secret");
        assert_eq!(claimed_user(&token), UserId::new(1_576_677_730_118_799_381));
        for prefix in ["", "Bot ", "Bearer ", "  Bot  "] {
            let request = v1::AuthenticateRequest::of(format!("{prefix}{token}"));
            assert_eq!(request.user_id, Some(1_576_677_730_118_799_381), "{prefix}");
        }
        for text in ["", ".", "a.b", "MQ", "AAAA.x", "LTE.x", "MA.x", "!.x"] {
            assert_eq!(v1::AuthenticateRequest::of(text.to_owned()).user_id, None, "{text}");
        }
    }
}
