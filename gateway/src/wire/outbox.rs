//! What waits to be written to one connection.
//!
//! The outbox is bounded by bytes on the wire, and by frames: what waits for a client must all be in its session's ring, or
//! the client could not resume after it was sent away. When a frame does not fit, ephemeral frames (typing, presence) make
//! room, oldest first; a durable frame that still does not fit is refused, and the caller closes the connection so
//! that the client resumes. A durable frame larger than the whole cap is taken when no other durable frame waits:
//! refusing it would only bring the client back for the same frame again.
//!
//! Control frames go ahead of everything that has not begun, never into the middle of a frame. Behind a close frame
//! nothing is written. Only the newest pong waits, so a client that pings and does not read costs nothing.
//!
//! Writing is two steps: [`Outbox::gather`] fills the per-session heads on the caller's stack and lays them and the
//! shared bytes out for `writev`, [`Outbox::advance`] takes off what the socket took.

use std::io::IoSlice;

use arrayvec::ArrayVec;
use bytes::Bytes;
use model::limits::{OUTBOX_FRAMES_MAX, WRITE_FRAMES_MAX};

use super::body::{Head, Opcode, SharedBody};
use super::close::CloseCode;
use super::queue::{Item, Kind, Queue};

#[cfg(test)]
mod tests;

/// Whether a frame may be dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Never dropped in silence.
    Durable,
    /// Dropped when there is no room.
    Ephemeral,
}

/// A dispatch on its way to one connection.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pub seq: u32,
    pub body: &'a SharedBody,
    pub class: Class,
}

/// A durable frame that does not fit: the client reads too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "outbox is full ({pending} of {cap} bytes, {frames} of {OUTBOX_FRAMES_MAX} frames wait), close the connection so that \
     the client resumes"
)]
pub struct Full {
    /// Bytes that wait.
    pub pending: usize,
    /// Bytes that may wait.
    pub cap: usize,
    /// Frames that wait.
    pub frames: usize,
}

/// The outgoing queue of one connection.
pub struct Outbox {
    queue: Queue,
    cap: usize,
    /// Bytes of all queued frames that have not been written.
    pending: usize,
    /// Bytes of the first frame that have been written.
    written: usize,
    /// Bytes of the ephemeral frames that have not begun.
    droppable: usize,
    /// How many those are.
    droppable_frames: usize,
    dropped: u32,
    phase: Phase,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// A close frame waits; nothing is taken any more.
    Closing,
    /// The close frame has been written.
    Closed,
}

/// Heads of the frames of one write, on the stack.
#[derive(Default)]
pub struct Heads(ArrayVec<Head, WRITE_FRAMES_MAX>);

/// What one `writev` writes.
pub type Slices<'a> = ArrayVec<IoSlice<'a>, { 3 * WRITE_FRAMES_MAX }>;

// === impl Outbox: putting in ===

impl Outbox {
    /// An empty outbox that holds at most `cap` bytes.
    pub fn new(cap: usize) -> Self {
        Self {
            queue: Queue::default(),
            cap,
            pending: 0,
            written: 0,
            droppable: 0,
            droppable_frames: 0,
            dropped: 0,
            phase: Phase::Open,
        }
    }

    /// Queues an event with the sequence number of this session, or with its present one for an unnumbered event; or
    /// another frame, for which the number means nothing.
    ///
    /// Behind a close frame it is ignored.
    pub fn push_dispatch(&mut self, seq: u32, body: SharedBody, class: Class) -> Result<(), Full> {
        if self.phase != Phase::Open {
            return Ok(());
        }
        let len = body.frame_len();
        let lasting = self.pending - self.droppable;
        let lasting_frames = self.queue.len() - self.droppable_frames;
        let fits = lasting + len <= self.cap && lasting_frames < OUTBOX_FRAMES_MAX;
        match class {
            Class::Durable if !fits && lasting > 0 => {
                return Err(Full { pending: self.pending, cap: self.cap, frames: self.queue.len() });
            }
            Class::Ephemeral if !fits => {
                self.drop_one();
                return Ok(());
            }
            _ => self.make_room(len),
        }
        let kind = match class {
            Class::Durable => Kind::Durable,
            Class::Ephemeral => Kind::Ephemeral,
        };
        self.pending += len;
        if kind == Kind::Ephemeral {
            self.droppable += len;
            self.droppable_frames += 1;
        }
        self.queue.push_back(Item { body, seq, kind });
        Ok(())
    }

