//! Changes of messages that are there: planned one after the other on what the store has, written together.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use model::emoji::Emoji;
use model::limits::MESSAGE_REACTIONS_MAX;
use model::message::ReactionCount;
use model::{ChannelId, Message, MessageId, Timestamp, UserId, snowflake};
use proto::failure::code;
use proto::{Failure, FailureKind};
use storage::{Lease, Open, OutboxEvent};
use tasks::fail_point::reach;
use tracing::{Instrument as _, Span};

use super::certain::until_known;
use super::nonces::Key;
use super::staged::{Answer, ChangeAnswer, ChangesAnswer, Staged};
use super::{Change, Changed, Edit, Op, Reply, Shared, store_failure};
use crate::content;
use crate::events::{Origin, Reaction};
use crate::limits::EDITS_PER_WRITE_MAX;
use crate::place::{Person, Place};
use crate::render::Scene;
use crate::store::{Changes, RowChange, StoreError};

/// Changes that are written together.
pub(super) struct Group {
    lease: Lease,
    channel: ChannelId,
    changes: Vec<(Open, Change, Reply<Changed>)>,
}

impl Group {
    pub(super) fn new(lease: Lease, channel: ChannelId) -> Self {
        Self { lease, channel, changes: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.changes.len()
    }

    /// What takes away many rows stands alone: the store has to find them.
    pub(super) fn takes(&self, op: &Op) -> bool {
        let is_alone = |op: &Op| matches!(op, Op::Delete { .. } | Op::ClearReactions { .. });
        let is_edit = |op: &Op| matches!(op, Op::Edit(_));
        if is_edit(op)
            && self.changes.iter().filter(|(_, change, _)| is_edit(&change.op)).count() >= EDITS_PER_WRITE_MAX
        {
            return false;
        }
        match self.changes.last() {
            None => true,
            Some((_, last, _)) => !is_alone(op) && !is_alone(&last.op),
        }
    }

    pub(super) fn push(&mut self, open: Open, change: Change, reply: Reply<Changed>) {
        self.changes.push((open, change, reply));
    }
}

/// Plans and stores a group. Changes that can't be made are answered at once.
pub(super) async fn store(shared: Arc<Shared>, group: Group) -> Staged {
    let Group { lease, channel, changes } = group;
    let mut plan = Plan::new(&shared, lease, channel);
    let (mut open, mut answers) = (Vec::new(), Vec::new());
    for (entry, change, reply) in changes {
        let (id, span) = (entry.id(), change.span.clone());
        open.push(entry);
        match plan.add(id, change).instrument(span).await {
            Ok(changed) => answers.push(ChangeAnswer { outcome: Ok(changed), reply: Some(reply) }),
            // An error means that the caller has gone.
            Err(failure) => drop(reply.send(Err(failure))),
        }
    }
    let Plan { messages, dirty, mut rows, events, mut deleted, .. } = plan;
    rows.extend(
        dirty
            .iter()
            .filter_map(|id| messages.get(id).cloned().flatten())
            .map(|message| RowChange::Put(Box::new(message))),
    );
    let changes = Changes { lease, channel, rows, events };
    reach("messages.change_numbered");
    let stored = match changes.rows.is_empty() {
        true => Ok(()),
        false => until_known(&shared, &lease, || shared.store.change(&changes)).await,
    };
    reach("messages.change_stored");
    let is_unknown = matches!(stored, Err(StoreError::Unknown));
    let events = match stored {
        Ok(()) => changes.events.into_iter().flat_map(|(_, events)| events).collect(),
        Err(error) => {
            let failure = store_failure(&error);
            answers.iter_mut().for_each(|answer| answer.outcome = Err(failure.clone()));
            if is_unknown {
                // What may have been stored stays in flight, so that the next owner looks for it.
                open.clear();
            } else {
                deleted.clear();
            }
            Vec::new()
        }
    };
    let answer = Answer::Changes(ChangesAnswer { answers, deleted, is_unknown });
    Staged { open, events, span: Span::none(), answer }
}

struct Plan<'a> {
    shared: &'a Shared,
    lease: Lease,
    channel: ChannelId,
    /// Messages as they are after the changes so far; `None`: not there.
    messages: HashMap<MessageId, Option<Message>>,
    dirty: HashSet<MessageId>,
    reacted: HashMap<(MessageId, Emoji, UserId), bool>,
    rows: Vec<RowChange>,
    events: Vec<(u64, Vec<OutboxEvent>)>,
    /// Nonces of the messages that are deleted.
    deleted: Vec<(Key, MessageId)>,
}

