//! What a session is told of a guild that it had elsewhere: chosen cases, and a comparison with one that was there.

use model::view::ChannelView;
use model::{GuildId, Overwrite, OverwriteKind, RoleId};
use proptest::prelude::*;
use proto::Writer;

use super::*;

const ME: u64 = 5;
const ROLE: u64 = 7;

fn guild() -> GuildId {
    GuildId::new(1).unwrap()
}

fn me() -> UserId {
    UserId::new(ME).unwrap()
}

fn channel(number: u64) -> ChannelId {
    ChannelId::new(number).unwrap()
}

fn shape(is_hidden: bool) -> ChannelView {
    let hidden = Overwrite {
        target: OverwriteKind::Role(guild().cast()),
        allow: Permissions::NONE,
        deny: Permissions::VIEW_CHANNEL,
    };
    let open = Overwrite {
        target: OverwriteKind::Role(RoleId::new(ROLE).unwrap()),
        allow: Permissions::VIEW_CHANNEL,
        deny: Permissions::NONE,
    };
    let overwrites = if is_hidden { vec![hidden, open] } else { Vec::new() };
    ChannelView { kind: ChannelKind::Text, overwrites, rate_limit_per_user: 0 }
}

/// A guild that changes, and the events of that.
struct Story {
    view: GuildView,
    member: MemberView,
    events: Vec<Envelope>,
}

impl Story {
    fn new() -> Self {
        let owner = UserId::new(9).unwrap();
        let mut view = GuildView::new(guild(), owner, 1, &[], &[]);
        view.roles.insert(guild().cast(), Permissions::VIEW_CHANNEL);
        view.channels.insert(channel(1), shape(false));
        view.channels.insert(channel(2), shape(true));
        Self { view, member: MemberView::default(), events: Vec::new() }
    }

    fn event(&mut self, kind: EventKind) -> &mut Envelope {
        let id = self.events.len() as u64 + 1;
        self.events.push(Envelope::new(id, kind, Writer { set: 2, slot: 0, epoch: 1 }, "{}"));
        let event = self.events.last_mut().unwrap();
        event.guild_id = Some(guild());
        event
    }

    fn say(&mut self, number: u64) {
        self.event(EventKind::MessageCreate).channel_id = Some(channel(number));
    }

    fn change(&mut self, kind: EventKind, change: ViewChange) {
        let revision = self.view.revision + 1;
        self.view.apply(revision, &change);
        if let ViewChange::Member { id, after: Some(after), .. } = &change
            && *id == me()
        {
            self.member = after.clone();
        }
        self.view.revision = revision;
        let of_channel = match &change {
            ViewChange::Channel { id, .. } => Some(*id),
            _ => None,
        };
        let event = self.event(kind);
        (event.revision, event.view, event.channel_id) = (Some(revision), Some(change), of_channel);
    }

    fn has_role(&mut self, has: bool) {
        let roles = if has { vec![RoleId::new(ROLE).unwrap()] } else { Vec::new() };
        let before = Some(self.member.clone());
        let after = Some(MemberView { roles, timed_out_until: None });
        self.change(EventKind::GuildMemberUpdate, ViewChange::Member { id: me(), before, after });
    }

    fn set_channel(&mut self, number: u64, after: Option<ChannelView>) {
        let before = self.view.channels.get(&channel(number)).cloned();
        let kind = match (&before, &after) {
            (None, None) => return,
            (None, Some(_)) => EventKind::ChannelCreate,
            (Some(_), Some(_)) => EventKind::ChannelUpdate,
            (Some(_), None) => EventKind::ChannelDelete,
        };
        self.change(kind, ViewChange::Channel { id: channel(number), before, after });
    }

    fn plan(&self) -> Plan {
        self.plan_if(false)
    }

    fn plan_if(&self, repeats: bool) -> Plan {
        let now = Now { view: &self.view, user: me(), member: &self.member, repeats };
        plan(&now, &self.events.iter().collect::<Vec<_>>())
    }

    fn sees(&self, number: u64) -> bool {
        let permissions = self.view.in_channel(me(), &self.member, channel(number), Timestamp::default());
        permissions.contains(Permissions::VIEW_CHANNEL)
    }
}

