//! How one sender speaks to the server: a member's REST connection, or a socket whose messages go to everybody.

use anyhow::Context;
use http::{Method, StatusCode};
use serde_json::json;
use testkit::rest::Rest;
use testkit::ws::{Socket, TEXT};
use tokio::time::Instant;

use super::Outcome;
use crate::marker::Marker;
use crate::target::{Service, Target};

/// Where a relay takes what it hands on.
pub const PUBLISH_PATH: &str = "/publish";

/// One sender.
pub enum Voice {
    Member { guild: usize, rest: Rest, path: String },
    Publisher(Socket),
}

impl Voice {
    pub async fn new(target: &Target, sender: usize) -> anyhow::Result<Self> {
        Ok(match &target.service {
            Service::Starling(starling) => {
                let (guild, rest) = starling.speaker(sender);
                Self::Member { guild, rest, path: starling.messages_path(guild) }
            }
            Service::Relay => {
                let url = format!("{}{PUBLISH_PATH}", target.gateways[0]);
                Self::Publisher(Socket::connect(&url).await.with_context(|| format!("connect to {url}"))?)
            }
        })
    }

    /// Whose receivers get what it says.
    pub fn guild(&self) -> usize {
        match self {
            Self::Member { guild, .. } => *guild,
            Self::Publisher(_) => 0,
        }
    }

    /// Connects before the first message is due.
    pub async fn warm_up(&self) {
        if let Self::Member { rest, .. } = self {
            // Whatever is wrong shows with the first message.
            let _ = rest.call(Method::GET, "/gateway", None).await;
        }
    }

    /// Sends a message: for a member `size` is the length of its content, for a publisher that of the whole event.
    pub async fn send(&mut self, marker: Marker, due: Instant, size: usize) -> Outcome {
        let index = marker.index;
        match self {
            Self::Member { rest, path, .. } => {
                let body =
                    json!({ "content": marker.content(size), "nonce": format!("{}-{index}", marker.run) });
                match rest.call(Method::POST, path, Some(&body)).await {
                    Ok(answer) if answer.status == StatusCode::OK => {
                        let took_us = Some(due.elapsed().as_micros() as u64);
                        match answer.json()["id"].as_str().and_then(|id| id.parse().ok()) {
                            Some(id) => Outcome::Accepted { id, index, took_us },
                            None => Outcome::Failed("an answer without an id".to_owned()),
                        }
                    }
                    Ok(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS => Outcome::Limited,
                    Ok(answer) => {
                        let text = String::from_utf8_lossy(&answer.bytes);
                        Outcome::Failed(format!("{} {text}", answer.status))
                    }
                    Err(error) => Outcome::Failed(error.to_string()),
                }
            }
            Self::Publisher(socket) => match socket.send_frame(TEXT, &event(marker, size)).await {
                Ok(()) => Outcome::Accepted { id: u64::from(index), index, took_us: None },
                Err(error) => Outcome::Failed(error.to_string()),
            },
        }
    }
}

/// An event of `size` bytes, at least as long as its marker, as Starling would send it.
fn event(marker: Marker, size: usize) -> Vec<u8> {
    const AROUND: [&str; 2] = [r#"{"op":0,"s":1         ,"t":"MESSAGE_CREATE","d":{"content":""#, r#""}}"#];
    let content = marker.content(size.saturating_sub(AROUND[0].len() + AROUND[1].len()));
    [AROUND[0], &content, AROUND[1]].concat().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_their_size_and_marker() {
        let marker = Marker { run: 1, index: 2, due_us: 3 };
        let event = event(marker, 600);
        assert_eq!(event.len(), 600);
        assert_eq!(Marker::find(&event), Some(marker));
        let parsed: serde_json::Value = serde_json::from_slice(&event).unwrap();
        assert_eq!(parsed["t"], "MESSAGE_CREATE");
    }
}
