//! Delivery to pods.

use std::sync::Arc;
use std::time::Duration;

use backplane::port::DeliverError;
use backplane::{Backplane, Partition, PodName, UserEvent};

use super::{event, fresh, in_time, user_in};

fn pod() -> PodName {
    PodName::new(format!("pod-{}", fresh()))
}

fn events(backplane: &dyn Backplane) -> Vec<UserEvent> {
    let user = user_in(backplane, Partition(0));
    (1..=2).map(|sequence| UserEvent { user, sequence, envelope: event(fresh()) }).collect()
}

pub async fn a_batch_is_answered_when_it_was_taken(backplane: Arc<dyn Backplane>) {
    let pod = pod();
    let mut inbox = backplane.serve_pod(&pod).await.expect("an inbox");
    let events = events(&*backplane);
    let deliver = backplane.deliver(&pod, events.clone());
    let mut deliver = std::pin::pin!(deliver);
    let early = tokio::time::timeout(Duration::from_millis(50), &mut deliver).await;
    assert!(early.is_err(), "answered before it was taken: {early:?}");
    let batch = in_time(inbox.recv()).await.expect("a batch");
    assert_eq!(batch.events, events);
    batch.taken.send(()).expect("somebody waits");
    assert_eq!(in_time(deliver).await, Ok(()));
}

pub async fn a_pod_that_is_not_there_is_named(backplane: Arc<dyn Backplane>) {
    let pod = pod();
    let missing = Err(DeliverError::NoPod(pod.clone()));
    assert_eq!(in_time(backplane.deliver(&pod, events(&*backplane))).await, missing);
    drop(backplane.serve_pod(&pod).await.expect("an inbox"));
    let left = async {
        while backplane.deliver(&pod, events(&*backplane)).await != missing {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    in_time(left).await;
}

pub async fn a_pod_that_takes_nothing_is_given_up(backplane: Arc<dyn Backplane>) {
    let pod = pod();
    let mut inbox = backplane.serve_pod(&pod).await.expect("an inbox");
    let delivered = in_time(backplane.deliver(&pod, events(&*backplane))).await;
    assert_eq!(delivered, Err(DeliverError::Timeout(pod.clone())));
    let batch = in_time(inbox.recv()).await.expect("a batch");
    let taken = batch.taken;
    let (delivered, ()) = tokio::join!(in_time(backplane.deliver(&pod, events(&*backplane))), async {
        drop(taken);
        let batch = in_time(inbox.recv()).await.expect("a batch");
        batch.taken.send(()).expect("somebody waits");
    });
    assert_eq!(delivered, Ok(()), "a pod that is slow once is not cut off");
}