impl<'a> Plan<'a> {
    fn new(shared: &'a Shared, lease: Lease, channel: ChannelId) -> Self {
        Self {
            shared,
            lease,
            channel,
            messages: HashMap::new(),
            dirty: HashSet::new(),
            reacted: HashMap::new(),
            rows: Vec::new(),
            events: Vec::new(),
            deleted: Vec::new(),
        }
    }

    async fn add(&mut self, id: u64, change: Change) -> Result<Changed, Failure> {
        let place = change.place;
        match change.op {
            Op::Edit(edit) => self.edit(id, place, *edit).await.map(Some),
            Op::Delete { ids, actor, may_manage, bulk } => {
                self.delete(id, place, ids, actor, may_manage, bulk).await.map(|()| None)
            }
            Op::React { message, emoji, person, may_add } => {
                self.react(id, place, message, emoji, &person, may_add).await.map(|()| None)
            }
            Op::Unreact { message, emoji, user } => {
                self.unreact(id, place, message, emoji, user).await.map(|()| None)
            }
            Op::ClearReactions { message, emoji } => {
                self.clear(id, place, message, emoji).await.map(|()| None)
            }
        }
    }

    async fn edit(&mut self, id: u64, place: Place, edit: Edit) -> Result<Bytes, Failure> {
        let mut message = self.message(edit.id).await?;
        if message.author_id != edit.editor && !edit.may_edit_others {
            let text = "Cannot edit a message authored by another user";
            return Err(Failure::new(FailureKind::Forbidden, code::CANNOT_EDIT_OTHERS_MESSAGE, text));
        }
        let before = message.clone();
        message.content = edit.content.unwrap_or(message.content);
        if let Some(mentions) = edit.mentions {
            message.mentions = mentions.users;
            message.mention_roles = mentions.roles;
            message.mention_everyone = mentions.everyone;
        }
        message.embeds_json = edit.embeds_json.unwrap_or(message.embeds_json);
        message.components_json = edit.components_json.unwrap_or(message.components_json);
        let is_rewritten = message != before;
        message.flags = edit.flags.map_or(before.flags, |asked| content::edited_flags(before.flags, asked));
        let scene = Scene {
            member: edit.author.as_deref(),
            referenced: edit.referenced.as_ref(),
            ..Scene::new(&edit.cast)
        };
        if message != before {
            // Flags alone change how a message is shown and not what it says.
            if is_rewritten {
                message.edited_at = Some(Timestamp::from_ms(snowflake::timestamp_ms(id)));
            }
            let told = self.origin(place).update(id, &message, &scene);
            self.events.push((id, told));
            self.shared.stats.edited.add(1);
            self.put(message.clone());
        }
        Ok(scene.answer(&message).into())
    }

    async fn delete(
        &mut self,
        id: u64,
        place: Place,
        ids: Vec<MessageId>,
        actor: UserId,
        may_manage: bool,
        bulk: bool,
    ) -> Result<(), Failure> {
        let mut deleted = Vec::new();
        for message in ids {
            match self.message(message).await {
                Ok(message) if may_manage || message.author_id == actor => {
                    deleted.push((message.id, message.nonce.map(|nonce| (message.author_id, nonce))));
                }
                Ok(_) => return Err(place.forbidden()),
                Err(failure) if bulk && failure.kind == FailureKind::NotFound => {}
                Err(failure) => return Err(failure),
            }
        }
        let told = match (&deleted[..], bulk) {
            ([], _) => return Ok(()),
            ([(one, _)], false) => self.origin(place).delete(id, *one),
            (all, _) => {
                let ids: Vec<_> = all.iter().map(|(id, _)| *id).collect();
                self.origin(place).delete_bulk(id, &ids)
            }
        };
        self.shared.stats.deleted.add(deleted.len() as u64);
        self.events.push((id, told));
        for (message, nonce) in deleted {
            self.deleted.extend(nonce.map(|key| (key, message)));
            self.messages.insert(message, None);
            self.rows.push(RowChange::Delete(message));
        }
        Ok(())
    }

