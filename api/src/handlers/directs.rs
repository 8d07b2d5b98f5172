//! Private channels: opened, listed, closed.

use model::{Channel, Pair};
use proto::convert::{id, open_private_channels};
use proto::v1;

use crate::call::Call;
use crate::error::ApiResult;
use crate::handlers::channels::{add_last_messages, newest_messages};
use crate::reply::Reply;

/// The private channel with somebody; the same one each time.
pub(crate) async fn open(call: Call) -> ApiResult<Reply> {
    let user_id = call.user_id()?;
    let recipient_id = call.form(|fields| {
        let group = "Group DMs are not supported by this server.";
        fields.unsupported("recipients", group);
        fields.unsupported("access_tokens", group);
        if fields.is_used("recipients") || fields.is_used("access_tokens") {
            return 0;
        }
        fields.required_id("recipient_id")
    })?;
    let request = v1::OpenPrivateChannelRequest {
        lower_id: user_id.min(recipient_id),
        higher_id: user_id.max(recipient_id),
        user_id,
    };
    let channel = call.guilds().open_private_channel(request).await?.into_inner();
    let mut channel = [Channel::try_from(channel)?];
    add_last_messages(&call, &mut channel).await?;
    Reply::json(&channel[0])
}

/// The caller's open ones, those with the newest messages first. Bots have no list of them.
pub(crate) async fn list(call: Call) -> ApiResult<Reply> {
    let user = call.user()?;
    if user.bot {
        return Reply::json(&[(); 0]);
    }
    let request = v1::ListPrivateChannelsRequest { user_id: user.id.get() };
    let channels = call.guilds().list_private_channels(request).await?.into_inner().channels;
    let ids =
        channels.iter().filter_map(|private| private.channel.as_ref()).map(|channel| channel.id).collect();
    let newest = newest_messages(&call, ids).await?;
    Reply::json(&open_private_channels(channels, &newest)?)
}

/// Closes a private channel of the caller, for the caller.
pub(crate) async fn close(call: &Call, channel: &v1::Channel) -> ApiResult<Reply> {
    let user_id = call.user_id()?;
    let other = channel.recipients.first().map_or(0, |other| other.id);
    let pair = Pair::new(id("user_id", user_id)?, id("channel.recipients", other)?);
    let [lower, higher] =
        pair.ok_or(proto::Malformed::new("channel.recipients", "it is the reader"))?.users();
    let newest = newest_messages(call, vec![channel.id]).await?;
    let request = v1::ClosePrivateChannelRequest {
        lower_id: lower.get(),
        higher_id: higher.get(),
        user_id,
        last_message_id: newest.get(&channel.id).copied(),
    };
    let closed = call.guilds().close_private_channel(request).await?.into_inner();
    let closed = v1::Channel { last_message_id: newest.get(&channel.id).copied(), ..closed };
    Reply::json(&Channel::try_from(closed)?)
}