    /// Queues frames of which the socket has taken the first bytes already, because nothing waited before them.
    pub fn push_rest(&mut self, frames: &[Frame<'_>], mut taken: usize) -> Result<(), Full> {
        debug_assert!(taken == 0 || self.is_empty(), "frames went past others that wait");
        for frame in frames {
            let len = frame.body.frame_len();
            if taken >= len {
                taken -= len;
                continue;
            }
            // What has begun can't be dropped any more.
            let class = if taken > 0 { Class::Durable } else { frame.class };
            self.push_dispatch(frame.seq, frame.body.clone(), class)?;
            self.advance(std::mem::take(&mut taken));
        }
        Ok(())
    }

    /// Queues bytes that are no frame, before the first one.
    pub fn push_raw(&mut self, bytes: Bytes) {
        debug_assert!(self.is_empty(), "what is no frame comes first");
        let body = SharedBody::raw(bytes);
        self.pending += body.frame_len();
        self.queue.push_back(Item { body, seq: 0, kind: Kind::Durable });
    }

    /// Answers a ping, ahead of all events; takes the place of an earlier answer that has not begun.
    pub fn push_pong(&mut self, payload: impl Into<Bytes>) {
        if self.phase != Phase::Open {
            return;
        }
        let body = SharedBody::plain(Opcode::Pong, payload.into());
        let len = body.frame_len();
        let begun = self.written > 0;
        match self.queue.get_mut(usize::from(begun)) {
            Some(item) if item.kind == Kind::Pong => {
                self.pending = self.pending - item.body.frame_len() + len;
                item.body = body;
            }
            _ => {
                self.pending += len;
                self.queue.push_ahead(Item { body, seq: 0, kind: Kind::Pong }, begun);
            }
        }
    }

    /// Closes at once: what has not begun is dropped, only the close frame follows.
    pub fn close_now(&mut self, code: CloseCode) {
        if self.phase == Phase::Open {
            self.discard();
            self.push_close(Some((code.code(), code.reason())));
        }
    }

    /// Closes behind everything that waits, for a close that must not overtake an op 7 or op 9.
    pub fn close_after_pending(&mut self, code: CloseCode) {
        if self.phase == Phase::Open {
            self.push_close(Some((code.code(), code.reason())));
        }
    }

    /// Answers the client's close frame at once with its own code.
    pub fn echo_close(&mut self, code: Option<u16>) {
        if self.phase == Phase::Open {
            self.discard();
            self.push_close(code.map(|code| (code, "")));
        }
    }

    fn push_close(&mut self, code: Option<(u16, &str)>) {
        let payload = match code {
            Some((code, reason)) => [&code.to_be_bytes(), reason.as_bytes()].concat(),
            None => Vec::new(),
        };
        let body = SharedBody::plain(Opcode::Close, payload.into());
        self.pending += body.frame_len();
        self.queue.push_back(Item { body, seq: 0, kind: Kind::Close });
        self.phase = Phase::Closing;
    }

    /// Drops every frame that has not begun.
    fn discard(&mut self) {
        let begun = self.written > 0;
        self.queue.clear(begun);
        self.pending = self.queue.front().map_or(0, |item| item.body.frame_len() - self.written);
        self.droppable = 0;
        self.droppable_frames = 0;
    }

    /// Drops ephemeral frames, oldest first, until one more of `len` bytes fits or none is left.
    fn make_room(&mut self, len: usize) {
        let mut excess = (self.pending + len).saturating_sub(self.cap);
        let mut excess_frames = (self.queue.len() + 1).saturating_sub(OUTBOX_FRAMES_MAX);
        if (excess == 0 && excess_frames == 0) || self.droppable_frames == 0 {
            return;
        }
        let (pending, droppable, dropped) = (&mut self.pending, &mut self.droppable, &mut self.dropped);
        let droppable_frames = &mut self.droppable_frames;
        self.queue.retain(self.written > 0, |item| {
            if (excess == 0 && excess_frames == 0) || item.kind != Kind::Ephemeral {
                return true;
            }
            let len = item.body.frame_len();
            excess = excess.saturating_sub(len);
            excess_frames = excess_frames.saturating_sub(1);
            *pending -= len;
            *droppable -= len;
            *droppable_frames -= 1;
            *dropped = dropped.saturating_add(1);
            false
        });
    }
}

// === impl Heads ===

impl Heads {
    /// Lays out frames that are not queued; answers how many bytes they have.
    pub(super) fn lay_out<'a>(&'a mut self, frames: &[Frame<'a>], slices: &mut Slices<'a>) -> usize {
        self.0.extend(frames.iter().map(|frame| frame.body.head(frame.seq)));
        for (frame, head) in frames.iter().zip(&self.0) {
            slices.push(IoSlice::new(head.as_slice()));
            if !frame.body.own().is_empty() {
                slices.push(IoSlice::new(frame.body.own()));
            }
            slices.push(IoSlice::new(frame.body.tail()));
        }
        frames.iter().map(|frame| frame.body.frame_len()).sum()
    }
}

// === impl Outbox: writing out ===

impl Outbox {
    /// Lays out everything that the next write covers, behind what has been written of the first frame.
    ///
    /// Both are filled in place, because moving them would cost more than filling them.
    pub fn gather<'a>(&'a self, heads: &'a mut Heads, slices: &mut Slices<'a>) {
        heads.0.clear();
        for item in self.queue.iter().take(WRITE_FRAMES_MAX) {
            heads.0.push(item.body.head(item.seq));
        }
        slices.clear();
        let mut skip = self.written;
        for (item, head) in self.queue.iter().zip(&heads.0) {
            for part in [head.as_slice(), item.body.own(), item.body.tail()] {
                let skipped = skip.min(part.len());
                skip -= skipped;
                if skipped < part.len() {
                    slices.push(IoSlice::new(&part[skipped..]));
                }
            }
        }
    }

