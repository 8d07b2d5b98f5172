//! The contract of `proto`.

use async_trait::async_trait;
use proto::convert::ids;
use proto::v1::messages_server::Messages as Contract;
use proto::{Failure, v1};
use tonic::{Request, Response, Status};

use super::Messages;

type Reply<T> = Result<Response<T>, Status>;

#[async_trait]
impl Contract for Messages {
    async fn create_message(
        &self,
        request: Request<v1::CreateMessageRequest>,
    ) -> Reply<v1::CreateMessageReply> {
        reply(self.create(request.into_inner()).await)
    }

    async fn get_message(&self, request: Request<v1::GetMessageRequest>) -> Reply<v1::MessageReply> {
        reply(self.get(request.into_inner()).await)
    }

    async fn list_messages(&self, request: Request<v1::ListMessagesRequest>) -> Reply<v1::ListMessagesReply> {
        reply(self.list(request.into_inner()).await)
    }

    async fn edit_message(&self, request: Request<v1::EditMessageRequest>) -> Reply<v1::MessageReply> {
        reply(self.edit(request.into_inner()).await)
    }

    async fn delete_messages(&self, request: Request<v1::DeleteMessagesRequest>) -> Reply<v1::Empty> {
        reply(self.delete(request.into_inner()).await.map(done))
    }

    async fn add_reaction(&self, request: Request<v1::ReactionRequest>) -> Reply<v1::Empty> {
        reply(self.react(request.into_inner()).await.map(done))
    }

    async fn remove_reactions(&self, request: Request<v1::RemoveReactionsRequest>) -> Reply<v1::Empty> {
        reply(self.unreact(request.into_inner()).await.map(done))
    }

    async fn list_reactions(
        &self,
        request: Request<v1::ListReactionsRequest>,
    ) -> Reply<v1::ListReactionsReply> {
        reply(self.reactors(request.into_inner()).await)
    }

    async fn start_typing(&self, request: Request<v1::StartTypingRequest>) -> Reply<v1::Empty> {
        reply(self.type_in(request.into_inner()).await.map(done))
    }

    async fn last_message_ids(
        &self,
        request: Request<v1::LastMessageIdsRequest>,
    ) -> Reply<v1::LastMessageIdsReply> {
        let channels = ids("channel_ids", &request.into_inner().channel_ids).map_err(Failure::from)?;
        let lasts = Self::last_message_ids(self, &channels).await?;
        let message_ids = lasts.into_iter().map(|(channel, last)| (channel.get(), last.get())).collect();
        Ok(Response::new(v1::LastMessageIdsReply { message_ids }))
    }
}

fn reply<T>(outcome: Result<T, Failure>) -> Reply<T> {
    outcome.map(Response::new).map_err(Status::from)
}

fn done((): ()) -> v1::Empty {
    v1::Empty {}
}
