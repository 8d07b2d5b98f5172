//! Creating a message: everything that is checked before the channel's actor has it.

use model::message::{MessageReference, Nonce, TYPE_DEFAULT, TYPE_REPLY};
use model::{ChannelId, Message, MessageId, Permissions, Subject, UserId};
use proto::convert::{id, required};
use proto::failure::code;
use proto::{Failure, FailureKind, v1};
use storage::Scope;
use tasks::fail_point::reach;
use tracing::Span;

use super::{Messages, within_deadline};
use crate::channel::{Created, Draft, Shared, SlowMode, store_failure, unknown_outcome};
use crate::content;
use crate::limits::RETRY_MS;
use crate::mentions::Mentions;
use crate::people::Cast;
use crate::views::Access;

/// A reply needs to see what it answers.
const CANNOT_REPLY_WITHOUT_HISTORY: u32 = 160_002;

impl Messages {
    pub(super) async fn create(
        &self,
        request: v1::CreateMessageRequest,
    ) -> Result<v1::CreateMessageReply, Failure> {
        reach("messages.received");
        let channel: ChannelId = id("channel_id", request.channel_id)?;
        let author: UserId = id("author_id", request.author_id)?;
        let nonce: Option<Nonce> = request.nonce.clone().map(TryInto::try_into).transpose()?;
        content::check_nonce(nonce.as_ref())?;
        let parts = required("content", request.content.clone())?;
        self.check_content(&parts.content, &parts.embeds_json, &parts.components_json)?;
        let flags = content::new_flags(request.flags);
        content::check_flags(flags, &parts.content, &parts.embeds_json)?;

        let mut mentions = match content::is_of_components(flags) {
            true => Mentions::parse(&content::texts(&parts.components_json)),
            false => Mentions::parse(&parts.content),
        };
        let access = self.access(channel, author, &mentions.roles).await?;
        require_send(&access, &request, &parts)?;
        let allowed = parts.allowed_mentions.as_ref();
        mentions.roles.clone_from(&access.roles);
        mentions.limit(allowed);
        mentions.everyone &= access.may(Permissions::MENTION_EVERYONE);
        let referenced = self.referenced(channel, &access, &request).await?;
        if let Some(referenced) = &referenced {
            mentions.add_replied(referenced.author_id, allowed);
        }
        let cast = self.cast_of_draft(&access, &mut mentions, referenced.as_ref()).await?;
        let slow_mode = self.slow_mode(channel, author, &access).await?;
        let message = Message {
            nonce,
            ..new_message(channel, &access, &request, parts, mentions, referenced.as_ref())
        };
        let draft = Draft {
            place: access.place,
            message,
            author: access.person,
            cast,
            referenced,
            enforce_nonce: request.enforce_nonce,
            slow_mode,
            span: Span::current(),
        };
        let created = within_deadline(self.inner.channels.create(draft)).await?;
        self.created(channel, author, created).await
    }

    /// Checks text, embeds and components, and counts what the filter blocks.
    pub(super) fn check_content(&self, text: &str, embeds: &str, components: &str) -> Result<(), Failure> {
        content::check(&self.inner.filter, text, embeds, components).inspect_err(|failure| {
            self.stats().filtered.add(u64::from(failure.code == code::FILTERED));
        })
    }

    async fn created(
        &self,
        channel: ChannelId,
        author: UserId,
        created: Created,
    ) -> Result<v1::CreateMessageReply, Failure> {
        let json = match created.json {
            Some(json) => json,
            None => {
                let message = self.inner.shared.store.get(channel, created.id).await;
                let message = message.map_err(|error| store_failure(&error))?.ok_or_else(|| {
                    let text = "the message of this nonce is being deleted: try again for a new one";
                    Failure::unavailable(text, RETRY_MS)
                })?;
                if created.is_restored && !self.is_published(&message).await? {
                    return Err(unknown_outcome());
                }
                self.show(&message, author).await?.into()
            }
        };
        Ok(v1::CreateMessageReply {
            message_json: json,
            message_id: created.id.get(),
            rate_limit: created.rate_limit,
            repeated: created.repeated,
        })
    }

    /// Whether a message is published that an earlier owner of the channel may have stored after it had lost it. If it is
    /// not, it is deleted by the late sweep of the slot.
    async fn is_published(&self, message: &Message) -> Result<bool, Failure> {
        let Shared { store, backplane, .. } = &*self.inner.shared;
        let (Scope::Slot, Some(guild)) = (store.scope(), message.guild_id) else { return Ok(true) };
        let is_published = backplane.contains(Subject::Guild(guild), message.id.get()).await;
        is_published.map_err(|error| {
            tracing::warn!(%error, id = %message.id, "nobody knows whether a message is published");
            unknown_outcome()
        })
    }

