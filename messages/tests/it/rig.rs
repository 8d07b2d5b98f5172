//! The service on a real store and a real backplane, with a directory in memory.

use std::sync::Arc;
use std::time::Duration;

use backplane::{Backplane, Delivery, InProcess, Layout, Listener, Options, Stream, Subject};
use doubles::{Disk, Flaky};
use messages::store::EmbeddedStore;
use messages::{Config, FilterConfig, Messages, RateLimitConfig};
use model::EventKind;
use model::clock::ManualClock;
use parking_lot::Mutex;
use proto::clients::{self, MessagesClient};
use proto::{Envelope, Failure, v1};
use serde_json::Value;
use storage::{EmbeddedLeases, Engine, EngineOptions, IdFloor, Snowflakes, WorkerId};
use tokio::runtime::Handle;

use crate::doubt::Doubtful;
use crate::owner::Owner;
use crate::world::{Directory, GENERAL, World, guild};

pub const START_MS: u64 = 1_790_000_000_000;

pub struct Rig {
    pub world: Arc<World>,
    pub clock: ManualClock,
    pub stream: Arc<InProcess>,
    pub backplane: Arc<Flaky>,
    pub messages: Messages,
    pub client: MessagesClient,
    rate_limit: RateLimitConfig,
    filter: FilterConfig,
    pub engine: Engine,
    _dir: tempfile::TempDir,
}

impl Rig {
    /// A service without a rate limit that matters.
    pub async fn new(members: u64) -> Self {
        Self::with(
            members,
            RateLimitConfig { messages: 1_000_000, window_ms: 5_000 },
            FilterConfig::default(),
        )
        .await
    }

    pub async fn with(members: u64, rate_limit: RateLimitConfig, filter: FilterConfig) -> Self {
        Self::on(EngineOptions::default(), members, rate_limit, filter).await
    }

    /// On a disk that can be held up.
    pub async fn gated(members: u64) -> (Self, Disk) {
        let disk = Disk::default();
        let options = EngineOptions { sync_hook: Some(disk.hook()), ..EngineOptions::default() };
        let rate_limit = RateLimitConfig { messages: 1_000_000, window_ms: 5_000 };
        (Self::on(options, members, rate_limit, FilterConfig::default()).await, disk)
    }

    async fn on(
        options: EngineOptions,
        members: u64,
        rate_limit: RateLimitConfig,
        filter: FilterConfig,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let engine = Engine::open(dir.path(), options).unwrap();
        let clock = ManualClock::at(START_MS);
        let stream = InProcess::new(Layout::default(), Arc::new(clock.clone()), Options::default());
        let backplane = Flaky::new(Arc::clone(&stream));
        let world = World::new(members);
        let messages = open(&engine, &clock, &backplane, &world, rate_limit, &filter).await;
        let client = clients::local_messages(messages.clone(), Handle::current());
        Self { world, clock, stream, backplane, messages, client, rate_limit, filter, engine, _dir: dir }
    }

    /// Another start on the same data, without a shutdown of the one before, whose backplane is dead from now on.
    pub async fn crash(&mut self) {
        self.backplane.go_away();
        self.backplane = Flaky::new(Arc::clone(&self.stream));
        self.start_again().await;
    }

    pub async fn restart(&mut self) {
        self.messages.shutdown().await;
        self.start_again().await;
    }

    async fn start_again(&mut self) {
        self.messages =
            open(&self.engine, &self.clock, &self.backplane, &self.world, self.rate_limit, &self.filter)
                .await;
        self.client = clients::local_messages(self.messages.clone(), Handle::current());
    }

    /// Ends this service and starts the next on a store that can be made unsure of what it wrote.
    pub async fn on_doubtful_store(&mut self) -> Arc<Doubtful> {
        self.messages.shutdown().await;
        let config =
            config(&self.engine, &self.clock, &self.backplane, &self.world, self.rate_limit, &self.filter)
                .await;
        let store = Doubtful::new(Arc::clone(&config.store));
        let config = Config { store: Arc::<Doubtful>::clone(&store), ..config };
        self.messages = Messages::open(config).await.unwrap();
        self.client = clients::local_messages(self.messages.clone(), Handle::current());
        store
    }

