//! The secret that services of one cluster share, and by which a server knows its callers.
//!
//! It travels as `authorization: Bearer …`, so that any gRPC client can send it. It says that the caller belongs to the
//! cluster, and nothing about a user: a server that refuses it answers a bare UNAUTHENTICATED without a `Failure`, which
//! no edge can mistake for a user's bad token.

use std::fmt;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use subtle::ConstantTimeEq as _;
use tonic::Status;

/// A shared secret. It is never shown.
#[derive(Clone)]
pub struct Secret(HeaderValue);

/// A text that can't be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret has {CHARS_MIN} to {CHARS_MAX} visible ASCII characters")]
pub struct BadSecret;

const CHARS_MIN: usize = 16;
const CHARS_MAX: usize = 256;
const SCHEME: &str = "Bearer ";

impl Secret {
    pub fn new(text: &str) -> Result<Self, BadSecret> {
        let is_long_enough = (CHARS_MIN..=CHARS_MAX).contains(&text.len());
        if !is_long_enough || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BadSecret);
        }
        let mut header = HeaderValue::try_from(format!("{SCHEME}{text}")).map_err(|_| BadSecret)?;
        header.set_sensitive(true);
        Ok(Self(header))
    }

    /// Adds it to a request.
    pub(crate) fn sign(&self, headers: &mut HeaderMap) {
        headers.insert(AUTHORIZATION, self.0.clone());
    }

    /// Refuses a request without it. How much of a wrong one is right can't be told from the time that this takes.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Status> {
        let Some(given) = headers.get(AUTHORIZATION) else {
            return Err(Status::unauthenticated(
                "the secret is missing; send `authorization: Bearer SECRET`",
            ));
        };
        if given.as_bytes().ct_eq(self.0.as_bytes()).into() {
            Ok(())
        } else {
            Err(Status::unauthenticated("the secret is not this cluster's"))
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(set)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_secret_is_taken() {
        let secret = Secret::new("correct-horse-battery").unwrap();
        let mut headers = HeaderMap::new();
        assert!(secret.check(&headers).unwrap_err().message().contains("missing"));
        secret.sign(&mut headers);
        assert!(secret.check(&headers).is_ok());
        for other in ["correct-horse-batterz", "correct-horse-battery-", "another-secret-of-some-length"] {
            Secret::new(other).unwrap().sign(&mut headers);
            assert!(secret.check(&headers).unwrap_err().message().contains("not this cluster's"), "{other}");
        }
    }

    #[test]
    fn a_refusal_is_no_failure_of_a_user() {
        let refusal = Secret::new("correct-horse-battery").unwrap().check(&HeaderMap::new()).unwrap_err();
        assert_eq!(crate::Failure::from(refusal).kind, crate::FailureKind::Internal);
    }

    #[test]
    fn short_long_and_invisible_texts_are_refused() {
        for text in
            ["", "short", "fifteen-chars-x", "with a space in it", "ümlaut-in-a-secret", &"x".repeat(257)]
        {
            assert_eq!(Secret::new(text).unwrap_err(), BadSecret, "{text}");
        }
        let shown = format!("{:?}", Secret::new("correct-horse-battery").unwrap());
        assert!(!shown.contains("horse"));
    }
}