    /// Takes off the first `n` pending bytes, which the socket has taken.
    ///
    /// # Panics
    /// When `n` is more than was pending.
    pub fn advance(&mut self, mut n: usize) {
        assert!(n <= self.pending, "more was written than was pending");
        self.pending -= n;
        while n > 0 {
            let front = self.queue.front().expect("pending bytes belong to queued frames");
            let len = front.body.frame_len();
            if self.written == 0 && front.kind == Kind::Ephemeral {
                self.droppable -= len;
                self.droppable_frames -= 1;
            }
            let left = len - self.written;
            if n < left {
                self.written += n;
                return;
            }
            n -= left;
            self.written = 0;
            if self.queue.pop_front().is_some_and(|item| item.kind == Kind::Close) {
                self.phase = Phase::Closed;
            }
        }
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Bytes that wait.
    pub fn pending_bytes(&self) -> usize {
        self.pending
    }

    /// Bytes that a durable frame may have to be taken now.
    pub fn room(&self) -> usize {
        self.cap.saturating_sub(self.pending - self.droppable)
    }

    /// Whether at least half of what may wait does. Whoever makes many frames for one session at once (a replay, a start with
    /// many guilds) paces itself by this.
    pub fn is_half_full(&self) -> bool {
        self.pending >= self.cap / 2 || self.queue.len() >= OUTBOX_FRAMES_MAX / 2
    }

    /// Counts an ephemeral frame that the caller drops, as there is no room for it.
    pub fn drop_one(&mut self) {
        self.dropped = self.dropped.saturating_add(1);
    }

    /// Ephemeral frames dropped since the last call.
    pub fn take_dropped(&mut self) -> u32 {
        std::mem::take(&mut self.dropped)
    }

    /// Whether a close frame waits or has been written: nothing more is taken.
    pub fn is_closing(&self) -> bool {
        self.phase != Phase::Open
    }

    /// Whether the close frame has been written: the socket can be shut down.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }
}
