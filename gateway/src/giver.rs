//! What other gateways may ask of this one: `Gateway` of `gateway.proto`.

use std::sync::Arc;

use backplane::PodName;
use model::limits;
use proto::v1::gateway_server::Gateway;
use proto::v1::take_session_reply::Outcome;
use proto::{Failure, FailureKind, v1};
use tokio::sync::{mpsc, oneshot};
use tonic::{Request, Response, Status};

use crate::positions::Seen;
use crate::services::Services;
use crate::session::{SessionId, TokenHash};
use crate::shard::Input;
use crate::takings::Wanted;

/// A question to a shard: to give a session away.
pub(crate) struct Ask {
    pub(crate) wanted: Wanted,
    pub(crate) taker: PodName,
    /// What the shard had been given by then.
    pub(crate) seen: Seen,
    pub(crate) answer: oneshot::Sender<Outcome>,
}

/// The service. It needs nothing of the runtime that it is asked on.
#[derive(Clone)]
pub(crate) struct Giver {
    pub(crate) services: Arc<Services>,
    pub(crate) shards: Arc<[mpsc::Sender<Input>]>,
}

#[tonic::async_trait]
impl Gateway for Giver {
    async fn take_session(
        &self,
        request: Request<v1::TakeSessionRequest>,
    ) -> Result<Response<v1::TakeSessionReply>, Status> {
        let request = request.into_inner();
        let invalid = |text: &str| Status::from(Failure::new(FailureKind::Invalid, 0, text));
        let id: SessionId = request.session_id.parse().map_err(|_| invalid("`session_id` is none"))?;
        let token = <[u8; 32]>::try_from(&request.token_hash[..]);
        let token = TokenHash::of_bytes(token.map_err(|_| invalid("`token_hash` has not 32 bytes"))?);
        let wanted = Wanted { id, token, seq: request.seq };
        let (answer, answered) = oneshot::channel();
        // The order matters: what was seen before the shard is asked, it deals with before it answers.
        let seen = self.services.positions.now();
        let ask = Ask { wanted, taker: PodName::new(request.pod), seen, answer };
        let shard = &self.shards[id.shard_of(self.shards.len())];
        let gone = |_| Status::from(Failure::unavailable("the gateway ends", limits::UNAVAILABLE_RETRY_MS));
        shard.send(Input::Give(Box::new(ask))).await.map_err(|_| gone(()))?;
        let outcome = answered.await.map_err(|_| gone(()))?;
        Ok(Response::new(v1::TakeSessionReply { outcome: Some(outcome) }))
    }
}