#[test]
fn what_is_said_after_a_channel_appears_is_given() {
    let mut story = Story::new();
    story.say(2);
    story.has_role(true);
    story.say(2);
    let expected = [Step::Give(0), Step::Give(1), Step::Appears(channel(2)), Step::Give(2)];
    // Whether the first is to be seen says the last time that the channel appeared.
    let Plan::Steps(steps) = story.plan() else { panic!() };
    assert_eq!(steps, expected[1..]);
}

#[test]
fn a_channel_that_comes_and_goes_is_not_spoken_of() {
    let mut story = Story::new();
    story.set_channel(3, Some(shape(false)));
    story.say(3);
    story.set_channel(3, None);
    let Plan::Steps(steps) = story.plan() else { panic!() };
    assert_eq!(steps, [Step::Give(1)], "what was said in it is not visible now");
    let Plan::Steps(steps) = story.plan_if(true) else { panic!() };
    let vanishes = Step::Vanishes(channel(3), ChannelKind::Text, Some(2));
    assert_eq!(steps, [Step::Give(1), vanishes], "the client may have been told that it came");
}

#[test]
fn a_channel_that_was_hidden_for_a_while_vanishes_and_appears() {
    let mut story = Story::new();
    story.say(1);
    story.set_channel(1, Some(shape(true)));
    story.say(1);
    story.set_channel(1, Some(shape(false)));
    story.say(1);
    let Plan::Steps(steps) = story.plan() else { panic!() };
    let vanishes = Step::Vanishes(channel(1), ChannelKind::Text, None);
    assert_eq!(steps, [vanishes, Step::Appears(channel(1)), Step::Give(4)]);
}

#[test]
fn the_end_of_a_channel_and_its_ordinary_changes() {
    let mut story = Story::new();
    let slow = ChannelView { rate_limit_per_user: 5, ..shape(false) };
    story.set_channel(1, Some(slow));
    story.set_channel(1, None);
    let Plan::Steps(steps) = story.plan() else { panic!() };
    assert_eq!(steps, [Step::Give(0), Step::Vanishes(channel(1), ChannelKind::Text, Some(1))]);
}

#[test]
fn who_has_left_and_come_back_begins_again() {
    let mut story = Story::new();
    let before = Some(story.member.clone());
    story.change(EventKind::GuildMemberRemove, ViewChange::Member { id: me(), before, after: None });
    let after = Some(MemberView::default());
    story.change(EventKind::GuildMemberAdd, ViewChange::Member { id: me(), before: None, after });
    assert_eq!(story.plan(), Plan::Rejoined);
    let mut story = Story::new();
    let other = UserId::new(6).unwrap();
    story.change(
        EventKind::GuildMemberRemove,
        ViewChange::Member { id: other, before: Some(MemberView::default()), after: None },
    );
    assert_eq!(story.plan(), Plan::Steps(vec![Step::Give(0)]), "others may");
}

proptest! {
    /// A client that follows the steps ends with the channels that its user sees, is never told of one that it has or
    /// of the end of one that it has not, and hears nothing in a channel that it has not at that moment.
    #[test]
    fn the_client_ends_where_the_guild_is(ops in prop::collection::vec((0_u8..6, 1_u64..5), 0..40)) {
        let mut story = Story::new();
        let mut channels: FxHashSet<u64> = (1..5).filter(|number| story.sees(*number)).collect();
        for (op, number) in ops {
            match op {
                0 => story.has_role(number % 2 == 0),
                1 => story.set_channel(number, Some(shape(true))),
                2 => story.set_channel(number, Some(shape(false))),
                3 => story.set_channel(number, None),
                _ => story.say(number),
            }
        }
        let Plan::Steps(steps) = story.plan() else { panic!("nobody has left") };
        for step in steps {
            match step {
                Step::Appears(channel) => prop_assert!(channels.insert(channel.get())),
                Step::Vanishes(channel, ..) => prop_assert!(channels.remove(&channel.get())),
                Step::Give(index) => {
                    let number = story.events[index].channel_id.map(|channel| channel.get());
                    if let Some(number) = number.filter(|number| story.sees(*number)) {
                        prop_assert!(channels.contains(&number), "event {index} in channel {number}");
                    }
                }
            }
        }
        let seen: FxHashSet<u64> = (1..5).filter(|number| story.sees(*number)).collect();
        prop_assert_eq!(channels, seen);
    }
}
