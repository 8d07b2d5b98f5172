//! What a connection is sent, in its form.
//!
//! The form says how a payload looks, and the shard's [`Encoder`](crate::encoder::Encoder) makes it so. What remains to be done for one connection
//! alone is done here: giving a payload to the connection's own compressor, if it has one, or compressing a large payload
//! by itself for a client that said `compress: true`.

use encoding::zlib;
use model::limits;

use super::Shard;
use super::conn::{Conn, ConnId};
use crate::link::{self, Notice};
use crate::made::{Content, PartedFresh};
use crate::stats::Count;
use crate::wire::{Class, Full, SharedBody};

impl Conn {
    /// Queues a frame: as it is, or as the next message of the connection's own stream.
    pub(super) fn push(&mut self, seq: u32, body: &SharedBody, class: Class) -> Result<(), Full> {
        let Some(stream) = &mut self.stream else {
            return self.outbox.push_dispatch(seq, body.clone(), class);
        };
        // What is compressed can't be left out any more, since what follows refers to it. So what may be lost has to leave
        // room for what may not while there still is some.
        if class == Class::Ephemeral && self.outbox.is_half_full() {
            self.outbox.drop_one();
            return Ok(());
        }
        let message = SharedBody::binary(stream.message(&body.payload(seq)));
        self.outbox.push_dispatch(seq, message, Class::Durable)
    }
}

impl Shard {
    /// Queues HELLO, the first payload.
    pub(super) fn greet(&mut self, id: ConnId) {
        let hello = link::hello(self.services.heartbeat_interval_ms());
        let Some(form) = self.conn(id).map(|conn| conn.form) else { return };
        let body = self.encoder.opening(form, hello);
        self.push(id, 0, &body, Class::Durable);
    }

    /// Queues a payload without a sequence.
    pub(super) fn send(&mut self, id: ConnId, notice: Notice) {
        let Some(form) = self.conn(id).map(|conn| conn.form) else { return };
        let body = self.encoder.notice(form, notice);
        self.push(id, 0, &body, Class::Durable);
    }

    /// Queues a dispatch.
    pub(super) fn dispatch(&mut self, id: ConnId, seq: u32, content: Content<'_>, class: Class) {
        let Some(form) = self.conn(id).map(|conn| conn.form) else { return };
        let body = content.body(form, &mut self.encoder);
        self.dispatch_body(id, seq, body, class);
    }

    /// Queues a dispatch of which the session has a part of its own.
    pub(super) fn dispatch_parted(&mut self, id: ConnId, seq: u32, made: &PartedFresh) {
        let Some(form) = self.conn(id).map(|conn| conn.form) else { return };
        let body = made.body(form, &mut self.encoder);
        self.dispatch_body(id, seq, &body, Class::Durable);
    }

    fn dispatch_body(&mut self, id: ConnId, seq: u32, body: &SharedBody, class: Class) {
        let is_large = class == Class::Durable && body.frame_len() >= limits::PAYLOAD_COMPRESSED_BYTES_MIN;
        let is_queued = if is_large && self.takes_compressed_payloads(id) {
            let payload = SharedBody::binary(zlib::payload(&body.payload(seq)));
            self.push(id, seq, &payload, class)
        } else {
            self.push(id, seq, body, class)
        };
        self.services.stats.dispatches.add(is_queued.into());
    }

    /// Whether the session's IDENTIFY said `compress: true`, on a connection that is not compressed itself. It holds for the
    /// connections that resume the session, too, as RESUME does not say.
    fn takes_compressed_payloads(&mut self, id: ConnId) -> bool {
        let Some(conn) = self.conn(id).filter(|conn| conn.stream.is_none() && !conn.form.is_compressed())
        else {
            return false;
        };
        let session = conn.session;
        session.and_then(|key| self.sessions.get(key)).is_some_and(|slot| slot.session.profile.compress)
    }

    /// False when the connection does not take it any more.
    fn push(&mut self, id: ConnId, seq: u32, body: &SharedBody, class: Class) -> bool {
        let Some(conn) = self.conn(id) else { return false };
        let pushed = conn.push(seq, body, class);
        match pushed {
            Ok(()) => self.mark(id),
            Err(Full { .. }) => self.overflow(id),
        }
        pushed.is_ok()
    }
}
