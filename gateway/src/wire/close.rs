//! Why a connection is closed, and what that means for the session behind it.
//!
//! The decisions that hang on a code sit on the type, so that no caller keeps a list of its own. What clients
//! really do on each code differs from library to library; two facts bind the server: a drain must never use
//! 1000 or 1001 (some clients drop their session on these), and 4007 or 4009 alone never answer a failed RESUME (some
//! clients would resume again for ever).

/// A close code that the gateway sends. 4006 is not in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum CloseCode {
    /// The client is done, and so is the session: only ever an answer to the client's own 1000.
    Normal = 1000,
    /// The client broke RFC 6455.
    ProtocolError = 1002,
    /// A text message or a close reason was not UTF-8.
    InvalidUtf8 = 1007,
    /// Something failed on our side.
    InternalError = 1011,
    /// Something went wrong that has no better code; also ends the older of two sockets of one session, and those of a pod
    /// that goes away.
    UnknownError = 4000,
    /// An opcode that does not exist, or a payload that does not fit its opcode.
    UnknownOpcode = 4001,
    /// A payload that could not be decoded, or one above the size limit.
    DecodeError = 4002,
    /// A payload before IDENTIFY, or a session that has been invalidated.
    NotAuthenticated = 4003,
    /// The token of IDENTIFY is not valid.
    AuthenticationFailed = 4004,
    /// A second IDENTIFY.
    AlreadyAuthenticated = 4005,
    /// The sequence number of RESUME cannot be right.
    InvalidSeq = 4007,
    /// Too many payloads in too short a time.
    RateLimited = 4008,
    /// The client was silent for too long.
    SessionTimedOut = 4009,
    /// The `shard` of IDENTIFY is not a shard.
    InvalidShard = 4010,
    /// Too many guilds for one connection.
    ShardingRequired = 4011,
    /// The `v` of the URL is not supported.
    InvalidApiVersion = 4012,
    /// The intents hold bits that do not exist.
    InvalidIntents = 4013,
    /// The intents hold privileged bits that are not enabled for this application.
    DisallowedIntents = 4014,
}

impl CloseCode {
    /// Every code, in order.
    pub const ALL: [CloseCode; 18] = [
        CloseCode::Normal,
        CloseCode::ProtocolError,
        CloseCode::InvalidUtf8,
        CloseCode::InternalError,
        CloseCode::UnknownError,
        CloseCode::UnknownOpcode,
        CloseCode::DecodeError,
        CloseCode::NotAuthenticated,
        CloseCode::AuthenticationFailed,
        CloseCode::AlreadyAuthenticated,
        CloseCode::InvalidSeq,
        CloseCode::RateLimited,
        CloseCode::SessionTimedOut,
        CloseCode::InvalidShard,
        CloseCode::ShardingRequired,
        CloseCode::InvalidApiVersion,
        CloseCode::InvalidIntents,
        CloseCode::DisallowedIntents,
    ];

    /// The number on the wire.
    pub fn code(self) -> u16 {
        self as u16
    }

    /// Whether the server keeps the session, so that a RESUME after this code can succeed.
    pub fn can_resume(self) -> bool {
        use CloseCode::*;
        match self {
            Normal | NotAuthenticated | InvalidSeq | SessionTimedOut => false,
            code => code.can_reconnect(),
        }
    }

    /// Whether the client may connect again with the same credentials and settings.
    pub fn can_reconnect(self) -> bool {
        use CloseCode::*;
        !matches!(
            self,
            AuthenticationFailed
                | InvalidShard
                | ShardingRequired
                | InvalidApiVersion
                | InvalidIntents
                | DisallowedIntents
        )
    }

    /// The reason text of the close frame.
    pub fn reason(self) -> &'static str {
        use CloseCode::*;
        match self {
            Normal => "Normal closure.",
            ProtocolError => "WebSocket protocol error.",
            InvalidUtf8 => "Text is not valid UTF-8.",
            InternalError => "Internal error, please resume.",
            UnknownError => "Unknown error.",
            UnknownOpcode => "Unknown opcode, or a payload that is invalid for its opcode.",
            DecodeError => "Error while decoding payload.",
            NotAuthenticated => "Not authenticated.",
            AuthenticationFailed => "Authentication failed.",
            AlreadyAuthenticated => "Already authenticated.",
            InvalidSeq => "Invalid seq.",
            RateLimited => "Rate limited.",
            SessionTimedOut => "Session timed out.",
            InvalidShard => "Invalid shard.",
            ShardingRequired => "Sharding required.",
            InvalidApiVersion => "Invalid API version.",
            InvalidIntents => "Invalid intents.",
            DisallowedIntents => "Disallowed intents.",
        }
    }
}

/// Whether a close frame from the client ends its session: 1000 and 1001 say "I am done", every other code, and
/// a connection that just breaks, may be followed by a RESUME.
pub fn client_ends_session(code: Option<u16>) -> bool {
    matches!(code, Some(1000 | 1001))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(f: impl Fn(CloseCode) -> bool) -> Vec<u16> {
        CloseCode::ALL.into_iter().filter(|c| f(*c)).map(CloseCode::code).collect()
    }

    #[test]
    fn decisions_follow_the_contract() {
        assert_eq!(codes(|c| !c.can_reconnect()), [4004, 4010, 4011, 4012, 4013, 4014]);
        assert_eq!(
            codes(CloseCode::can_resume),
            [1002, 1007, 1011, 4000, 4001, 4002, 4005, 4008],
            "codes that keep the session"
        );
    }

    #[test]
    fn codes_are_distinct_ascending_and_without_4006() {
        let all = codes(|_| true);
        assert!(all.is_sorted_by(|a, b| a < b));
        assert!(!all.contains(&4006));
        assert_eq!(all.iter().filter(|c| (4000..=4014).contains(*c)).count(), 14);
    }

    #[test]
    fn reasons_fit_a_control_frame() {
        assert!(CloseCode::ALL.into_iter().all(|c| (1..=123).contains(&c.reason().len())));
    }

    #[test]
    fn only_1000_and_1001_end_the_session() {
        assert!(client_ends_session(Some(1000)) && client_ends_session(Some(1001)));
        assert!(![None, Some(1006), Some(1012), Some(4000), Some(4200)].into_iter().any(client_ends_session));
    }
}
