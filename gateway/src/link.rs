//! The protocol of one connection, without I/O: what a client's payloads mean at this point, and when its time is up.
//!
//! A link lives as long as its socket. What outlives it, and a RESUME takes over, is the
//! [`Session`](crate::session::Session).
//!
//! ```text
//! Fresh ── IDENTIFY or RESUME ──▶ Pending ── accepted ──▶ Ready
//!                                  ▲ │                      │
//! Again ── IDENTIFY or RESUME ─────┘ │                      │
//!   ▲                                │                      │
//!   └── op 9 ──── Refused ◀── op 1 ──┴──────────────────────┘   (the socket stays: some libraries IDENTIFY again on it)
//!
//! any ── op 7 ──▶ Leaving
//! ```
//!
//! A refusal is op 1, then op 9: as the first thing it hears, one library would wait for ever on op 9. And op 9 waits
//! until the client has beaten, and has its acknowledgement, before it ends the session that the heartbeat belonged to:
//! another library takes an acknowledgement that crosses with op 9 for lost, and its next connection for dead. Who does
//! not beat is told after [`limits::REFUSAL_WAIT_MS`].

use model::limits;

use crate::wire::CloseCode;

pub(crate) mod activity;
pub mod command;
mod fields;
mod fuzz;

pub use fuzz::fuzz_command;

use command::{Command, Identify, MembersRequest, PresenceUpdate, Resume, VoiceUpdate};

/// What the connection has to do for a payload.
#[derive(Debug, PartialEq)]
pub enum Action {
    Send(Notice),
    Close(CloseCode),
    Identify(Box<Identify>),
    Resume(Resume),
    /// The client has everything up to this sequence.
    Confirmed(u64),
    Presence(Box<PresenceUpdate>),
    Voice(VoiceUpdate),
    Members(Box<MembersRequest>),
    Typing(model::ChannelId),
    /// The client has beaten as it was asked to: acknowledge, then op 9.
    Refuse,
    /// The client did not wait for op 9: say it, then do this.
    RefuseThen(Box<Action>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Fresh,
    Pending,
    Ready,
    /// Op 1 was sent, op 9 is to follow.
    Refused,
    /// Op 9 was sent. What was on its way for the ended session is no mistake of the client's.
    Again,
    /// Op 7 was sent: the client goes elsewhere, and so does its session.
    Leaving,
}

/// The state of one connection's protocol. Times are milliseconds of any clock that does not go backwards.
#[derive(Debug)]
pub struct Link {
    phase: Phase,
    opened_at_ms: u64,
    beaten_at_ms: u64,
    window_began_ms: u64,
    window_commands: u32,
}

/// A payload that has no sequence number and is the same for everybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The answer to a heartbeat.
    HeartbeatAck,
    /// A request to beat at once.
    HeartbeatRequest,
    /// "Reconnect and resume."
    Reconnect,
    /// "The session is gone: identify."
    InvalidSession,
}

impl Notice {
    pub const COUNT: usize = 4;

    pub const fn json(self) -> &'static str {
        match self {
            Self::HeartbeatAck => r#"{"t":null,"s":null,"op":11,"d":null}"#,
            Self::HeartbeatRequest => r#"{"t":null,"s":null,"op":1,"d":null}"#,
            Self::Reconnect => r#"{"t":null,"s":null,"op":7,"d":null}"#,
            Self::InvalidSession => r#"{"t":null,"s":null,"op":9,"d":false}"#,
        }
    }
}

/// The first payload: how often to beat.
pub fn hello(heartbeat_interval_ms: u64) -> String {
    format!(
        r#"{{"t":null,"s":null,"op":10,"d":{{"heartbeat_interval":{heartbeat_interval_ms},"_trace":["starling"]}}}}"#
    )
}

impl Link {
    pub fn new(now_ms: u64) -> Self {
        Self {
            phase: Phase::Fresh,
            opened_at_ms: now_ms,
            beaten_at_ms: now_ms,
            window_began_ms: now_ms,
            window_commands: 0,
        }
    }

