//! A user who says something again and again, and now and then edits or deletes it, as a client does: what got no answer,
//! or 503, is repeated with the same nonce until it is acknowledged.

use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{self, Instant};

use super::book::Book;
use super::id_of;
use super::judge::{Id, Kind, Sent};
use crate::rest::{Answer, Rest, RestError};

/// See the module.
pub(super) struct Sender {
    pub(super) who: String,
    pub(super) author: Id,
    pub(super) rest: Rest,
    pub(super) channels: Vec<Id>,
    pub(super) pace: Duration,
    pub(super) book: Arc<Book>,
}

impl Sender {
    /// Talks until it is to stop; what it is at then is finished.
    pub(super) async fn run(self, stop: watch::Receiver<bool>) {
        let mut number = 0;
        while !*stop.borrow() {
            let channel = self.channels[number % self.channels.len()];
            self.say(number, channel).await;
            number += 1;
            time::sleep(self.pace).await;
        }
    }

    async fn say(&self, number: usize, channel: Id) {
        let nonce = format!("{}-{number}", self.who);
        let content = format!("{nonce} in {channel}");
        let body = json!({ "content": content, "nonce": nonce, "enforce_nonce": true });
        let path = format!("/channels/{channel}/messages");
        let began_ms = self.book.now_ms();
        let Some(answer) = self.until_taken(Method::POST, &path, Some(&body)).await else { return };
        let Some(id) = self.own(&answer, channel, &content) else { return };
        let acknowledged_ms = self.book.now_ms();
        let contents = vec![content];
        let author = self.author;
        let sent = Sent { channel, author, id, contents, is_deleted: false, began_ms, acknowledged_ms };
        let at = self.book.acknowledged(sent);
        if number.is_multiple_of(REPEATS_EVERY) {
            self.repeat(&path, &body, id).await;
        }
        if number % CHANGES_EVERY == 1 {
            self.change(at, &format!("{path}/{id}"), channel, number).await;
        }
    }

    /// The same nonce once more is the same message.
    async fn repeat(&self, path: &str, body: &Value, id: Id) {
        let Some(answer) = self.until_taken(Method::POST, path, Some(body)).await else { return };
        let again = id_of(&answer.json()["id"]);
        if again != Some(id) {
            let text = format!("{}: the nonce of {id} again made {again:?}", self.who);
            self.book.find(Kind::Doubled, text);
        }
    }

    /// Edits a message, and deletes every second of these.
    async fn change(&self, at: usize, path: &str, channel: Id, number: usize) {
        let content = format!("{}-{number} edited in {channel}", self.who);
        let body = json!({ "content": content });
        let Some(answer) = self.until_taken(Method::PATCH, path, Some(&body)).await else { return };
        if self.own(&answer, channel, &content).is_some() {
            self.book.edited(at, content);
        }
        if number % (2 * CHANGES_EVERY) == 1 && self.until_taken(Method::DELETE, path, None).await.is_some() {
            self.book.deleted(at);
        }
    }

    /// The message's id, if the answer is the message.
    fn own(&self, answer: &Answer, channel: Id, content: &str) -> Option<Id> {
        let message = answer.json();
        let is_ours = message["content"] == content
            && id_of(&message["channel_id"]) == Some(channel)
            && id_of(&message["author"]["id"]) == Some(self.author);
        if !is_ours {
            self.book.find(Kind::Foreign, format!("{}: {content:?} was answered with {message}", self.who));
        }
        id_of(&message["id"]).filter(|_| is_ours)
    }

    /// Asks until there is a success. What has been deleted by an attempt whose answer was lost is not there any more.
    async fn until_taken(&self, method: Method, path: &str, body: Option<&Value>) -> Option<Answer> {
        let began = Instant::now();
        let mut is_in_doubt = false;
        while began.elapsed() < PATIENCE {
            let answer = self.rest.call(method.clone(), path, body).await;
            let wait = match &answer {
                Ok(answer) if answer.status == StatusCode::SERVICE_UNAVAILABLE => self.refused(answer),
                Ok(answer) => {
                    let is_gone = method == Method::DELETE && answer.status == StatusCode::NOT_FOUND;
                    let is_taken = answer.status.is_success() || (is_in_doubt && is_gone);
                    if !is_taken {
                        self.imprecise(&method, path, &format!("{} {}", answer.status, answer.json()));
                        return None;
                    }
                    let took_ms = began.elapsed().as_millis() as u64;
                    self.book.count(|counts| {
                        counts.acknowledged += 1;
                        counts.longest_send_ms = counts.longest_send_ms.max(took_ms);
                    });
                    return Some(answer.clone());
                }
                Err(RestError::Timeout) => {
                    self.imprecise(&method, path, "no answer in time");
                    return None;
                }
                Err(_) => {
                    self.book.count(|counts| counts.broken += 1);
                    AFTER_A_BREAK
                }
            };
            is_in_doubt = true;
            time::sleep(wait).await;
        }
        self.imprecise(&method, path, &format!("not taken in {PATIENCE:?}"));
        None
    }

    /// How long a 503 asks to wait.
    fn refused(&self, answer: &Answer) -> Duration {
        self.book.count(|counts| counts.refused += 1);
        let secs = answer.header("retry-after").and_then(|secs| secs.parse::<f64>().ok());
        let secs = secs.filter(|secs| (0.0..=RETRY_SECS_MAX).contains(secs));
        if secs.is_none() {
            let text = format!("{}: a 503 without a Retry-After that makes sense: {answer:?}", self.who);
            self.book.find(Kind::Imprecise, text);
        }
        Duration::from_secs_f64(secs.unwrap_or(1.0))
    }

    fn imprecise(&self, method: &Method, path: &str, what: &str) {
        self.book.find(Kind::Imprecise, format!("{}: {method} {path}: {what}", self.who));
    }
}

const PATIENCE: Duration = Duration::from_secs(120);
const AFTER_A_BREAK: Duration = Duration::from_millis(200);
const RETRY_SECS_MAX: f64 = 30.0;
const REPEATS_EVERY: usize = 10;
const CHANGES_EVERY: usize = 4;
