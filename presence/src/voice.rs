//! What VOICE_SERVER_UPDATE tells a session: the voice server's endpoint by region, and a token for it.
//!
//! A voice server that has the key checks a token alone, without a call:
//!
//! ```text
//! token   = "sv1." base64url(payload) "." base64url(mac)          both without padding
//! payload = guild ":" channel ":" user ":" expiry ":" session     decimal ids, expiry in milliseconds of the Unix epoch
//! mac     = HMAC-SHA256(key, "starling-voice-1" NUL payload)
//! ```
//!
//! The session comes last because it may hold any character.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use model::limits::VOICE_TOKEN_MS;
use model::voice::VoiceState;
use model::{ChannelId, GuildId, UserId};
use sha2::Sha256;

const PREFIX: &str = "sv1";
const CONTEXT: &[u8] = b"starling-voice-1\0";

/// The voice servers, and the key that they share with this service.
#[derive(Clone)]
pub struct VoiceConfig {
    pub key: [u8; 32],
    /// By the channel's `rtc_region`.
    pub endpoints: BTreeMap<String, String>,
    /// For channels without a region, or with one that has no endpoint. `None`: clients are told to wait.
    pub default_endpoint: Option<String>,
    pub token_ms: u64,
}

impl VoiceConfig {
    /// No voice servers: clients get a token and no endpoint.
    pub fn new(key: [u8; 32]) -> Self {
        Self { key, endpoints: BTreeMap::new(), default_endpoint: None, token_ms: VOICE_TOKEN_MS }
    }

    pub fn endpoint(&self, region: Option<&str>) -> Option<&str> {
        let of_region = region.and_then(|region| self.endpoints.get(region));
        of_region.or(self.default_endpoint.as_ref()).map(String::as_str)
    }

    /// A token for the state's session; `None` when the state has no channel.
    pub fn token(&self, state: &VoiceState, now_ms: u64) -> Option<String> {
        let claims = Claims {
            guild_id: state.guild_id,
            channel_id: state.channel_id?,
            user_id: state.user_id,
            expires_ms: now_ms.saturating_add(self.token_ms),
            session_id: state.session_id.clone(),
        };
        let payload = claims.to_string();
        let mac = self.mac(&payload).finalize().into_bytes();
        Some(format!("{PREFIX}.{}.{}", URL_SAFE_NO_PAD.encode(payload), URL_SAFE_NO_PAD.encode(mac)))
    }

    /// What a token says, as a voice server checks it.
    pub fn verify(&self, token: &str, now_ms: u64) -> Result<Claims, TokenError> {
        let mut parts = token.split('.');
        let (Some(PREFIX), Some(payload), Some(mac), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Malformed);
        };
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Malformed);
        let payload = String::from_utf8(decode(payload)?).map_err(|_| TokenError::Malformed)?;
        self.mac(&payload).verify_slice(&decode(mac)?).map_err(|_| TokenError::Forged)?;
        let claims = Claims::parse(&payload).ok_or(TokenError::Malformed)?;
        if claims.expires_ms <= now_ms {
            return Err(TokenError::Expired(claims.expires_ms));
        }
        Ok(claims)
    }

    fn mac(&self, payload: &str) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes a key of any length");
        mac.chain_update(CONTEXT).chain_update(payload)
    }
}

impl fmt::Debug for VoiceConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("VoiceConfig");
        debug.field("endpoints", &self.endpoints).field("default_endpoint", &self.default_endpoint);
        debug.field("token_ms", &self.token_ms).finish_non_exhaustive()
    }
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    pub guild_id: GuildId,
    pub channel_id: ChannelId,
    pub user_id: UserId,
    pub expires_ms: u64,
    pub session_id: String,
}

impl Claims {
    fn parse(payload: &str) -> Option<Self> {
        let mut parts = payload.splitn(5, ':');
        Some(Self {
            guild_id: parts.next()?.parse().ok()?,
            channel_id: parts.next()?.parse().ok()?,
            user_id: parts.next()?.parse().ok()?,
            expires_ms: parts.next()?.parse().ok()?,
            session_id: parts.next()?.to_owned(),
        })
    }
}

impl fmt::Display for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { guild_id, channel_id, user_id, expires_ms, session_id } = self;
        write!(f, "{guild_id}:{channel_id}:{user_id}:{expires_ms}:{session_id}")
    }
}

/// A token that is not to be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("not a voice token of this version: join the channel again")]
    Malformed,
    #[error("the token was signed with another key, or changed: join the channel again")]
    Forged,
    #[error("the token expired at {0} ms of the Unix epoch: join the channel again")]
    Expired(u64),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> VoiceState {
        VoiceState {
            guild_id: GuildId::new(1).unwrap(),
            channel_id: ChannelId::new(2),
            user_id: UserId::new(3).unwrap(),
            session_id: "a:b.c".into(),
            self_mute: false,
            self_deaf: false,
            self_video: false,
            deaf: false,
            mute: false,
            suppress: false,
        }
    }

    #[test]
    fn a_token_says_what_was_signed_until_it_expires() {
        let config = VoiceConfig::new([7; 32]);
        let token = config.token(&state(), 1000).unwrap();
        let claims = config.verify(&token, 1000).unwrap();
        assert_eq!((claims.channel_id.get(), &*claims.session_id), (2, "a:b.c"));
        let end = 1000 + VOICE_TOKEN_MS;
        assert_eq!(config.verify(&token, end - 1).map(|claims| claims.expires_ms), Ok(end));
        assert_eq!(config.verify(&token, end), Err(TokenError::Expired(end)));
        assert_eq!(config.token(&VoiceState { channel_id: None, ..state() }, 1000), None);
    }

    #[test]
    fn a_changed_token_is_refused() {
        let config = VoiceConfig::new([7; 32]);
        let token = config.token(&state(), 1000).unwrap();
        let parts: Vec<&str> = token.split('.').collect();
        let other = URL_SAFE_NO_PAD.encode("1:9:3:301000:a:b.c");
        assert_eq!(config.verify(&format!("sv1.{other}.{}", parts[2]), 0), Err(TokenError::Forged));
        assert_eq!(VoiceConfig::new([8; 32]).verify(&token, 0), Err(TokenError::Forged));
        let bad = ["", "sv1", "sv1..", "sv2.a.b", "sv1.a.b.c", "sv1.%.%"];
        let known = [TokenError::Malformed, TokenError::Forged];
        assert!(bad.iter().all(|token| config.verify(token, 0).is_err_and(|error| known.contains(&error))));
    }

    #[test]
    fn the_format_never_changes() {
        // Computed with another implementation (Python's hmac and base64).
        let token = VoiceConfig::new([7; 32]).token(&state(), 1000).unwrap();
        assert_eq!(token, "sv1.MToyOjM6MzAxMDAwOmE6Yi5j.JlwKkTRXHBW-qQKqYaoc3WSKojFf7-zvEcVQW_8eDp8");
    }

    #[test]
    fn the_region_chooses_the_endpoint() {
        let mut config = VoiceConfig::new([7; 32]);
        assert_eq!(config.endpoint(Some("north")), None);
        config.endpoints.insert("north".into(), "north.voice:443".into());
        assert_eq!(config.endpoint(Some("north")), Some("north.voice:443"));
        assert_eq!(config.endpoint(None), None);
        config.default_endpoint = Some("any.voice:443".into());
        assert_eq!(config.endpoint(None), Some("any.voice:443"));
        assert_eq!(config.endpoint(Some("south")), Some("any.voice:443"));
    }
}