    /// Takes one payload; nothing is to be done for those that are known and ignored.
    pub fn payload(&mut self, now_ms: u64, payload: &[u8]) -> Option<Action> {
        if self.over_limit(now_ms) {
            return Some(Action::Close(CloseCode::RateLimited));
        }
        match Command::parse(payload) {
            Ok(command) => self.command(now_ms, command),
            Err(code) => Some(Action::Close(code)),
        }
    }

    /// Counts a ping or a pong, which cost us as much as a payload.
    pub fn control_frame(&mut self, now_ms: u64) -> Result<(), CloseCode> {
        if self.over_limit(now_ms) { Err(CloseCode::RateLimited) } else { Ok(()) }
    }

    /// The socket comes from another shard, where it sent RESUME.
    pub fn moved_for_resume(&mut self) {
        self.phase = Phase::Pending;
    }

    /// The client is told to go elsewhere: from now on only its heartbeats are answered.
    pub fn leave(&mut self) {
        self.phase = Phase::Leaving;
    }

    pub fn is_leaving(&self) -> bool {
        self.phase == Phase::Leaving
    }

    /// IDENTIFY or RESUME was accepted.
    pub fn accepted(&mut self) {
        self.phase = Phase::Ready;
    }

    /// The session is not (or no longer) there. Answers what to send now; op 9 follows with [`Action::Refuse`] or
    /// [`Action::RefuseThen`], or from [`Self::refusal`], which is to be asked after [`limits::REFUSAL_WAIT_MS`].
    #[must_use]
    pub fn refused(&mut self, now_ms: u64) -> Notice {
        self.phase = Phase::Refused;
        self.opened_at_ms = now_ms;
        Notice::HeartbeatRequest
    }

    /// Op 9, if the client was given the time to beat and did not.
    pub fn refusal(&mut self, now_ms: u64) -> Option<Notice> {
        if self.phase != Phase::Refused || now_ms < self.opened_at_ms + limits::REFUSAL_WAIT_MS {
            return None;
        }
        self.begin_again(now_ms);
        Some(Notice::InvalidSession)
    }

    fn begin_again(&mut self, now_ms: u64) {
        self.phase = Phase::Again;
        self.opened_at_ms = now_ms;
    }

    /// When [`Self::expired`] is worth asking again. `zombie_ms` is how long a client may be silent.
    pub fn deadline_ms(&self, zombie_ms: u64) -> u64 {
        let zombie = self.beaten_at_ms + zombie_ms;
        match self.phase {
            Phase::Fresh | Phase::Again => zombie.min(self.opened_at_ms + limits::IDENTIFY_TIMEOUT_MS),
            Phase::Pending | Phase::Ready | Phase::Refused | Phase::Leaving => zombie,
        }
    }

    /// Why the connection is to be closed by now, if it is: no heartbeat (resumable), or no IDENTIFY.
    pub fn expired(&self, now_ms: u64, zombie_ms: u64) -> Option<CloseCode> {
        if now_ms < self.deadline_ms(zombie_ms) {
            None
        } else if matches!(self.phase, Phase::Fresh | Phase::Again) {
            Some(CloseCode::SessionTimedOut)
        } else {
            Some(CloseCode::UnknownError)
        }
    }

    fn over_limit(&mut self, now_ms: u64) -> bool {
        if now_ms >= self.window_began_ms + limits::GATEWAY_COMMANDS_WINDOW_MS {
            self.window_began_ms = now_ms;
            self.window_commands = 0;
        }
        self.window_commands += 1;
        self.window_commands > limits::GATEWAY_COMMANDS_MAX
    }