    /// The answered message, if it is there.
    async fn referenced(
        &self,
        channel: ChannelId,
        access: &Access,
        request: &v1::CreateMessageRequest,
    ) -> Result<Option<Message>, Failure> {
        let Some(reference) = &request.reference else { return Ok(None) };
        if reference.channel_id != 0 && reference.channel_id != channel.get() {
            let text = "Cannot reply to a message in a different channel";
            return Err(invalid_reference("REPLIES_CANNOT_REFERENCE_OTHER_CHANNEL", text));
        }
        if !access.may(Permissions::READ_MESSAGE_HISTORY) {
            let text = "Cannot reply without permission to read message history";
            return Err(Failure::new(FailureKind::Forbidden, CANNOT_REPLY_WITHOUT_HISTORY, text));
        }
        let message = match MessageId::new(reference.message_id) {
            Some(id) => {
                self.inner.shared.store.get(channel, id).await.map_err(|error| store_failure(&error))?
            }
            None => None,
        };
        if message.is_none() && request.fail_if_not_exists {
            return Err(invalid_reference("REPLIES_UNKNOWN_MESSAGE", "Unknown message"));
        }
        Ok(message)
    }

    /// Everybody whom the message shows; mentioned users who don't exist are left out of the mentions.
    async fn cast_of_draft(
        &self,
        access: &Access,
        mentions: &mut Mentions,
        referenced: Option<&Message>,
    ) -> Result<Cast, Failure> {
        let author = access.person.user();
        let answered = referenced
            .into_iter()
            .flat_map(|message| message.mentions.iter().copied().chain([message.author_id]));
        let others: Vec<_> =
            mentions.users.iter().copied().chain(answered).filter(|id| *id != author.id).collect();
        let mut cast = match others.is_empty() {
            true => Cast::default(),
            false => self.inner.views.people.cast(access.place.guild(), others).await?,
        };
        cast.add(author);
        mentions.users.retain(|id| cast.get(*id).is_some());
        Ok(cast)
    }

    async fn slow_mode(
        &self,
        channel: ChannelId,
        author: UserId,
        access: &Access,
    ) -> Result<Option<SlowMode>, Failure> {
        let secs = access.channel.rate_limit_per_user;
        if secs == 0 || access.person.user().bot || access.may(Permissions::BYPASS_SLOWMODE) {
            return Ok(None);
        }
        let last_sent = self.inner.shared.store.last_sent(channel, author).await;
        Ok(Some(SlowMode { secs, last_sent: last_sent.map_err(|error| store_failure(&error))? }))
    }
}

/// The message as it will be stored, but for its id and nonce.
fn new_message(
    channel: ChannelId,
    access: &Access,
    request: &v1::CreateMessageRequest,
    parts: v1::MessageContent,
    mentions: Mentions,
    referenced: Option<&Message>,
) -> Message {
    let reference = referenced.map(|message| MessageReference {
        message_id: message.id,
        channel_id: channel,
        guild_id: access.place.guild(),
    });
    Message {
        id: channel.cast(),
        channel_id: channel,
        guild_id: access.place.guild(),
        author_id: access.person.user().id,
        kind: if reference.is_some() { TYPE_REPLY } else { TYPE_DEFAULT },
        content: parts.content,
        edited_at: None,
        tts: request.tts,
        mention_everyone: mentions.everyone,
        mentions: mentions.users,
        mention_roles: mentions.roles,
        embeds_json: content::stored(parts.embeds_json),
        components_json: content::stored(parts.components_json),
        flags: content::new_flags(request.flags),
        pinned: false,
        nonce: None,
        reference,
        reactions: Vec::new(),
    }
}

fn require_send(
    access: &Access,
    request: &v1::CreateMessageRequest,
    parts: &v1::MessageContent,
) -> Result<(), Failure> {
    if !access.channel.kind.has_messages() {
        return Err(super::no_text_channel());
    }
    access.require(Permissions::SEND_MESSAGES)?;
    if request.tts {
        access.require(Permissions::SEND_TTS_MESSAGES)?;
    }
    if !content::is_empty(&parts.embeds_json) {
        access.require(Permissions::EMBED_LINKS)?;
    }
    Ok(())
}

fn invalid_reference(code: &str, text: &str) -> Failure {
    Failure::invalid_field("message_reference", code, text)
}
