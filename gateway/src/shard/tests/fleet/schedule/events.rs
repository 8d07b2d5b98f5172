//! What is published in a run: messages and edits, what changes who sees them, and names.

use backplane::{Backplane as _, Subject};
use model::{EventKind, Permissions};
use proto::Envelope;

use super::super::super::rig::{
    ALICE, BOB, CAROL, DAVE, GENERAL, GUILD, OTHER_GUILD, STAFF, STAFF_ROLE, bob, roles_of_bob,
};
use super::super::super::world::{Change, Guild, allow, channel_id, guild_id, hidden, role_id, user_id};
use super::super::history::{Said, Source};
use super::{OTHER_TEXT, Schedule, UNTOLD_MS};

/// Who writes to whom, and in which channel.
const PRIVATE: [(u64, [u64; 2]); 3] = [(500, [DAVE, BOB]), (501, [BOB, CAROL]), (502, [CAROL, ALICE])];

impl Schedule {
    pub(super) async fn say(&mut self) {
        let (guild, channel) =
            self.draw_of(&[(GUILD, GENERAL), (GUILD, STAFF), (GUILD, GENERAL), (OTHER_GUILD, OTHER_TEXT)]);
        let is_edit = self.draw(4) == 0;
        self.say_in(guild, channel, is_edit).await;
    }

    pub(super) async fn say_in(&mut self, guild: u64, channel: u64, is_edit: bool) {
        let content = self.history.said.len().to_string();
        let told = self.cluster.world().message(guild_id(guild), channel_id(channel), &content);
        let mut envelope = told.guild[0].clone();
        if is_edit {
            envelope.kind = EventKind::MessageUpdate;
        }
        let place = self.publish(Subject::Guild(guild_id(guild)), &envelope).await;
        let source = Source::Guild(guild);
        self.history.published(source, place);
        self.history.said.push(Said { channel, places: [(source, place)].into() });
        self.note(&format!("{content} is said in {channel}"));
    }

    pub(super) async fn write_privately(&mut self) {
        let (channel, users) = self.draw_of(&PRIVATE);
        let content = self.history.said.len().to_string();
        let told = self.cluster.world().private_message(channel_id(channel), users.map(user_id), &content);
        let mut said = Said { channel, places: Default::default() };
        for (user, envelope) in &told.users {
            let place = self.publish(Subject::User(*user), envelope).await;
            let source = Source::User(user.get());
            self.history.published(source, place);
            said.places.insert(source, place);
        }
        self.history.said.push(said);
        self.note(&format!("{content} is written in {channel}"));
    }

    async fn publish(&self, subject: Subject, envelope: &Envelope) -> u64 {
        let ack = self.cluster.inner.publish(subject, envelope.event_id, envelope.encode()).await;
        ack.expect("it is in this process").sequence
    }

    /// Changes what is seen, or the name of a channel.
    pub(super) fn change(&mut self) {
        let guild = self.cluster.world().now(guild_id(GUILD)).clone();
        let change = self.draw_change(&guild);
        self.note(&format!("{change:?}"));
        let told = self.cluster.world().apply(guild_id(GUILD), change);
        let until_ms = self.now_ms() + UNTOLD_MS;
        self.untold.extend(told.guild.into_iter().map(|envelope| (until_ms, envelope)));
    }

    fn draw_change(&mut self, guild: &Guild) -> Change {
        let everyone = hidden(guild_id(GUILD));
        let staff = allow(model::OverwriteKind::Role(role_id(STAFF_ROLE)));
        match self.draw(6) {
            0 | 1 => {
                let has = !guild.members[&bob()].roles.is_empty();
                roles_of_bob(if has { &[] } else { &[STAFF_ROLE] })
            }
            2 => {
                let role = role_id(STAFF_ROLE);
                let has = guild.roles[&role].permissions.contains(Permissions::VIEW_CHANNEL);
                let permissions = if has { Permissions::NONE } else { Permissions::DEFAULT };
                Change::RolePermissions(role, permissions)
            }
            3 => {
                let overwrites = [vec![], vec![everyone], vec![everyone, staff]];
                let place = self.draw(3) as usize;
                Change::Overwrites(channel_id(GENERAL), overwrites[place].clone())
            }
            4 => {
                let overwrites = [vec![], vec![everyone, staff]];
                let place = self.draw(2) as usize;
                Change::Overwrites(channel_id(STAFF), overwrites[place].clone())
            }
            _ => {
                let channel = self.draw_of(&[GENERAL, STAFF]);
                Change::Rename(channel_id(channel), format!("n{}", guild.guild.revision))
            }
        }
    }

    /// Publishes the next change.
    pub(super) async fn tell(&mut self) {
        let Some((_, envelope)) = self.untold.pop_front() else { return };
        let place = self.publish(Subject::Guild(guild_id(GUILD)), &envelope).await;
        let revision = envelope.revision.expect("changes have one");
        self.history.changed(GUILD, place, revision);
        self.note(&format!("revision {revision} is published"));
    }
}
