//! RESUME: a socket takes over a session of this shard.
//!
//! A session is taken also while another socket has it: a client often comes back before its old socket is known to be
//! dead. The old one is closed; of two RESUMEs the later wins. What cannot be resumed is answered with op 1, then op 9,
//! and the socket stays open for an IDENTIFY.

use super::conn::ConnId;
use super::{Shard, ShardRef};
use crate::audience::SessionKey;
use crate::link::command::Resume;
use crate::session::{ResumeRefusal, SessionId, TokenHash};
use crate::stats::Count;
use crate::wire::CloseCode;

impl Shard {
    /// The shard of this pod that holds the session, if the id can be one of ours.
    pub(super) fn shard_of(&self, resume: &Resume) -> Option<usize> {
        let id: SessionId = resume.session_id.parse().ok()?;
        Some(usize::from(id.shard())).filter(|shard| *shard < self.peers.len())
    }

    pub(super) fn resume(&mut self, me: &ShardRef, conn: ConnId, resume: Resume) {
        match self.find_resumable(&resume) {
            Some(key) => self.take_over(me, conn, key, resume.seq),
            None => {
                self.services.stats.resumes_refused.add(1);
                self.refuse(conn);
            }
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