    fn command(&mut self, now_ms: u64, command: Command) -> Option<Action> {
        match (command, self.phase) {
            (Command::Heartbeat(seq), phase) => Some(self.heartbeat(now_ms, seq, phase)),
            (_, Phase::Leaving) => None,
            (command @ (Command::Identify(_) | Command::Resume(_)), Phase::Refused) => {
                self.begin_again(now_ms);
                self.command(now_ms, command).map(|action| Action::RefuseThen(Box::new(action)))
            }
            (Command::Identify(identify), Phase::Fresh | Phase::Again) => {
                self.phase = Phase::Pending;
                Some(Action::Identify(identify))
            }
            (Command::Resume(resume), Phase::Fresh | Phase::Again) => {
                self.phase = Phase::Pending;
                Some(Action::Resume(resume))
            }
            (Command::Identify(_) | Command::Resume(_), Phase::Pending | Phase::Ready) => {
                Some(Action::Close(CloseCode::AlreadyAuthenticated))
            }
            // Meant for the session whose end the client had not heard of.
            (_, Phase::Refused | Phase::Again) => None,
            (Command::Presence(_) | Command::Ignored, Phase::Pending) => None,
            (_, Phase::Fresh | Phase::Pending) => Some(Action::Close(CloseCode::NotAuthenticated)),
            (Command::Presence(update), Phase::Ready) => Some(Action::Presence(update)),
            (Command::Voice(update), Phase::Ready) => Some(Action::Voice(update)),
            (Command::Members(request), Phase::Ready) => Some(Action::Members(request)),
            (Command::Typing(channel), Phase::Ready) => Some(Action::Typing(channel)),
            (Command::Ignored, Phase::Ready) => None,
        }
    }

