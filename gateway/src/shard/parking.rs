//! Sessions of a gateway that goes away are packed up and left in the registry, each before its client is told to leave.
//!
//! From the moment when it is packed nobody feeds the session here, so the record is all of it: what came later lies above its
//! position. Until the process ends the session is also given to whoever asks for it, which is quicker than the registry, and
//! good while that is away.

use std::time::Duration;

use backplane::{OwnedSession, Parked, Record};
use bytes::Bytes;
use model::limits;
use tokio::time::{Instant, sleep, timeout};
use tracing::warn;

use super::conn::ConnId;
use super::{Shard, ShardRef, checkpoint};
use crate::audience::SessionKey;
use crate::parcel::Parcel;
use crate::services::Services;
use crate::stats::Count;

impl Shard {
    /// Packs the session up and leaves it in the registry; then the client on this connection is told.
    pub(super) fn park(&mut self, me: &ShardRef, key: SessionKey, conn: Option<ConnId>) {
        let Some(parcel) = self.pack_whole(key) else {
            // Nothing of it could be resumed. What its last heartbeat left is all that there is.
            self.services.stats.drained_without_record.add(1);
            return self.tell_parked(conn);
        };
        let id = parcel.profile.id;
        if let Some(conn) = conn {
            self.flush(me, conn);
        }
        if self.session(key, id).is_none() {
            return self.tell_parked(conn);
        }
        if let Some(conn) = conn.and_then(|conn| self.conn(conn)) {
            conn.link.leave();
            conn.session = None;
        }
        let record = self.record(key, &parcel);
        self.sessions[key].conn = None;
        self.services.book.hand_over(id);
        self.remove_session(key);
        let epoch = parcel.epoch;
        self.parked.insert(id, parcel);
        let Some(record) = record else { return self.tell_parked(conn) };
        let patience = self.parking_begins();
        let (me, services) = (me.clone(), self.services.clone());
        self.tasks.spawn(async move {
            let owned = OwnedSession { id: id.to_string(), epoch };
            let is_left = leave(&services, &owned, record, patience).await;
            let mut this = me.borrow_mut();
            this.parking_ended(is_left);
            let stats = &services.stats;
            if is_left {
                stats.sessions_parked.add(1)
            } else {
                stats.drained_without_record.add(1)
            }
            this.tell_parked(conn);
            this.flush_dirty(&me);
        });
    }

    fn tell_parked(&mut self, conn: Option<ConnId>) {
        if let Some(conn) = conn {
            self.tell_to_leave(conn);
        }
    }

    /// What is left of the session: all of it, or, where that is too much, its checkpoint.
    fn record(&self, key: SessionKey, parcel: &Parcel) -> Option<Record> {
        let encoded = |parcel: &Parcel| -> Option<Bytes> { parcel.encode().ok() };
        let whole = encoded(parcel).and_then(|bytes| Record::new(bytes).ok());
        if whole.is_none() {
            self.services.stats.records_too_large.add(1);
        }
        whole.or_else(|| Record::new(encoded(&self.checkpoint(key)?)?).ok())
    }

    /// The session as a value with everything that its ring has.
    fn pack_whole(&self, key: SessionKey) -> Option<Parcel> {
        let above = self.sessions.get(key)?.session.whole_above(&self.rings);
        self.pack(key, above, self.seen.last()?)
    }
}

/// Writes a record until it is acknowledged, or for as long as the client can wait to be told.
async fn leave(services: &Services, owned: &OwnedSession, record: Record, patience: Duration) -> bool {
    let until = Instant::now() + patience;
    let lifetime = checkpoint::lifetime(services);
    loop {
        let parked = services.sessions.park(owned, &services.pod, record.clone(), lifetime);
        match timeout(Duration::from_millis(limits::CHECKPOINT_MS), parked).await {
            // Who has it by now needs no record.
            Ok(Ok(Parked::Stored | Parked::Overtaken(_))) => return true,
            Ok(Err(_)) | Err(_) if Instant::now() < until => sleep(services.backoff(2)).await,
            Ok(Err(error)) => {
                warn!(session = owned.id, %error, "a session could not be left in the registry");
                return false;
            }
            Err(_) => {
                warn!(session = owned.id, "the registry does not answer, a session was not left there");
                return false;
            }
        }
    }
}
