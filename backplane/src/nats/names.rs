//! The names on NATS: streams, subjects, and what a subject says.
//!
//! | name | what |
//! |---|---|
//! | `ev-{p}`, `us-{q}` | the streams, on the subjects `ev.{p}.*` and `us.{q}.*` |
//! | `ev.{p}.{guild}`, `us.{q}.{user}` | where events are published and stored |
//! | `live.{p}.{guild}` | where a guild stream tells what it has stored |
//! | `eph.{p}.{guild}.{channel or -}` | what is never stored |
//! | `pos.{p}` | what publishers know to be stored |
//! | `tell.{user}` | what a user is told without its being stored, for one router |
//! | `gw.{pod}` | batches for a pod, as requests |
//! | `sync` | nobody listens there: the server's answer shows that it knows all that was sent before |
//!
//! Before each subject stands the prefix with a dot, before each stream the prefix with an underscore.

use model::{GuildId, UserId};

use crate::registry::PodName;
use crate::subject::{Ephemeral, Layout, Partition, Stream, Subject};

#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: String,
    layout: Layout,
}

impl Names {
    /// `None` when the prefix has a character that a subject may not have.
    pub(super) fn new(prefix: &str, layout: Layout) -> Option<Self> {
        (prefix.is_empty() || is_token(prefix)).then(|| Self { prefix: prefix.into(), layout })
    }

    pub(super) fn layout(&self) -> Layout {
        self.layout
    }

    pub(super) fn stream(&self, stream: Stream) -> String {
        let (kind, partition) = kind(stream);
        let separator = if self.prefix.is_empty() { "" } else { "_" };
        format!("{}{separator}{kind}-{partition}", self.prefix)
    }

    pub(super) fn subjects(&self, stream: Stream) -> String {
        let (kind, partition) = kind(stream);
        self.prefixed(&format!("{kind}.{partition}.*"))
    }

    pub(super) fn subject(&self, subject: Subject) -> String {
        self.prefixed(&self.layout.name(subject))
    }

    pub(super) fn live(&self, partition: Partition) -> String {
        self.prefixed(&format!("live.{}.*", partition.0))
    }

    pub(super) fn live_guild(&self, guild: GuildId) -> String {
        self.prefixed(&format!("live.{}.{guild}", self.layout.guild(guild).0))
    }

    /// The guild of a `live.{p}.{guild}`.
    pub(super) fn parse_live(&self, name: &str) -> Option<GuildId> {
        let (kind, guild) = self.kind_and_last(name)?;
        if kind == "live" { GuildId::new(guild.parse().ok()?) } else { None }
    }

    /// Where a stored subject is told again; NATS fills in the guild.
    pub(super) fn live_pattern(&self, partition: Partition) -> String {
        self.prefixed(&format!("live.{}.{{{{wildcard(1)}}}}", partition.0))
    }

    pub(super) fn ephemeral(&self, subject: Ephemeral) -> String {
        self.prefixed(&subject.name(self.layout))
    }

    pub(super) fn ephemerals(&self, partition: Partition) -> String {
        self.prefixed(&format!("eph.{}.>", partition.0))
    }

    pub(super) fn tail(&self, partition: Partition) -> String {
        self.prefixed(&format!("pos.{}", partition.0))
    }

    pub(super) fn tails(&self) -> String {
        self.prefixed("pos.*")
    }

    pub(super) fn told(&self, user: UserId) -> String {
        self.prefixed(&format!("tell.{user}"))
    }

    pub(super) fn told_all(&self) -> String {
        self.prefixed("tell.*")
    }

    pub(super) fn sync(&self) -> String {
        self.prefixed("sync")
    }

    /// `None` when the pod's name cannot be a part of a subject.
    pub(super) fn pod(&self, pod: &PodName) -> Option<String> {
        is_token(pod.as_str()).then(|| self.prefixed(&format!("gw.{pod}")))
    }

