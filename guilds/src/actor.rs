//! Guilds as actors: one task makes a guild's changes one after another, and ends when nobody asked for a while.
//!
//! Callers hold no actor; they name a guild to [`Actors`], which starts its task at the first touch (one load, however
//! many callers wait). Readers take the committed state and never wait for a change; what is visible is durable.
//! A full queue answers 503 at once, and so does a change whose publish takes too long: it may yet take effect.
//!
//! A task leaves the registry only under the registry's lock and only when nobody holds its queue, so there are never
//! two writers of one guild in a process.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use model::GuildId;
use model::limits::{ACTOR_IDLE_MS, CHANGE_WAIT_MS, GUILD_QUEUE_MAX, UNAVAILABLE_RETRY_MS};
use parking_lot::{Mutex, RwLock};
use proto::{Failure, FailureKind};
use storage::{Lease, SlotSet};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

use crate::accounts::locks::Stripes;
use crate::changes::{Changes, Stored, not_owner, outcome_unknown};
use crate::cleanup;
use crate::command::{Change, Command};
use crate::state::{GuildState, unknown_guild};

/// All guilds of this process.
pub(crate) struct Actors {
    changes: Arc<Changes>,
    running: Mutex<HashMap<GuildId, Handle>>,
    /// One load per guild at a time.
    loading: Stripes,
    idle: Duration,
}

#[derive(Clone)]
struct Handle {
    jobs: mpsc::Sender<Box<dyn Job>>,
    state: Arc<RwLock<Arc<GuildState>>>,
    lease: Lease,
    /// Ends the actor: its slot goes, or what it holds may not be what is stored.
    end: CancellationToken,
}

/// A command with where its answer goes.
#[async_trait]
trait Job: Send {
    async fn run(self: Box<Self>, actor: &mut GuildActor);
    fn refuse(self: Box<Self>, failure: Failure);
}

struct Asked<C: Command> {
    command: C,
    reply: oneshot::Sender<Result<C::Reply, Failure>>,
    /// Of the request.
    span: Span,
}

struct GuildActor {
    id: GuildId,
    lease: Lease,
    owner: Arc<Actors>,
    state: Arc<RwLock<Arc<GuildState>>>,
    end: CancellationToken,
    /// Set when it can't know the guild's state any more, or may not write.
    ended: Option<Failure>,
}

// === impl Actors ===

impl Actors {
    pub(crate) fn new(changes: Arc<Changes>, idle_ms: Option<u64>) -> Arc<Self> {
        let idle = Duration::from_millis(idle_ms.unwrap_or(ACTOR_IDLE_MS));
        Arc::new(Self { changes, running: Mutex::default(), loading: Stripes::new(), idle })
    }

    /// The guild's committed state. Who does not own it any more may hold an older one, and says nothing.
    pub(crate) async fn state(self: &Arc<Self>, id: GuildId) -> Result<Arc<GuildState>, Failure> {
        let handle = self.handle(id).await?;
        self.changes.leases.check(&handle.lease).map_err(|error| not_owner(&error))?;
        let state = handle.state.read().clone();
        if state.is_gone { Err(unknown_guild()) } else { Ok(state) }
    }

    /// The same for a list of guilds, some of which are other replicas': these as they are stored.
    pub(crate) async fn view(self: &Arc<Self>, id: GuildId) -> Result<Arc<GuildState>, Failure> {
        match self.state(id).await {
            Err(failure) if failure.kind == FailureKind::NotOwner => {
                let rows = self.changes.store.guild(id).await?.ok_or_else(unknown_guild)?;
                Ok(Arc::new(GuildState::from(rows)))
            }
            answer => answer,
        }
    }

