//! Which of a user's private channels are open, from what two services say of them.

use std::collections::HashMap;
use std::hash::BuildHasher;

use model::limits::PRIVATE_CHANNELS_LISTED_MAX;
use model::{Channel, Id};

use super::{Malformed, optional_id, required};
use crate::v1;

/// The open ones with their last messages, those with the newest first. `newest` is what the message service says.
pub fn open_private_channels(
    channels: Vec<v1::PrivateChannel>,
    newest: &HashMap<u64, u64, impl BuildHasher>,
) -> Result<Vec<Channel>, Malformed> {
    let mut open = Vec::with_capacity(channels.len().min(PRIVATE_CHANNELS_LISTED_MAX));
    for private in channels {
        let mut channel = Channel::try_from(required("private.channel", private.channel)?)?;
        channel.last_message_id = newest.get(&channel.id.get()).copied().and_then(Id::new);
        let closed_at = optional_id(private.closed_at);
        if closed_at.is_none() || channel.last_message_id > closed_at {
            open.push(channel);
        }
    }
    let age = |channel: &Channel| channel.last_message_id.map_or(channel.id.get(), Id::get);
    open.sort_by_key(|channel| std::cmp::Reverse(age(channel)));
    open.truncate(PRIVATE_CHANNELS_LISTED_MAX);
    Ok(open)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{ChannelId, User, UserId};

    fn private(id: u64, closed_at: Option<u64>) -> v1::PrivateChannel {
        let user = User::new(UserId::new(7).unwrap(), "bob", false);
        let channel = Channel::private(ChannelId::new(id).unwrap(), vec![user]);
        v1::PrivateChannel { channel: Some((&channel).into()), closed_at }
    }

    #[test]
    fn a_newer_message_opens_what_was_closed() {
        let all = [private(10, None), private(11, Some(1)), private(12, Some(50)), private(13, Some(50))];
        let newest = HashMap::from([(12, 50), (13, 51)]);
        let open = open_private_channels(all.into(), &newest).unwrap();
        let ids: Vec<u64> = open.iter().map(|channel| channel.id.get()).collect();
        assert_eq!(ids, [13, 10], "the newest message first");
        assert_eq!(open[0].last_message_id.map(Id::get), Some(51));
        assert_eq!(open[1].recipients[0].username, "bob");
    }

    #[test]
    fn a_list_has_an_end() {
        let many = (1..=1_000).map(|id| private(id, None)).collect();
        let open = open_private_channels(many, &HashMap::new()).unwrap();
        assert_eq!((open.len(), open[0].id.get()), (PRIVATE_CHANNELS_LISTED_MAX, 1_000));
    }
}
