//! Clients that nobody here wrote, who listen while gateways come and go: discord.js and twilight. They know one address, which
//! leads to whichever gateway takes their connection, as the load balancer of a cluster does.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{self, Instant};
use twilight_gateway::{ConfigBuilder, Event, EventTypeFlags, Intents, Shard, ShardId, StreamExt};

use crate::driver::Driver;
use crate::proxy::Proxy;
use crate::traffic::judge::Id;

/// Which library a guest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    DiscordJs,
    Twilight,
}

/// Who comes.
#[derive(Debug, Clone)]
pub struct Invited {
    pub library: Library,
    pub token: String,
    /// The channels in which they listen.
    pub sees: BTreeSet<Id>,
}

/// Those who listen.
pub struct Guests {
    guests: Vec<Arc<Mutex<Guest>>>,
    _front: Proxy,
    _listening: JoinSet<()>,
}

/// How it was for all of them together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Visit {
    pub guests: usize,
    pub messages: usize,
    pub missing: usize,
    pub repeated: usize,
    pub out_of_order: usize,
    /// Of channels that they may not see.
    pub foreign: usize,
    pub resumes: usize,
    /// Sessions in the place of lost ones.
    pub identifies: usize,
}

/// What one of them got.
#[derive(Debug, Default)]
struct Guest {
    sees: BTreeSet<Id>,
    /// Channel and id of each.
    messages: Vec<(Id, Id)>,
    sessions: usize,
    resumes: usize,
}

impl Guests {
    /// They connect. `front` is what the cluster with this API tells clients to connect to.
    ///
    /// # Panics
    /// When one gets no session.
    pub async fn welcome(api: &str, front: Proxy, invited: Vec<Invited>) -> Self {
        let (mut guests, mut listening) = (Vec::new(), JoinSet::new());
        for Invited { library, token, sees } in invited {
            let guest = Arc::new(Mutex::new(Guest { sees, ..Guest::default() }));
            guests.push(Arc::clone(&guest));
            match library {
                Library::DiscordJs => {
                    let mut driver = Driver::start("discordjs");
                    driver.call("login", json!({ "api": api, "token": token })).await;
                    listening.spawn(follow_driver(driver, guest));
                }
                Library::Twilight => {
                    let config = ConfigBuilder::new(token, Intents::all()).proxy_url(front.ws_url());
                    listening.spawn(follow_shard(Shard::with_config(ShardId::ONE, config.build()), guest));
                }
            }
        }
        let guests = Self { guests, _front: front, _listening: listening };
        assert!(guests.wait(|guest| guest.sessions > 0).await, "a guest has no session in {PATIENCE:?}");
        guests
    }

    /// Waits until they have what was sent, as far as that comes, and says how it was. What was sent are channels with the ids
    /// of messages; of each channel a guest must have everything from the first that they got. Others who come through the
    /// front stay as long as this value.
    pub async fn judge(&self, sent: &[(Id, Id)]) -> Visit {
        self.wait(|guest| guest.missing(sent) == 0).await;
        let mut visit = Visit { guests: self.guests.len(), ..Visit::default() };
        for guest in &self.guests {
            guest.lock().tell(sent, &mut visit);
        }
        visit
    }

    /// Whether it became so with all of them.
    async fn wait(&self, is_so: impl Fn(&Guest) -> bool) -> bool {
        let deadline = Instant::now() + PATIENCE;
        while !self.guests.iter().all(|guest| is_so(&guest.lock())) {
            if Instant::now() > deadline {
                return false;
            }
            time::sleep(POLL).await;
        }
        true
    }
}

async fn follow_driver(mut driver: Driver, guest: Arc<Mutex<Guest>>) {
    loop {
        let event = driver.next().await;
        guest.lock().take_json(&event);
    }
}

async fn follow_shard(mut shard: Shard, guest: Arc<Mutex<Guest>>) {
    while let Some(event) = shard.next_event(EventTypeFlags::all()).await {
        let mut guest = guest.lock();
        match event {
            Ok(Event::MessageCreate(message)) => {
                let ids = (message.channel_id.get(), message.id.get());
                guest.messages.push(ids);
            }
            Ok(Event::Resumed) => guest.resumes += 1,
            Ok(Event::Ready(_)) => guest.sessions += 1,
            Ok(_) | Err(_) => {}
        }
    }
}

impl Guest {
    /// An event as a driver tells it.
    fn take_json(&mut self, event: &Value) {
        let id = |name: &str| event[name].as_str().and_then(|id| id.parse::<Id>().ok());
        match event["event"].as_str() {
            Some("messageCreate") => self.messages.extend(id("channel").zip(id("id"))),
            Some("shardResume") => self.resumes += 1,
            Some("ready") => self.sessions += 1,
            _ => {}
        }
    }

    fn missing(&self, sent: &[(Id, Id)]) -> usize {
        let had: BTreeSet<Id> = self.messages.iter().map(|(_, id)| *id).collect();
        let first = |channel: Id| {
            let ids = self.messages.iter().filter(|(of, _)| *of == channel).map(|(_, id)| *id);
            ids.min().unwrap_or(0)
        };
        let of_channel = |channel: Id| {
            let first = first(channel);
            let due = sent.iter().filter(move |(of, id)| *of == channel && *id >= first);
            due.filter(|(_, id)| !had.contains(id)).count()
        };
        self.sees.iter().map(|channel| of_channel(*channel)).sum()
    }

    /// Each channel has its order, from which only what comes again may depart.
    fn tell(&self, sent: &[(Id, Id)], visit: &mut Visit) {
        let known: BTreeSet<Id> = sent.iter().map(|(_, id)| *id).collect();
        let mut had = BTreeSet::new();
        for (channel, id) in &self.messages {
            visit.foreign += usize::from(known.contains(id) && !self.sees.contains(channel));
            if had.contains(&(*channel, *id)) {
                visit.repeated += 1;
                continue;
            }
            visit.out_of_order += usize::from(had.range((*channel, *id)..(*channel + 1, 0)).next().is_some());
            had.insert((*channel, *id));
        }
        visit.messages += self.messages.len();
        visit.missing += self.missing(sent);
        visit.resumes += self.resumes;
        visit.identifies += self.sessions.saturating_sub(1);
    }
}

/// Some libraries wait for many seconds before they try again.
const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_comes_again_or_out_of_order_is_counted() {
        let sent = [(1, 10), (1, 11), (1, 12), (2, 20), (3, 30)];
        let guest = |messages: &[(Id, Id)]| Guest {
            sees: BTreeSet::from([1, 2]),
            messages: messages.to_vec(),
            sessions: 1,
            resumes: 0,
        };
        let told = |messages: &[(Id, Id)]| {
            let mut visit = Visit::default();
            guest(messages).tell(&sent, &mut visit);
            (visit.missing, visit.repeated, visit.out_of_order, visit.foreign)
        };
        assert_eq!(told(&[(1, 10), (2, 20), (1, 11), (1, 12)]), (0, 0, 0, 0));
        assert_eq!(told(&[(1, 11), (1, 12), (2, 20)]), (0, 0, 0, 0), "it came later");
        assert_eq!(told(&[(1, 10), (1, 12)]), (2, 0, 0, 0));
        assert_eq!(told(&[(1, 10), (1, 11), (1, 12), (2, 20), (1, 11)]), (0, 1, 0, 0));
        assert_eq!(told(&[(1, 10), (1, 12), (1, 11), (2, 20)]), (0, 0, 1, 0));
        assert_eq!(told(&[(1, 10), (1, 11), (1, 12), (2, 20), (3, 30)]), (0, 0, 0, 1));
    }
}