    /// The acknowledgement is sent by the connection, with [`Action::Confirmed`] and [`Action::Refuse`] as with
    /// [`Action::Send`].
    fn heartbeat(&mut self, now_ms: u64, seq: Option<u64>, phase: Phase) -> Action {
        self.beaten_at_ms = now_ms;
        match (phase, seq) {
            (Phase::Refused, _) => {
                self.begin_again(now_ms);
                Action::Refuse
            }
            (Phase::Ready, Some(seq)) => Action::Confirmed(seq),
            _ => Action::Send(Notice::HeartbeatAck),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDENTIFY: &[u8] = br#"{"op":2,"d":{"token":"t","intents":0,"properties":{}}}"#;
    const RESUME: &[u8] = br#"{"op":6,"d":{"token":"t","session_id":"x","seq":1}}"#;

    fn ready() -> Link {
        let mut link = Link::new(0);
        assert!(matches!(link.payload(0, IDENTIFY), Some(Action::Identify(_))));
        link.accepted();
        link
    }

    #[test]
    fn before_identify_only_heartbeats_are_taken() {
        let mut link = Link::new(0);
        let ack = Some(Action::Send(Notice::HeartbeatAck));
        assert_eq!(link.payload(0, br#"{"op":1,"d":null}"#), ack);
        let typing = br#"{"op":100,"d":{"channel_id":"1"}}"#;
        assert_eq!(link.payload(0, typing), Some(Action::Close(CloseCode::NotAuthenticated)));
    }

    #[test]
    fn a_second_identify_is_refused() {
        assert_eq!(ready().payload(1, IDENTIFY), Some(Action::Close(CloseCode::AlreadyAuthenticated)));
    }

    /// A link that has been sent op 1 for its RESUME.
    fn refused(now_ms: u64) -> Link {
        let mut link = Link::new(0);
        assert!(matches!(link.payload(0, RESUME), Some(Action::Resume(_))));
        assert_eq!(link.refused(now_ms), Notice::HeartbeatRequest);
        link
    }

    #[test]
    fn op_9_waits_for_the_heartbeat_and_the_socket_takes_an_identify() {
        let mut link = refused(5);
        let voice = br#"{"op":4,"d":{"guild_id":"1"}}"#;
        assert_eq!(link.payload(6, voice), None, "the client has not heard of the end of its session");
        assert_eq!(link.payload(7, br#"{"op":1,"d":9}"#), Some(Action::Refuse));
        assert_eq!(link.refusal(10_000), None, "once");
        assert_eq!(link.payload(8, br#"{"op":1,"d":9}"#), Some(Action::Send(Notice::HeartbeatAck)));
        assert_eq!(link.payload(8, voice), None, "it was on its way");
        assert!(matches!(link.payload(9, IDENTIFY), Some(Action::Identify(_))));
        assert_eq!(link.payload(10, voice), Some(Action::Close(CloseCode::NotAuthenticated)));
    }

    #[test]
    fn op_9_does_not_wait_for_ever() {
        let mut link = refused(5);
        assert_eq!(link.refusal(5 + limits::REFUSAL_WAIT_MS - 1), None);
        let late_ms = 5 + limits::REFUSAL_WAIT_MS;
        assert_eq!(link.refusal(late_ms), Some(Notice::InvalidSession));
        assert_eq!(link.deadline_ms(limits::ZOMBIE_MS), late_ms + limits::IDENTIFY_TIMEOUT_MS);
        assert!(matches!(link.payload(late_ms, IDENTIFY), Some(Action::Identify(_))));
    }

    #[test]
    fn who_begins_again_before_op_9_is_told_it_first() {
        for payload in [IDENTIFY, RESUME] {
            let mut link = refused(5);
            let Some(Action::RefuseThen(next)) = link.payload(6, payload) else { panic!() };
            assert!(matches!(*next, Action::Identify(_) | Action::Resume(_)));
            assert_eq!(link.refusal(10_000), None);
            let close = Some(Action::Close(CloseCode::AlreadyAuthenticated));
            assert_eq!(link.payload(7, payload), close, "it is pending");
        }
    }

    #[test]
    fn the_hundred_and_twenty_first_payload_of_a_minute_closes() {
        let mut link = ready();
        let beat = br#"{"op":1,"d":7}"#;
        for _ in 1..limits::GATEWAY_COMMANDS_MAX {
            assert_eq!(link.payload(1000, beat), Some(Action::Confirmed(7)));
        }
        assert_eq!(link.payload(59_999, beat), Some(Action::Close(CloseCode::RateLimited)));
        assert_eq!(link.payload(60_000, beat), Some(Action::Confirmed(7)));
    }

    #[test]
    fn who_was_told_to_leave_is_answered_nothing_but_heartbeats() {
        let mut link = ready();
        link.leave();
        let ack = Some(Action::Send(Notice::HeartbeatAck));
        assert_eq!(link.payload(1, br#"{"op":1,"d":7}"#), ack);
        for payload in [IDENTIFY, RESUME, br#"{"op":4,"d":{"guild_id":"1"}}"#] {
            assert_eq!(link.payload(2, payload), None);
        }
        assert_eq!(link.payload(3, b"{"), Some(Action::Close(CloseCode::DecodeError)));
        assert_eq!(link.refusal(limits::ZOMBIE_MS), None);
    }

    #[test]
    fn silence_ends_a_connection() {
        let zombie_ms = limits::zombie_ms(limits::HEARTBEAT_INTERVAL_MS);
        assert_eq!((zombie_ms, limits::zombie_ms(4_000)), (limits::ZOMBIE_MS, 6_013));
        let fresh = Link::new(0);
        assert_eq!(fresh.expired(limits::IDENTIFY_TIMEOUT_MS - 1, zombie_ms), None);
        let expired = fresh.expired(limits::IDENTIFY_TIMEOUT_MS, zombie_ms);
        assert_eq!(expired, Some(CloseCode::SessionTimedOut));
        let mut link = ready();
        link.payload(10_000, br#"{"op":1,"d":null}"#);
        assert_eq!(link.expired(zombie_ms, zombie_ms), None);
        assert_eq!(link.expired(zombie_ms + 10_000, zombie_ms), Some(CloseCode::UnknownError));
        assert_eq!(link.expired(16_013, 6_013), Some(CloseCode::UnknownError), "it follows the interval");
    }
}
