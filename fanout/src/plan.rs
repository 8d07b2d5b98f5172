//! What goes where: from events and the pods of their users to one ordered batch for each pod.

use std::collections::{BTreeMap, HashMap};

use backplane::{PodName, UserEvent};
use model::UserId;

/// The pods that hold sessions of a user.
pub type Places = HashMap<UserId, Vec<PodName>>;

/// One batch for each pod that holds a session of one of the users, in the order of the events. An event of a user without
/// sessions goes nowhere: whoever connects later reads it from the stream.
pub fn plan(events: &[UserEvent], places: &Places) -> BTreeMap<PodName, Vec<UserEvent>> {
    let mut batches: BTreeMap<PodName, Vec<UserEvent>> = BTreeMap::new();
    for event in events {
        let pods = places.get(&event.user).map_or(&[][..], Vec::as_slice);
        for (index, pod) in pods.iter().enumerate() {
            if !pods[..index].contains(pod) {
                batches.entry(pod.clone()).or_default().push(event.clone());
            }
        }
    }
    batches
}

/// What of a pod's batch is still to be delivered, given where its users are now.
pub fn remaining(pod: &PodName, batch: Vec<UserEvent>, places: &Places) -> Vec<UserEvent> {
    let is_there = |event: &UserEvent| places.get(&event.user).is_some_and(|pods| pods.contains(pod));
    batch.into_iter().filter(is_there).collect()
}

/// The users of a batch, each once.
pub fn users(events: &[UserEvent]) -> Vec<UserId> {
    let mut users: Vec<UserId> = events.iter().map(|event| event.user).collect();
    users.sort_unstable();
    users.dedup();
    users
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn events(users: &[u64]) -> Vec<UserEvent> {
        let event = |(index, user): (usize, &u64)| UserEvent {
            user: UserId::new(*user).unwrap(),
            sequence: index as u64 + 1,
            envelope: Bytes::from(index.to_string()),
        };
        users.iter().enumerate().map(event).collect()
    }

    fn places(places: &BTreeMap<u64, Vec<u8>>) -> Places {
        let pods = |pods: &Vec<u8>| pods.iter().map(|pod| PodName::new(pod.to_string())).collect();
        places.iter().map(|(user, of)| (UserId::new(*user).unwrap(), pods(of))).collect()
    }

    proptest! {
        #[test]
        fn every_event_reaches_each_pod_of_its_user_once_and_in_order(
            order in prop::collection::vec(1..6_u64, 0..60),
            at in prop::collection::btree_map(1..6_u64, prop::collection::vec(0..4_u8, 0..5), 0..6),
        ) {
            let events = events(&order);
            let batches = plan(&events, &places(&at));
            for pod in 0..4_u8 {
                let of_user = |event: &&UserEvent| at.get(&event.user.get()).is_some_and(|of| of.contains(&pod));
                let expected: Vec<UserEvent> = events.iter().filter(of_user).cloned().collect();
                let batch = batches.get(&PodName::new(pod.to_string())).cloned();
                prop_assert_eq!(batch.unwrap_or_default(), expected);
            }
            prop_assert!(batches.values().all(|batch| !batch.is_empty()));
        }

        #[test]
        fn what_remains_is_what_a_new_plan_would_send(
            order in prop::collection::vec(1..6_u64, 0..60),
            before in prop::collection::btree_map(1..6_u64, prop::collection::vec(0..4_u8, 0..5), 0..6),
            gone in 1..6_u64,
        ) {
            let events = events(&order);
            let after: BTreeMap<_, _> = before.clone().into_iter().filter(|(user, _)| *user != gone).collect();
            let planned_again = plan(&events, &places(&after));
            for (pod, batch) in plan(&events, &places(&before)) {
                let rest = remaining(&pod, batch, &places(&after));
                prop_assert_eq!(rest, planned_again.get(&pod).cloned().unwrap_or_default());
            }
        }
    }

    #[test]
    fn users_are_named_once() {
        assert_eq!(users(&events(&[3, 1, 3, 1])).iter().map(|user| user.get()).collect::<Vec<_>>(), [1, 3]);
    }
}
