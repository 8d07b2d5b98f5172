//! Reading pages.

use proto::{Failure, v1};

use crate::rig::Rig;
use crate::world::{FIRST, GENERAL};

#[tokio::test]
async fn a_page_may_show_more_people_than_one_call_gives() {
    const PER_MESSAGE: u64 = 13;
    let mut rig = Rig::new(1 + 100 * PER_MESSAGE).await;
    for number in 0..100 {
        let mentioned = (0..PER_MESSAGE).map(|index| FIRST + 1 + number * PER_MESSAGE + index);
        let content: String = mentioned.map(|user| format!("<@{user}>")).collect();
        rig.sent(FIRST, &content).await;
    }
    // Whoever was mentioned is remembered for a while; the next start remembers nobody.
    rig.restart().await;
    let request = v1::ListMessagesRequest {
        channel_id: GENERAL,
        reader_id: FIRST,
        limit: 100,
        ..v1::ListMessagesRequest::default()
    };
    let reply = rig.client.clone().list_messages(request).await.map_err(Failure::from).unwrap().into_inner();
    let messages: Vec<serde_json::Value> = serde_json::from_slice(&reply.messages_json).unwrap();
    assert_eq!(messages.len(), 100);
    for message in messages {
        let mentions = message["mentions"].as_array().unwrap();
        assert_eq!(mentions.len() as u64, PER_MESSAGE, "{message}");
    }
}
