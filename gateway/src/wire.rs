//! The server side of RFC 6455, as much of it as the gateway protocol needs.
//!
//! Nothing here owns a socket, a task or a clock: bytes go in, messages come out, and the other way round. The
//! single exception is [`writer`], which hands an outbox to `writev`.
//!
//! It is our own because of idle connections. A library that owns the socket keeps its buffers for as long as
//! the connection lives; here the caller owns the read buffer and drops it when it is empty, the [`Decoder`]
//! allocates only while a fragmented message is open, and a drained [`Outbox`] holds no heap memory at all. One
//! dispatched event is made once ([`SharedBody`]) and shared by every outbox that carries it: what differs per
//! session is one number, written into a few bytes of stack at the moment of the write.
//!
//! No extension is ever agreed on, so offers of permessage-deflate are ignored; transport compression is a
//! matter of the payload and is negotiated by the `compress` parameter.

pub mod body;
pub mod close;
pub mod frame;
pub mod fuzz;
pub mod handshake;
mod mask;
pub mod outbox;
mod queue;
pub mod writer;

pub use body::SharedBody;
pub use close::CloseCode;
pub use frame::{Decoder, FrameError, Message};
pub use fuzz::{fuzz_decode, fuzz_handshake};
pub use handshake::{Compression, Encoding, Reject, Upgrade};
pub use outbox::{Class, Frame, Full, Outbox};
pub use writer::{Progress, TryWrite, WriteStats, write_frames, write_pending};