    /// Ends this service and starts the next on a store with other writers, which a test gives and takes the slots.
    pub async fn on_shared_store(&mut self) -> (Arc<Doubtful>, Arc<Owner>) {
        self.messages.shutdown().await;
        let mut config =
            config(&self.engine, &self.clock, &self.backplane, &self.world, self.rate_limit, &self.filter)
                .await;
        let owner = Owner::new(EmbeddedLeases::start(&self.engine).await.unwrap().epoch());
        config.leases = Arc::<Owner>::clone(&owner);
        let store = Doubtful::shared(Arc::clone(&config.store));
        config.store = Arc::<Doubtful>::clone(&store);
        self.messages = Messages::open(config).await.unwrap();
        self.messages.settled().await;
        self.client = clients::local_messages(self.messages.clone(), Handle::current());
        (store, owner)
    }

    pub async fn listen(&self) -> Events {
        let partition = self.stream.layout().guild(guild());
        Events(self.stream.listen(partition).await.unwrap())
    }

    /// All message events that are stored in the guild's stream.
    pub async fn stored_events(&self) -> Vec<Envelope> {
        let stream = self.stream.layout().stream(Subject::Guild(guild()));
        assert!(matches!(stream, Stream::Guilds(_)));
        let stored =
            self.stream.read(stream, 1..=self.stream.state(stream).await.unwrap().last, 100_000).await;
        let events = stored.unwrap().into_iter().map(|event| Envelope::decode(event.envelope).unwrap());
        events.filter(|event| event.writer.set == 1).collect()
    }

    /// All events that are stored on a user's subject, in order.
    pub async fn events_of(&self, id: u64) -> Vec<Envelope> {
        let subject = Subject::User(crate::world::user(id));
        let stream = self.stream.layout().stream(subject);
        let last = self.stream.state(stream).await.unwrap().last;
        let stored =
            if last == 0 { Vec::new() } else { self.stream.read(stream, 1..=last, 100_000).await.unwrap() };
        let of_user = stored.into_iter().filter(|event| event.subject == subject);
        of_user.map(|event| Envelope::decode(event.envelope).unwrap()).collect()
    }

    pub async fn send(&self, author: u64, content: &str) -> Result<v1::CreateMessageReply, Failure> {
        self.create(send_request(author, content)).await
    }

    pub async fn create(&self, request: v1::CreateMessageRequest) -> Result<v1::CreateMessageReply, Failure> {
        let mut client = self.client.clone();
        Ok(client.create_message(request).await.map_err(Failure::from)?.into_inner())
    }

    pub async fn sent(&self, author: u64, content: &str) -> u64 {
        self.send(author, content).await.unwrap().message_id
    }

    pub async fn get(&self, reader: u64, message: u64) -> Result<Value, Failure> {
        let request = v1::GetMessageRequest { channel_id: GENERAL, message_id: message, reader_id: reader };
        let reply = self.client.clone().get_message(request).await.map_err(Failure::from)?;
        Ok(serde_json::from_slice(&reply.into_inner().message_json).unwrap())
    }

    pub async fn edit(&self, editor: u64, message: u64, content: &str) -> Result<Value, Failure> {
        let request = v1::EditMessageRequest {
            channel_id: GENERAL,
            message_id: message,
            editor_id: editor,
            content: Some(content.into()),
            ..v1::EditMessageRequest::default()
        };
        let reply = self.client.clone().edit_message(request).await.map_err(Failure::from)?;
        Ok(serde_json::from_slice(&reply.into_inner().message_json).unwrap())
    }

    pub async fn delete(&self, actor: u64, ids: &[u64], bulk: bool) -> Result<(), Failure> {
        let request = v1::DeleteMessagesRequest {
            channel_id: GENERAL,
            message_ids: ids.to_vec(),
            actor_id: actor,
            bulk,
        };
        self.client.clone().delete_messages(request).await.map_err(Failure::from).map(|_| ())
    }

