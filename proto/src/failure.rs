//! The one error of every call between services: precise enough to answer an outside client with.
//!
//! It travels in the details of a gRPC status, in the form that all gRPC libraries know (`google.rpc.Status` with an
//! `Any`): a caller in another language reads the status code and message, or the whole with its library's means.

use std::fmt;

use model::{Slot, SlotSet};
use prost::Message as _;
use tonic::{Code, Status};

use crate::convert::Malformed;
use crate::v1;

pub use crate::v1::{FailureKind, FieldError};

/// Why a call failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    pub kind: FailureKind,
    /// The public API's JSON error code; 0 is its general error.
    pub code: u32,
    pub message: String,
    pub fields: Vec<FieldError>,
    pub retry_after_ms: Option<u64>,
    pub rate_limit: Option<Box<v1::RateLimit>>,
    /// With [`FailureKind::NotOwner`]: which slot it is, and who owns it.
    pub owner: Option<Box<v1::Owner>>,
}

/// The public API's JSON error codes that Starling uses.
pub mod code {
    pub const GENERAL: u32 = 0;
    pub const UNKNOWN_APPLICATION: u32 = 10_002;
    pub const UNKNOWN_CHANNEL: u32 = 10_003;
    pub const UNKNOWN_GUILD: u32 = 10_004;
    pub const UNKNOWN_INVITE: u32 = 10_006;
    pub const UNKNOWN_MEMBER: u32 = 10_007;
    pub const UNKNOWN_MESSAGE: u32 = 10_008;
    pub const UNKNOWN_OVERWRITE: u32 = 10_009;
    pub const UNKNOWN_ROLE: u32 = 10_011;
    pub const UNKNOWN_TOKEN: u32 = 10_012;
    pub const UNKNOWN_USER: u32 = 10_013;
    pub const UNKNOWN_EMOJI: u32 = 10_014;
    pub const SLOWMODE: u32 = 20_016;
    pub const CHANNEL_WRITE_LIMIT: u32 = 20_028;
    pub const MAX_GUILDS: u32 = 30_001;
    pub const MAX_ROLES: u32 = 30_005;
    pub const MAX_REACTIONS: u32 = 30_010;
    pub const MAX_CHANNELS: u32 = 30_013;
    pub const MAX_INVITES: u32 = 30_016;
    pub const MAX_MEMBERS: u32 = 30_019;
    pub const MAX_OVERWRITES: u32 = 30_060;
    pub const CHANNELS_TOO_LARGE: u32 = 30_061;
    pub const UNAUTHORIZED: u32 = 40_001;
    pub const ONE_PARENT_AT_A_TIME: u32 = 40_009;
    pub const MISSING_ACCESS: u32 = 50_001;
    pub const INVALID_ACCOUNT_TYPE: u32 = 50_002;
    pub const CANNOT_EXECUTE_ON_DM: u32 = 50_003;
    pub const CANNOT_EDIT_OTHERS_MESSAGE: u32 = 50_005;
    pub const EMPTY_MESSAGE: u32 = 50_006;
    pub const CANNOT_MESSAGE_USER: u32 = 50_007;
    pub const NOT_A_TEXT_CHANNEL: u32 = 50_008;
    pub const MAX_APPLICATIONS: u32 = 50_011;
    pub const MISSING_PERMISSIONS: u32 = 50_013;
    pub const BULK_DELETE_COUNT: u32 = 50_016;
    pub const INVALID_RECIPIENTS: u32 = 50_033;
    pub const BULK_DELETE_TOO_OLD: u32 = 50_034;
    pub const INVALID_FORM: u32 = 50_035;
    pub const OWNER_IS_BOT: u32 = 50_132;
    pub const FILTERED: u32 = 200_000;
    pub const OVERLOADED: u32 = 130_000;
}

impl Failure {
    pub fn new(kind: FailureKind, code: u32, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { kind, code, message, fields: Vec::new(), retry_after_ms: None, rate_limit: None, owner: None }
    }

    /// "Unknown Channel" and its like.
    pub fn unknown(code: u32, what: &str) -> Self {
        Self::new(FailureKind::NotFound, code, format!("Unknown {what}"))
    }

    /// The caller may not see the thing at all.
    pub fn missing_access() -> Self {
        Self::new(FailureKind::Forbidden, code::MISSING_ACCESS, "Missing Access")
    }

    /// The caller may see the thing but not do this.
    pub fn missing_permissions() -> Self {
        Self::new(FailureKind::Forbidden, code::MISSING_PERMISSIONS, "Missing Permissions")
    }

    /// What only channels of guilds have or can be done to.
    pub fn not_in_private() -> Self {
        let message = "Cannot execute action on a DM channel";
        Self::new(FailureKind::Forbidden, code::CANNOT_EXECUTE_ON_DM, message)
    }

    pub fn unauthenticated() -> Self {
        Self::new(FailureKind::Unauthenticated, code::GENERAL, "401: Unauthorized")
    }

    /// One field of the request is wrong.
    pub fn invalid_field(path: impl Into<String>, code: &str, message: impl Into<String>) -> Self {
        Self::invalid_fields(vec![FieldError {
            path: path.into(),
            code: code.into(),
            message: message.into(),
        }])
    }

    /// Fields of the request are wrong.
    pub fn invalid_fields(fields: Vec<FieldError>) -> Self {
        Self { fields, ..Self::new(FailureKind::Invalid, code::INVALID_FORM, "Invalid Form Body") }
    }

    /// It can't be done now, or its outcome is unknown: try again after this time.
    pub fn unavailable(message: impl Into<String>, retry_after_ms: u64) -> Self {
        let failure = Self::new(FailureKind::Unavailable, code::OVERLOADED, message);
        Self { retry_after_ms: Some(retry_after_ms), ..failure }
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(FailureKind::Internal, code::GENERAL, message)
    }

