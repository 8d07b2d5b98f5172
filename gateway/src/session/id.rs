//! Session ids: at which pod and on which shard the session began, and what nobody can guess.

use std::fmt;
use std::str::FromStr;

use backplane::PodName;
use sha2::{Digest, Sha256};

/// 16 bytes, as hex towards clients: a shard, a pod, and 88 bits of chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId([u8; 16]);

/// What an id says of a pod: a part of the hash of its name. It finds the pod among those that live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PodTag([u8; 4]);

impl PodTag {
    pub fn of(pod: &PodName) -> Self {
        let hash: [u8; 32] = Sha256::digest(pod.as_str().as_bytes()).into();
        Self([hash[0], hash[1], hash[2], hash[3]])
    }
}

impl SessionId {
    pub fn new(pod: PodTag, shard: u8, mut random: [u8; 16]) -> Self {
        random[0] = shard;
        random[1..5].copy_from_slice(&pod.0);
        Self(random)
    }

    pub(crate) fn of_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The shard that made it.
    pub fn shard(self) -> u8 {
        self.0[0]
    }

    /// The shard of a pod with so many that has the session, wherever it began.
    pub(crate) fn shard_of(self, shards: usize) -> usize {
        usize::from(self.shard()) % shards.max(1)
    }

    /// The pod that made it.
    pub fn pod(self) -> PodTag {
        PodTag([self.0[1], self.0[2], self.0[3], self.0[4]])
    }
}

/// The text is no session id of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a session id")]
pub struct InvalidSessionId;

impl FromStr for SessionId {
    type Err = InvalidSessionId;

    fn from_str(text: &str) -> Result<Self, InvalidSessionId> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = if digits { u128::from_str_radix(text, 16).ok() } else { None };
        number.map(|number| Self(number.to_be_bytes())).ok_or(InvalidSessionId)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}