    /// Makes a change.
    pub(crate) async fn change<C: Command>(
        self: &Arc<Self>,
        id: GuildId,
        command: C,
    ) -> Result<C::Reply, Failure> {
        let deadline = tokio::time::Instant::now() + Duration::from_millis(CHANGE_WAIT_MS);
        let (reply, answer) = oneshot::channel();
        let handle = self.handle(id).await?;
        match handle.jobs.try_send(Box::new(Asked { command, reply, span: Span::current() })) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                return Err(Failure::unavailable(
                    "too many changes of this guild are waiting",
                    UNAVAILABLE_RETRY_MS,
                ));
            }
            Err(TrySendError::Closed(_)) => {
                self.forget(id, &handle);
                return Err(Failure::unavailable("the guild is being started again", UNAVAILABLE_RETRY_MS));
            }
        }
        drop(handle);
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(outcome_unknown()),
        }
    }

    async fn handle(self: &Arc<Self>, id: GuildId) -> Result<Handle, Failure> {
        let running = |actors: &Self| actors.running.lock().get(&id).cloned();
        if let Some(handle) = running(self) {
            return Ok(handle);
        }
        let _loading = self.loading.lock(&[id.get()]).await;
        if let Some(handle) = running(self) {
            return Ok(handle);
        }
        if self.changes.tasks.is_stopping() {
            return Err(Failure::unavailable("the directory is shutting down", UNAVAILABLE_RETRY_MS));
        }
        let lease = self.changes.lease(SlotSet::Guilds, id.get())?;
        let rows = self.changes.store.guild(id).await?.ok_or_else(unknown_guild)?;
        let (jobs, queue) = mpsc::channel(GUILD_QUEUE_MAX);
        let state = Arc::new(RwLock::new(Arc::new(GuildState::from(rows))));
        let end = self.changes.leases.end_of(&lease).child_token();
        let handle = Handle { jobs, state: state.clone(), lease, end: end.clone() };
        self.running.lock().insert(id, handle.clone());
        let actor = GuildActor { id, lease, owner: self.clone(), state, end, ended: None };
        self.changes.tasks.spawn(actor.run(queue));
        Ok(handle)
    }

    /// Ends a guild's actor, if it has one, after the change that it is making; whoever asks afterwards finds it loaded
    /// anew.
    pub(crate) async fn reload(&self, id: GuildId) -> Result<(), Failure> {
        // A load that has begun may have read what is stored no more.
        let loading = self.loading.lock(&[id.get()]).await;
        let running = self.running.lock().get(&id).cloned();
        drop(loading);
        let Some(handle) = running else { return Ok(()) };
        handle.end.cancel();
        let ended = tokio::time::timeout(Duration::from_millis(CHANGE_WAIT_MS), handle.jobs.closed());
        let busy = |_| Failure::unavailable("a change of the guild takes long", UNAVAILABLE_RETRY_MS);
        ended.await.map_err(busy)
    }

    fn forget(&self, id: GuildId, handle: &Handle) {
        let mut running = self.running.lock();
        if running.get(&id).is_some_and(|other| other.jobs.same_channel(&handle.jobs)) {
            running.remove(&id);
        }
    }

    /// Takes an idle guild out, unless somebody is about to ask it.
    fn retire(&self, id: GuildId, queue: &mpsc::Receiver<Box<dyn Job>>) -> bool {
        let mut running = self.running.lock();
        let alone = queue.is_empty() && queue.sender_strong_count() <= 1;
        if alone {
            running.remove(&id);
        }
        alone
    }
}

// === impl GuildActor ===

impl GuildActor {
    async fn run(mut self, mut queue: mpsc::Receiver<Box<dyn Job>>) {
        let (stop, end) = (self.owner.changes.tasks.stop_token().clone(), self.end.clone());
        let failure = loop {
            let job = tokio::select! {
                biased;
                () = stop.cancelled() => break shutting_down(),
                () = end.cancelled() => break self.gone(),
                job = tokio::time::timeout(self.owner.idle, queue.recv()) => job,
            };
            match job {
                Ok(Some(job)) => job.run(&mut self).await,
                Ok(None) => return,
                Err(_) if self.owner.retire(self.id, &queue) => return,
                Err(_) => {}
            }
            if let Some(failure) = self.ended.take() {
                break failure;
            }
        };
        self.owner.running.lock().remove(&self.id);
        queue.close();
        while let Ok(job) = queue.try_recv() {
            job.refuse(failure.clone());
        }
    }

    /// Why it ends before its time.
    fn gone(&self) -> Failure {
        match self.owner.changes.leases.check(&self.lease) {
            Err(error) => not_owner(&error),
            Ok(()) => Failure::unavailable("the guild is being started again", UNAVAILABLE_RETRY_MS),
        }
    }

    /// Checks and stores; what is stored has still to be published.
    async fn perform<C: Command>(&mut self, command: C) -> Result<(C::Reply, Option<Stored>), Failure> {
        let state = self.state.read().clone();
        if state.is_gone {
            return Err(unknown_guild());
        }
        let mut at = Change::new(&state, &self.owner.changes);
        let reply = command.run(&mut at).await?;
        let draft = at.into_draft();
        if draft.is_empty() {
            return Ok((reply, None));
        }
        let mut next = GuildState::clone(&state);
        draft.writes.iter().for_each(|write| next.apply(write));
        let stored = self.owner.changes.store(&self.lease, draft).await.inspect_err(|failure| {
            if failure.kind == FailureKind::NotOwner || *failure == outcome_unknown() {
                self.ended = Some(failure.clone());
            }
        })?;
        if next.is_gone {
            self.ended = Some(unknown_guild());
            let changes = self.owner.changes.clone();
            let deletion = cleanup::delete_guild(changes.clone(), self.id);
            changes.tasks.spawn_passing("the removal of a deleted guild", deletion);
        }
        *self.state.write() = Arc::new(next);
        Ok((reply, Some(stored)))
    }
}

#[async_trait]
impl<C: Command> Job for Asked<C> {
    async fn run(self: Box<Self>, actor: &mut GuildActor) {
        if self.reply.is_closed() {
            // The caller has been told that nobody knows; nothing was done.
            return;
        }
        let Self { command, reply, span } = *self;
        let work = async {
            match actor.perform(command).await? {
                (reply, None) => Ok(reply),
                (reply, Some(stored)) => actor.owner.changes.publish(stored).await.map(|()| reply),
            }
        };
        let _ = reply.send(work.instrument(span).await);
    }

    fn refuse(self: Box<Self>, failure: Failure) {
        let _ = self.reply.send(Err(failure));
    }
}

fn shutting_down() -> Failure {
    Failure::unavailable("the directory is shutting down", UNAVAILABLE_RETRY_MS)
}