    pub async fn react(&self, user: u64, message: u64, emoji: &str) -> Result<(), Failure> {
        let emoji = Some(v1::Emoji { id: None, name: emoji.into() });
        let request = v1::ReactionRequest { channel_id: GENERAL, message_id: message, user_id: user, emoji };
        self.client.clone().add_reaction(request).await.map_err(Failure::from).map(|_| ())
    }

    pub async fn unreact(
        &self,
        actor: u64,
        message: u64,
        emoji: Option<&str>,
        user: Option<u64>,
    ) -> Result<(), Failure> {
        let request = v1::RemoveReactionsRequest {
            channel_id: GENERAL,
            message_id: message,
            actor_id: actor,
            emoji: emoji.map(|name| v1::Emoji { id: None, name: name.into() }),
            user_id: user,
        };
        self.client.clone().remove_reactions(request).await.map_err(Failure::from).map(|_| ())
    }
}

pub fn send_request(author: u64, content: &str) -> v1::CreateMessageRequest {
    v1::CreateMessageRequest {
        channel_id: GENERAL,
        author_id: author,
        content: Some(v1::MessageContent { content: content.into(), ..v1::MessageContent::default() }),
        ..v1::CreateMessageRequest::default()
    }
}

pub fn with_nonce(author: u64, content: &str, nonce: &str) -> v1::CreateMessageRequest {
    let value = Some(v1::nonce::Value::Text(nonce.into()));
    let nonce = Some(v1::Nonce { value });
    v1::CreateMessageRequest { nonce, enforce_nonce: true, ..send_request(author, content) }
}

/// What a subscriber of the guild's partition gets.
pub struct Events(Listener);

impl Events {
    /// The next event of a message.
    pub async fn next(&mut self) -> Envelope {
        loop {
            let delivery = tokio::time::timeout(Duration::from_secs(60), self.0.next()).await;
            match delivery.expect("an event within a minute").expect("the backplane is open") {
                Delivery::Event { envelope, .. } => {
                    let event = Envelope::decode(envelope).unwrap();
                    if event.writer.set == 1 {
                        return event;
                    }
                }
                other => panic!("expected an event, got {other:?}"),
            }
        }
    }

    pub async fn expect(&mut self, kind: EventKind) -> Value {
        let event = self.next().await;
        assert_eq!(event.kind, kind);
        serde_json::from_slice(&event.data).unwrap()
    }
}

async fn open(
    engine: &Engine,
    clock: &ManualClock,
    backplane: &Arc<Flaky>,
    world: &Arc<World>,
    rate_limit: RateLimitConfig,
    filter: &FilterConfig,
) -> Messages {
    Messages::open(config(engine, clock, backplane, world, rate_limit, filter).await).await.unwrap()
}

/// What a service stands on that is the next owner of everything.
async fn config(
    engine: &Engine,
    clock: &ManualClock,
    backplane: &Arc<Flaky>,
    world: &Arc<World>,
    rate_limit: RateLimitConfig,
    filter: &FilterConfig,
) -> Config {
    let leases = EmbeddedLeases::start(engine).await.unwrap();
    let floor = IdFloor::open(engine).unwrap();
    let ids = Snowflakes::new(WorkerId::of_epoch(leases.epoch()), floor.recorded_ms());
    let directory = Directory(Arc::clone(world));
    Config {
        store: Arc::new(EmbeddedStore::open(engine, Arc::new(floor)).unwrap()),
        leases: Arc::new(leases),
        backplane: Arc::<Flaky>::clone(backplane),
        guilds: clients::local_guilds(directory.clone(), Handle::current()),
        accounts: clients::local_accounts(directory, Handle::current()),
        clock: Arc::new(clock.clone()),
        ids: Arc::new(Mutex::new(ids)),
        rate_limit,
        filter: filter.clone(),
    }
}