    /// The subject that a name in a stream stands for.
    pub(super) fn parse(&self, name: &str) -> Option<Subject> {
        let (kind, id) = self.kind_and_last(name)?;
        let id = UserId::new(id.parse().ok()?)?;
        match kind {
            "ev" => Some(Subject::Guild(id.cast())),
            "us" => Some(Subject::User(id)),
            _ => None,
        }
    }

    /// The user of a `tell.{user}`.
    pub(super) fn parse_told(&self, name: &str) -> Option<UserId> {
        UserId::new(self.kind_and_last(name)?.1.parse().ok()?)
    }

    /// What makes an event known to its stream. Streams know nothing of subjects, and one event may be of two users.
    pub(super) fn event(&self, subject: Subject, event_id: u64) -> String {
        match subject {
            Subject::Guild(_) => event_id.to_string(),
            Subject::User(user) => format!("{event_id}-{user}"),
        }
    }

    /// The partition of a `pos.{p}`.
    pub(super) fn parse_tail(&self, name: &str) -> Option<Partition> {
        let (_, partition) = self.kind_and_last(name)?;
        partition.parse().ok().filter(|partition| *partition < self.layout.guild_partitions).map(Partition)
    }

    fn kind_and_last<'n>(&self, name: &'n str) -> Option<(&'n str, &'n str)> {
        let rest = match self.prefix.as_str() {
            "" => name,
            prefix => name.strip_prefix(prefix)?.strip_prefix('.')?,
        };
        let (kind, rest) = rest.split_once('.')?;
        Some((kind, rest.rsplit_once('.').map_or(rest, |(_, last)| last)))
    }

    fn prefixed(&self, name: &str) -> String {
        match self.prefix.as_str() {
            "" => name.to_owned(),
            prefix => format!("{prefix}.{name}"),
        }
    }
}

fn kind(stream: Stream) -> (&'static str, u16) {
    match stream {
        Stream::Guilds(partition) => ("ev", partition.0),
        Stream::Users(partition) => ("us", partition.0),
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout { guild_partitions: 4, user_partitions: 2 };

    #[test]
    fn names_can_be_read_again() {
        for prefix in ["", "test-1"] {
            let names = Names::new(prefix, LAYOUT).unwrap();
            for id in [1_u64, 7, u64::MAX >> 1] {
                let guild_id = GuildId::new(id).unwrap();
                let guild = Subject::Guild(guild_id);
                let user = Subject::User(UserId::new(id).unwrap());
                assert_eq!(names.parse(&names.subject(guild)), Some(guild));
                assert_eq!(names.parse(&names.subject(user)), Some(user));
                assert_eq!(names.parse_live(&names.live_guild(guild_id)), Some(guild_id));
                assert_eq!(names.parse_live(&names.subject(guild)), None);
            }
            assert_eq!(names.parse_tail(&names.tail(Partition(3))), Some(Partition(3)));
            assert_eq!(names.parse_tail(&names.tail(Partition(4))), None);
            let user = UserId::new(9).unwrap();
            assert_eq!(names.parse_told(&names.told(user)), Some(user));
        }
    }

    #[test]
    fn a_prefix_keeps_names_apart() {
        let names = Names::new("a", LAYOUT).unwrap();
        assert_eq!(names.stream(Stream::Users(Partition(1))), "a_us-1");
        assert_eq!(names.subjects(Stream::Guilds(Partition(0))), "a.ev.0.*");
        assert_eq!(names.live_pattern(Partition(0)), "a.live.0.{{wildcard(1)}}");
        assert_eq!(Names::new("", LAYOUT).unwrap().stream(Stream::Guilds(Partition(3))), "ev-3");
        assert_eq!(names.parse("ev.0.7"), None);
        for bad in ["a.b", "*", ">", "a b", "ä"] {
            assert!(Names::new(bad, LAYOUT).is_none(), "{bad}");
            assert!(names.pod(&PodName::new(bad)).is_none(), "{bad}");
        }
        assert!(names.pod(&PodName::new("")).is_none());
    }
}
