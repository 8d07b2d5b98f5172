//! Permission syncing: a channel whose overwrites are its category's follows the category.
//!
//! Nothing says of a channel that it is synced: it is for as long as its overwrites are the same. So a category that is
//! closed closes the channels in it but for those that somebody gave overwrites of their own.

use model::{Channel, ChannelKind, Overwrite};
use proto::Failure;
use std::collections::HashSet;

use super::check_bytes;
use crate::command::Change;

/// Puts a changed channel, and with a category whose overwrites changed the channels that are synced with it.
pub(crate) fn put_with_overwrites(at: &mut Change<'_>, channel: Channel) -> Result<Channel, Failure> {
    let before = at.state.channel(channel.id)?;
    let mut followers = Vec::new();
    if channel.kind == ChannelKind::Category && !is_same(&before.overwrites, &channel.overwrites) {
        let children = at.state.channels.values().filter(|child| child.parent_id == Some(channel.id));
        let synced = children.filter(|child| is_same(&before.overwrites, &child.overwrites));
        followers =
            synced.map(|child| Channel { overwrites: channel.overwrites.clone(), ..child.clone() }).collect();
        check_bytes(followers.iter().chain([&channel]))?;
    }
    let channel = at.put_channel(channel);
    followers.into_iter().for_each(|child| drop(at.put_channel(child)));
    Ok(channel)
}

/// Whether two lists say the same, in whatever order; none names a target twice.
fn is_same(one: &[Overwrite], other: &[Overwrite]) -> bool {
    let one: HashSet<_> = one.iter().collect();
    one.len() == other.len() && other.iter().all(|overwrite| one.contains(overwrite))
}
