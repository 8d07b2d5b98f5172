//! What an actor reads before its first command: the lease, where ids begin, the nonces of the last five minutes.

use model::limits::NONCE_MS;
use model::{ChannelId, MessageId, snowflake};
use proto::Failure;
use storage::{Lease, Slot, SlotSet};

use super::nonces::Nonces;
use super::{Shared, not_owner, store_failure};
use crate::limits::PAGE_LEN;
use crate::store::{Page, StoreError};

/// The state that an actor begins with.
pub(super) struct Loaded {
    pub(super) lease: Lease,
    pub(super) nonces: Nonces,
}

pub(super) async fn load(shared: &Shared, channel: ChannelId) -> Result<Loaded, Failure> {
    let lease = shared.leases.lease(SlotSet::Channels, Slot::of(channel.get()));
    let lease = lease.map_err(|error| not_owner(&error))?;
    let nonces = read(shared, channel).await.map_err(|error| store_failure(&error))?;
    Ok(Loaded { lease, nonces })
}

async fn read(shared: &Shared, channel: ChannelId) -> Result<Nonces, StoreError> {
    let mut nonces = Nonces::default();
    let newest = shared.store.list(channel, Page::Newest, 1).await?;
    let lasts = shared.store.last_ids(&[channel]).await?;
    let last = newest.first().map(|message| message.id).max(lasts.into_iter().flatten().next());
    let Some(last) = last else { return Ok(nonces) };
    shared.ids.raise_above(last.get());
    let since = snowflake::lowest_at(shared.ids.now_ms().saturating_sub(NONCE_MS)).max(1);
    let mut after = MessageId::new(since);
    while let Some(from) = after {
        let messages = shared.store.list(channel, Page::After(from), PAGE_LEN).await?;
        after = messages.first().map(|message| message.id).filter(|_| messages.len() == PAGE_LEN);
        for message in messages.into_iter().rev() {
            if let Some(nonce) = message.nonce {
                nonces.restore((message.author_id, nonce), message.id);
            }
        }
    }
    Ok(nonces)
}
