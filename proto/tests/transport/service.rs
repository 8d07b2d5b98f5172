//! A message service that does what a test says.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::{Slot, SlotSet};
use proto::v1::messages_server::Messages;
use proto::{Failure, FailureKind, FieldError, v1};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use tonic::{Request, Response, Status};

/// What `GetMessage` does, by the message that is asked for.
pub const ECHO: u64 = 1;
pub const FAIL: u64 = 2;
/// Answers when it is let through.
pub const WAIT: u64 = 3;
pub const PANIC: u64 = 4;
pub const TRACE: u64 = 5;
pub const HUGE: u64 = 6;

/// Who owns what: a failure for what this replica does not own.
type Ownership = Box<dyn Fn(Slot) -> Option<Failure> + Send + Sync>;

/// The service. Clones are the same.
#[derive(Clone)]
pub struct Scripted(Arc<Inner>);

struct Inner {
    name: String,
    started: watch::Sender<u32>,
    finished: watch::Sender<u32>,
    gate: Semaphore,
    ownership: parking_lot::Mutex<Option<Ownership>>,
}

impl Scripted {
    pub fn new(name: &str) -> Self {
        Self(Arc::new(Inner {
            name: name.to_owned(),
            started: watch::Sender::new(0),
            finished: watch::Sender::new(0),
            gate: Semaphore::new(0),
            ownership: parking_lot::Mutex::default(),
        }))
    }

    /// Calls that have reached it.
    pub fn started(&self) -> u32 {
        *self.0.started.borrow()
    }

    pub async fn wait_for_started(&self, count: u32) {
        reached(&self.0.started, count).await;
    }

    pub async fn wait_for_finished(&self, count: u32) {
        reached(&self.0.finished, count).await;
    }

    /// Lets waiting calls through.
    pub fn let_through(&self, count: usize) {
        self.0.gate.add_permits(count);
    }

    pub fn owns(&self, ownership: impl Fn(Slot) -> Option<Failure> + Send + Sync + 'static) {
        *self.0.ownership.lock() = Some(Box::new(ownership));
    }

    fn check(&self, channel: u64) -> Result<(), Failure> {
        let refusal = self.0.ownership.lock().as_ref().and_then(|ownership| ownership(Slot::of(channel)));
        refusal.map_or(Ok(()), Err)
    }

    async fn act(&self, message_id: u64, trace: String) -> Result<String, Failure> {
        match message_id {
            FAIL => return Err(whole_failure()),
            WAIT => self.0.gate.acquire().await.expect("the gate is never closed").forget(),
            PANIC => panic!("the test asks for it"),
            TRACE => return Ok(trace),
            HUGE => return Ok("x".repeat(model::limits::RPC_MESSAGE_BYTES_MAX + 1)),
            _ => {}
        }
        Ok(self.0.name.clone())
    }

    async fn run(&self, channel: u64, message: u64, trace: String) -> Result<v1::MessageReply, Status> {
        self.0.started.send_modify(|count| *count += 1);
        self.check(channel)?;
        let text = self.act(message, trace).await?;
        self.0.finished.send_modify(|count| *count += 1);
        Ok(v1::MessageReply { message_json: text.into() })
    }
}

/// Waits for a count, but not for ever: what does not happen fails the test.
async fn reached(counter: &watch::Sender<u32>, count: u32) {
    let mut counter = counter.subscribe();
    let reached = timeout(Duration::from_secs(20), counter.wait_for(|now| *now >= count)).await;
    reached.expect("it is soon so").expect("the sender is here");
}

/// A failure with everything that one can hold.
pub fn whole_failure() -> Failure {
    let path = "embeds.0.title".to_owned();
    let field = FieldError { path, code: "BASE_TYPE_MAX_LENGTH".into(), message: "Must be shorter.".into() };
    Failure {
        kind: FailureKind::RateLimited,
        code: 20_016,
        message: "Langsam, bitte: ü".into(),
        fields: vec![field],
        retry_after_ms: Some(1_234),
        rate_limit: Some(Box::new(v1::RateLimit {
            limit: 5,
            remaining: 0,
            reset_after_ms: 99,
            bucket: "b".into(),
        })),
        owner: None,
    }
}

/// The failure of a replica that does not own the slot.
pub fn not_owner(slot: Slot, owner: Option<&str>) -> Failure {
    Failure::not_owner(SlotSet::Channels, slot, owner.map(str::to_owned))
}

#[async_trait]
impl Messages for Scripted {
    async fn create_message(
        &self,
        request: Request<v1::CreateMessageRequest>,
    ) -> Result<Response<v1::CreateMessageReply>, Status> {
        // What the message does is said by its author.
        let request = request.into_inner();
        let reply = self.run(request.channel_id, request.author_id, String::new()).await?;
        let reply = v1::CreateMessageReply { message_json: reply.message_json, ..Default::default() };
        Ok(Response::new(reply))
    }

    async fn get_message(
        &self,
        request: Request<v1::GetMessageRequest>,
    ) -> Result<Response<v1::MessageReply>, Status> {
        let trace = request.metadata().get("traceparent").map(|value| value.to_str().unwrap().to_owned());
        let request = request.into_inner();
        self.run(request.channel_id, request.message_id, trace.unwrap_or_default()).await.map(Response::new)
    }

    async fn last_message_ids(
        &self,
        request: Request<v1::LastMessageIdsRequest>,
    ) -> Result<Response<v1::LastMessageIdsReply>, Status> {
        let channels = request.into_inner().channel_ids;
        let message = channels.get(1).copied().unwrap_or(ECHO);
        self.run(channels[0], message, String::new()).await?;
        Ok(Response::new(v1::LastMessageIdsReply::default()))
    }

    async fn list_messages(
        &self,
        _: Request<v1::ListMessagesRequest>,
    ) -> Result<Response<v1::ListMessagesReply>, Status> {
        Err(not_scripted())
    }

    async fn edit_message(
        &self,
        _: Request<v1::EditMessageRequest>,
    ) -> Result<Response<v1::MessageReply>, Status> {
        Err(not_scripted())
    }

    async fn delete_messages(
        &self,
        _: Request<v1::DeleteMessagesRequest>,
    ) -> Result<Response<v1::Empty>, Status> {
        Err(not_scripted())
    }

    async fn add_reaction(&self, _: Request<v1::ReactionRequest>) -> Result<Response<v1::Empty>, Status> {
        Err(not_scripted())
    }

    async fn remove_reactions(
        &self,
        _: Request<v1::RemoveReactionsRequest>,
    ) -> Result<Response<v1::Empty>, Status> {
        Err(not_scripted())
    }

    async fn list_reactions(
        &self,
        _: Request<v1::ListReactionsRequest>,
    ) -> Result<Response<v1::ListReactionsReply>, Status> {
        Err(not_scripted())
    }

    async fn start_typing(&self, _: Request<v1::StartTypingRequest>) -> Result<Response<v1::Empty>, Status> {
        Err(not_scripted())
    }
}

fn not_scripted() -> Status {
    Status::unimplemented("the tests do not call it")
}