    async fn react(
        &mut self,
        id: u64,
        place: Place,
        message: MessageId,
        emoji: Emoji,
        person: &Person,
        may_add: bool,
    ) -> Result<(), Failure> {
        let mut message = self.message(message).await?;
        let user = person.user().id;
        let (message_id, author) = (message.id, message.author_id);
        let known = message.reactions.iter().position(|known| is_same(&known.emoji, &emoji));
        let emoji = match known {
            Some(at) => {
                let emoji = message.reactions[at].emoji.clone();
                if self.has_reacted(message_id, &emoji, user).await? {
                    return Ok(());
                }
                message.reactions[at].count += 1;
                emoji
            }
            None if !may_add => return Err(place.forbidden()),
            None if message.reactions.len() >= MESSAGE_REACTIONS_MAX => {
                let text = format!("Maximum number of reactions reached ({MESSAGE_REACTIONS_MAX})");
                return Err(Failure::new(FailureKind::Invalid, code::MAX_REACTIONS, text));
            }
            None => {
                message.reactions.push(ReactionCount { emoji: emoji.clone(), count: 1 });
                emoji
            }
        };
        let reaction = Reaction { message: message_id, user, emoji: &emoji };
        let told = self.origin(place).reaction_add(id, reaction, author, person);
        self.events.push((id, told));
        self.shared.stats.reactions.add(1);
        self.put(message);
        self.reacted.insert((message_id, emoji.clone(), user), true);
        self.rows.push(RowChange::AddReaction { message: message_id, emoji, user });
        Ok(())
    }

    async fn unreact(
        &mut self,
        id: u64,
        place: Place,
        message: MessageId,
        emoji: Emoji,
        user: UserId,
    ) -> Result<(), Failure> {
        let mut message = self.message(message).await?;
        let Some(at) = message.reactions.iter().position(|known| is_same(&known.emoji, &emoji)) else {
            return Err(unknown_emoji());
        };
        let emoji = message.reactions[at].emoji.clone();
        let message_id = message.id;
        if !self.has_reacted(message_id, &emoji, user).await? {
            return Ok(());
        }
        if message.reactions[at].count <= 1 {
            message.reactions.remove(at);
        } else {
            message.reactions[at].count -= 1;
        }
        let reaction = Reaction { message: message_id, user, emoji: &emoji };
        self.events.push((id, self.origin(place).reaction_remove(id, reaction)));
        self.put(message);
        self.reacted.insert((message_id, emoji.clone(), user), false);
        self.rows.push(RowChange::RemoveReaction { message: message_id, emoji, user });
        Ok(())
    }

    async fn clear(
        &mut self,
        id: u64,
        place: Place,
        message: MessageId,
        emoji: Option<Emoji>,
    ) -> Result<(), Failure> {
        let mut message = self.message(message).await?;
        let before = message.reactions.len();
        let is_cleared =
            |known: &ReactionCount| emoji.as_ref().is_none_or(|emoji| is_same(&known.emoji, emoji));
        message.reactions.retain(|known| !is_cleared(known));
        if message.reactions.len() == before {
            return if emoji.is_some() { Err(unknown_emoji()) } else { Ok(()) };
        }
        let told = self.origin(place).reactions_clear(id, message.id, emoji.as_ref());
        self.events.push((id, told));
        self.rows.push(RowChange::ClearReactions { message: message.id, emoji });
        self.put(message);
        Ok(())
    }

    fn origin(&self, place: Place) -> Origin {
        Origin { lease: self.lease, place, channel: self.channel }
    }

    async fn message(&mut self, id: MessageId) -> Result<Message, Failure> {
        let known = match self.messages.get(&id) {
            Some(known) => known.clone(),
            None => {
                let read =
                    self.shared.store.get(self.channel, id).await.map_err(|error| store_failure(&error))?;
                self.messages.insert(id, read.clone());
                read
            }
        };
        known.ok_or_else(|| Failure::unknown(code::UNKNOWN_MESSAGE, "Message"))
    }

    fn put(&mut self, message: Message) {
        self.dirty.insert(message.id);
        self.messages.insert(message.id, Some(message));
    }

    async fn has_reacted(&self, message: MessageId, emoji: &Emoji, user: UserId) -> Result<bool, Failure> {
        if let Some(reacted) = self.reacted.get(&(message, emoji.clone(), user)) {
            return Ok(*reacted);
        }
        let asked = std::slice::from_ref(emoji);
        let reacted = self.shared.store.reacted(self.channel, message, user, asked).await;
        Ok(!reacted.map_err(|error| store_failure(&error))?.is_empty())
    }
}

/// A custom emoji is known by its id: its name may have changed.
fn is_same(one: &Emoji, other: &Emoji) -> bool {
    match (one.id, other.id) {
        (None, None) => one.name == other.name,
        (one, other) => one == other,
    }
}

fn unknown_emoji() -> Failure {
    Failure::unknown(code::UNKNOWN_EMOJI, "Emoji")
}

#[cfg(test)]
mod tests;
