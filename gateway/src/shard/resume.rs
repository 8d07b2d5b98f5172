//! RESUME: a socket takes over a session of this shard, or one that is brought here first (see [`super::taking`]).
//!
//! Where there are other gateways, one of them may have taken a session that is here from a checkpoint: the registry is asked first.
//!
//! A session is taken also while another socket has it: a client often comes back before its old socket is known to be
//! dead. The old one is closed; of two RESUMEs the later wins. What cannot be resumed is answered with op 1, then op 9
//! (see [`crate::link`]), and the socket stays open for an IDENTIFY.

use model::limits;

use super::conn::ConnId;
use super::serve::{End, Flow};
use super::{Shard, ShardRef};
use crate::audience::SessionKey;
use crate::link::command::Resume;
use crate::session::{ResumeRefusal, SessionId, TokenHash};
use crate::stats::Count;
use crate::wire::CloseCode;

impl Shard {
    /// Takes a RESUME, or says to which shard of this pod the socket goes with it.
    pub(super) fn resume_here_or_there(&mut self, me: &ShardRef, conn: ConnId, resume: Resume) -> Flow {
        match self.shard_of(&resume) {
            Some(other) if other != self.index => Flow::End(End::Moved(resume, other)),
            _ => {
                self.resume(me, conn, resume);
                Flow::Go
            }
        }
    }

    /// The shard of this pod that holds the session if the pod does.
    fn shard_of(&self, resume: &Resume) -> Option<usize> {
        let id: SessionId = resume.session_id.parse().ok()?;
        Some(id.shard_of(self.peers.len()))
    }

    pub(super) fn resume(&mut self, me: &ShardRef, conn: ConnId, resume: Resume) {
        let id: Option<SessionId> = resume.session_id.parse().ok();
        match id.filter(|_| self.services.neighbours.is_some()) {
            Some(id) if self.by_id.contains_key(&id) => self.resume_once_sure(me, conn, id, resume),
            Some(id) => self.take_from_elsewhere(me, conn, id, resume),
            None => self.resume_if_here(me, conn, &resume),
        }
    }

    /// The same of a session that is nowhere else.
    pub(super) fn resume_if_here(&mut self, me: &ShardRef, conn: ConnId, resume: &Resume) {
        match self.find_resumable(resume) {
            Some(key) => self.take_over(me, conn, key, resume.seq),
            None => {
                self.services.stats.resumes_refused.add(1);
                self.refuse(conn);
            }
        }
    }

    /// The connection has no session: op 1 now, op 9 when the client has beaten, or has had its time to.
    pub(super) fn refuse(&mut self, conn: ConnId) {
        let now_ms = self.services.now_ms();
        let Some(request) = self.conn(conn).map(|conn| conn.link.refused(now_ms)) else { return };
        self.send(conn, request);
        self.refusal_timers.set(now_ms + limits::REFUSAL_WAIT_MS, conn);
    }

    /// The client has had its time.
    pub(super) fn check_refusal(&mut self, conn: ConnId, now_ms: u64) {
        if let Some(refusal) = self.conn(conn).and_then(|conn| conn.link.refusal(now_ms)) {
            self.send(conn, refusal);
        }
    }

    fn find_resumable(&self, resume: &Resume) -> Option<SessionKey> {
        let id: SessionId = resume.session_id.parse().ok()?;
        let key = *self.by_id.get(&id)?;
        let token = TokenHash::of(&resume.token);
        match self.sessions[key].session.check_resume(&token, resume.seq, &self.rings) {
            Ok(()) => Some(key),
            Err(refusal) => {
                let is_too_old = refusal == ResumeRefusal::SeqTooOld;
                self.services.stats.resumes_too_old.add(u64::from(is_too_old));
                None
            }
        }
    }

    fn take_over(&mut self, me: &ShardRef, conn: ConnId, key: SessionKey, seq: u64) {
        let old = self.sessions[key].conn;
        if let Some(old) = old {
            self.detach(old);
            self.close(old, CloseCode::UnknownError);
        }
        let Some(slot) = self.sessions.get_mut(key) else { return self.refuse(conn) };
        slot.conn = Some(conn);
        slot.session.resume(seq);
        slot.heard.resumed();
        if let Some(aside) = &mut slot.aside {
            aside.resumed();
        }
        if let Some(connection) = self.conn(conn) {
            connection.session = Some(key);
            connection.link.accepted();
        }
        self.services.stats.resumes.add(1);
        self.pump(me, key);
    }
}