    pub fn rate_limited(retry_after_ms: u64, rate_limit: Option<v1::RateLimit>) -> Self {
        let message = "You are being rate limited.";
        let failure = Self::new(FailureKind::RateLimited, code::GENERAL, message);
        let rate_limit = rate_limit.map(Box::new);
        Self { retry_after_ms: Some(retry_after_ms), rate_limit, ..failure }
    }

    /// Another replica owns the slot: at `address`, where that is known. Nothing was done; the transport asks the owner.
    pub fn not_owner(set: SlotSet, slot: Slot, address: Option<String>) -> Self {
        let owner = v1::Owner {
            set: set.code().into(),
            slot: slot.get().into(),
            address: address.unwrap_or_default(),
        };
        let message = format!("this replica does not own slot {} of {set:?}; ask its owner", slot.get());
        let failure = Self::new(FailureKind::NotOwner, code::GENERAL, message);
        Self { owner: Some(Box::new(owner)), ..failure }
    }

    fn status_code(&self) -> Code {
        match self.kind {
            FailureKind::Unspecified | FailureKind::Internal => Code::Internal,
            FailureKind::Invalid => Code::InvalidArgument,
            FailureKind::Unauthenticated => Code::Unauthenticated,
            FailureKind::Forbidden => Code::PermissionDenied,
            FailureKind::NotFound => Code::NotFound,
            FailureKind::Conflict => Code::AlreadyExists,
            FailureKind::RateLimited => Code::ResourceExhausted,
            FailureKind::Unavailable => Code::Unavailable,
            FailureKind::NotOwner => Code::FailedPrecondition,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?}, code {})", self.message, self.kind, self.code)?;
        self.fields.iter().try_for_each(|field| write!(f, "; {}: {}", field.path, field.message))
    }
}

impl std::error::Error for Failure {}

impl From<Malformed> for Failure {
    fn from(malformed: Malformed) -> Self {
        Self::invalid_field(malformed.field, "BASE_TYPE_BAD", malformed.problem)
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        failure.into_status(None)
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let Some(details) = read_details(status.details()) else { return Self::from_plain(&status) };
        Self {
            kind: details.kind(),
            code: details.code,
            message: details.message,
            fields: details.fields,
            retry_after_ms: details.retry_after_ms,
            rate_limit: details.rate_limit.map(Box::new),
            owner: details.owner.map(Box::new),
        }
    }
}

/// `google.rpc.Status`, as it lies in `grpc-status-details-bin`.
#[derive(Clone, PartialEq, prost::Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

const TYPE_URL: &str = "type.googleapis.com/starling.v1.Failure";

fn read_details(bytes: &[u8]) -> Option<v1::Failure> {
    let status = RpcStatus::decode(bytes).ok()?;
    let ours = status.details.iter().find(|any| any.type_url == TYPE_URL)?;
    v1::Failure::decode(&*ours.value).ok()
}

impl Failure {
    /// As a status; with another code than its kind's where one is given.
    pub(crate) fn into_status(self, code: Option<Code>) -> Status {
        let code = code.unwrap_or_else(|| self.status_code());
        let message = self.message.clone();
        let details = v1::Failure {
            kind: self.kind.into(),
            code: self.code,
            message: self.message,
            fields: self.fields,
            retry_after_ms: self.retry_after_ms,
            rate_limit: self.rate_limit.map(|state| *state),
            owner: self.owner.map(|owner| *owner),
        };
        let any = Any { type_url: TYPE_URL.to_owned(), value: details.encode_to_vec() };
        let status = RpcStatus { code: code.into(), message: message.clone(), details: vec![any] };
        Status::with_details(code, message, status.encode_to_vec().into())
    }

    /// What a status without our details means: something between the services.
    fn from_plain(status: &Status) -> Self {
        let message = format!("{}: {}", status.code().description(), status.message());
        match status.code() {
            // Out of range is what tonic calls a message that is too large.
            Code::InvalidArgument | Code::OutOfRange => {
                Self::new(FailureKind::Invalid, code::GENERAL, message)
            }
            Code::DeadlineExceeded | Code::Unavailable | Code::Cancelled | Code::Aborted => {
                Self::unavailable(message, 1000)
            }
            _ => Self::internal(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_the_wire() {
        let mut failure = Failure::invalid_field("embeds.0.title", "BASE_TYPE_MAX_LENGTH", "too long");
        failure.retry_after_ms = Some(5);
        let owner = v1::Owner { set: 2, slot: 1_023, address: "10.0.0.1:9091".into() };
        failure.owner = Some(Box::new(owner));
        assert_eq!(Failure::from(Status::from(failure.clone())), failure);
    }

    #[test]
    fn the_details_agree_with_the_status() {
        // Libraries that find another code in the details take the whole answer for a broken one.
        let status = Failure::rate_limited(5, None).into_status(Some(Code::Aborted));
        let details = RpcStatus::decode(status.details()).unwrap();
        assert_eq!((details.code, &*details.message), (Code::Aborted.into(), status.message()));
        assert_eq!(Failure::from(status), Failure::rate_limited(5, None));
    }

    #[test]
    fn details_of_another_kind_are_no_failure_of_ours() {
        let status = Status::with_details(Code::NotFound, "x", vec![8, 7, 0xff].into());
        assert_eq!(Failure::from(status).kind, FailureKind::Internal);
    }

    #[test]
    fn a_deadline_is_unavailable_and_says_when_to_try_again() {
        let failure = Failure::from(Status::deadline_exceeded("too slow"));
        assert_eq!((failure.kind, failure.retry_after_ms), (FailureKind::Unavailable, Some(1000)));
    }
}
