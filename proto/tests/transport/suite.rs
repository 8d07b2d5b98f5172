//! The behaviour that every transport has.

use std::time::Duration;

use async_trait::async_trait;
use model::limits::RPC_MESSAGE_BYTES_MAX;
use proto::clients::messages_over;
use proto::{Failure, FailureKind, Transport, v1};
use tonic::Request;

use crate::replica::{get, text, who};
use crate::service::{ECHO, FAIL, HUGE, PANIC, Scripted, TRACE, WAIT, whole_failure};

/// A way to a service that does what tests say.
#[async_trait]
pub trait Rig: Sized {
    async fn start() -> Self;
    fn transport(&self) -> Transport;
    fn service(&self) -> &Scripted;
}

const CHANNEL: u64 = 77;

pub async fn a_call_is_answered<R: Rig>() {
    let rig = R::start().await;
    let client = messages_over(rig.transport());
    assert_eq!(who(&client, CHANNEL).await, Ok("one".to_owned()));
}

pub async fn metadata_reaches_the_service<R: Rig>() {
    let rig = R::start().await;
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut request = Request::new(get(CHANNEL, TRACE));
    request.metadata_mut().insert("traceparent", parent.parse().unwrap());
    let reply = messages_over(rig.transport()).get_message(request).await;
    assert_eq!(text(reply.map(|reply| reply.into_inner().message_json)), Ok(parent.to_owned()));
}

pub async fn a_failure_arrives_whole<R: Rig>() {
    let rig = R::start().await;
    let status = messages_over(rig.transport()).get_message(get(CHANNEL, FAIL)).await.unwrap_err();
    assert_eq!(Failure::from(status), whole_failure());
}

pub async fn a_deadline_passes_and_the_work_is_finished<R: Rig>() {
    let rig = R::start().await;
    let mut hasty = messages_over(rig.transport().with_deadline(Duration::from_millis(100)));
    let failure = Failure::from(hasty.get_message(get(CHANNEL, WAIT)).await.unwrap_err());
    assert_eq!(failure.kind, FailureKind::Unavailable);
    assert!(failure.message.contains("no answer in time, outcome unknown"), "{failure}");
    assert!(failure.retry_after_ms.is_some());
    rig.service().let_through(1);
    rig.service().wait_for_finished(1).await;
}

pub async fn a_caller_may_wait_for_less<R: Rig>() {
    let rig = R::start().await;
    let mut request = Request::new(get(CHANNEL, WAIT));
    request.set_timeout(Duration::from_millis(50));
    let status = messages_over(rig.transport()).get_message(request).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::DeadlineExceeded);
}

pub async fn an_expired_call_does_not_start<R: Rig>() {
    let rig = R::start().await;
    let client = messages_over(rig.transport());
    let mut request = Request::new(get(CHANNEL, ECHO));
    request.set_timeout(Duration::ZERO);
    assert!(client.clone().get_message(request).await.is_err());
    who(&client, CHANNEL).await.unwrap();
    assert_eq!(rig.service().started(), 1, "only the second one");
}

pub async fn a_caller_goes_away_and_the_work_is_finished<R: Rig>() {
    let rig = R::start().await;
    let mut client = messages_over(rig.transport());
    {
        let call = client.get_message(get(CHANNEL, WAIT));
        tokio::select! {
            _ = call => panic!("nobody has let it through"),
            () = rig.service().wait_for_started(1) => {}
        }
    }
    rig.service().let_through(1);
    rig.service().wait_for_finished(1).await;
}

pub async fn a_request_that_is_too_large_is_refused<R: Rig>() {
    let rig = R::start().await;
    let content = v1::MessageContent { content: "x".repeat(RPC_MESSAGE_BYTES_MAX), ..Default::default() };
    let request = v1::CreateMessageRequest { content: Some(content), ..Default::default() };
    let client = messages_over(rig.transport());
    let failure = Failure::from(client.clone().create_message(request).await.unwrap_err());
    assert_eq!(failure.kind, FailureKind::Invalid);
    assert!(failure.message.contains("too large"), "{failure}");
    assert_eq!(rig.service().started(), 0);
    who(&client, CHANNEL).await.unwrap();
}

pub async fn an_answer_that_is_too_large_is_an_error<R: Rig>() {
    let rig = R::start().await;
    let client = messages_over(rig.transport());
    let failure = Failure::from(client.clone().get_message(get(CHANNEL, HUGE)).await.unwrap_err());
    assert_eq!(failure.kind, FailureKind::Invalid);
    assert!(failure.message.contains("too large"), "{failure}");
    who(&client, CHANNEL).await.unwrap();
}

pub async fn a_panic_fails_one_call<R: Rig>() {
    let rig = R::start().await;
    let client = messages_over(rig.transport());
    let failure = Failure::from(client.clone().get_message(get(CHANNEL, PANIC)).await.unwrap_err());
    assert_eq!(failure.kind, FailureKind::Internal);
    who(&client, CHANNEL).await.unwrap();
}

/// Every test of the suite, on one rig.
macro_rules! transport_suite {
    ($rig:ty) => {
        transport_suite!(@ $rig:
            a_call_is_answered
            metadata_reaches_the_service
            a_failure_arrives_whole
            a_deadline_passes_and_the_work_is_finished
            a_caller_may_wait_for_less
            an_expired_call_does_not_start
            a_caller_goes_away_and_the_work_is_finished
            a_request_that_is_too_large_is_refused
            an_answer_that_is_too_large_is_an_error
            a_panic_fails_one_call
        );
    };
    (@ $rig:ty: $($name:ident)*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            $crate::suite::$name::<$rig>().await;
        }
    )* };
}

pub(crate) use transport_suite;
