//! What goes into one write.

use std::sync::Arc;

use model::clock::ManualClock;
use storage::{Epoch, Ledger, Slot, SlotSet, Snowflakes, WorkerId};

use super::*;
use crate::people::Cast;

fn id() -> MessageId {
    MessageId::new(5).unwrap()
}

fn edit() -> Op {
    let cast = Cast::default();
    Op::Edit(Box::new(Edit {
        id: id(),
        editor: UserId::new(1).unwrap(),
        may_edit_others: false,
        author: None,
        content: None,
        mentions: None,
        embeds_json: None,
        components_json: None,
        flags: None,
        cast,
        referenced: None,
    }))
}

fn unreact() -> Op {
    Op::Unreact { message: id(), emoji: "👍".parse().unwrap(), user: UserId::new(1).unwrap() }
}

fn clear() -> Op {
    Op::ClearReactions { message: id(), emoji: None }
}

#[test]
fn edits_of_one_write_are_counted_and_what_clears_stands_alone() {
    let snowflakes = Snowflakes::new(WorkerId::of_epoch(Epoch(1)), 0);
    let ids = Arc::new(parking_lot::Mutex::new(snowflakes));
    let ledger = Ledger::new(ids, Arc::new(ManualClock::at(1_790_000_000_000)));
    let lease = Lease { set: SlotSet::Channels, slot: Slot::of(1), epoch: Epoch(1) };
    let channel = ChannelId::new(1).unwrap();
    let push = |group: &mut Group, op| {
        let (reply, _answer) = tokio::sync::oneshot::channel();
        let place = Place::Guild(model::GuildId::new(2).unwrap());
        let change = Change { place, op, span: Span::none() };
        group.push(ledger.begin(&lease).unwrap(), change, reply);
    };
    let mut group = Group::new(lease, channel);
    for _ in 0..EDITS_PER_WRITE_MAX {
        assert!(group.takes(&edit()));
        push(&mut group, edit());
        assert!(group.takes(&unreact()));
        push(&mut group, unreact());
    }
    assert!(!group.takes(&edit()) && group.takes(&unreact()) && !group.takes(&clear()));
    let mut group = Group::new(lease, channel);
    assert!(group.takes(&clear()));
    push(&mut group, clear());
    assert!(!group.takes(&edit()) && !group.takes(&unreact()) && !group.takes(&clear()));
}
