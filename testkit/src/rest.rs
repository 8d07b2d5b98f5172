//! A REST client for tests and load generators: one kept-alive HTTP/1.1 connection, the token, JSON both ways.
//!
//! Nothing is retried and nothing is hidden: the answer comes with its status and headers, because those are what tests
//! are about. Only [`Rest::ok`] waits out a 429, as every client library does.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const RATE_LIMIT_WAITS_MAX: u32 = 20;

/// What was answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Bytes,
}

/// Why there is no answer: then the outcome of the request is unknown.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    #[error("no connection to {0}: {1}")]
    Connect(String, std::io::Error),
    #[error("the connection failed: {0}")]
    Http(#[from] hyper::Error),
    #[error("no answer in time")]
    Timeout,
}

/// Calls the API as one user.
pub struct Rest {
    host: String,
    prefix: String,
    token: Option<String>,
    link: Mutex<Option<Link>>,
}

struct Link {
    sender: SendRequest<Full<Bytes>>,
    _driver: JoinSet<()>,
}

impl Answer {
    /// The body; null when it is no JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or(Value::Null)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The error code in the body, 0 when there is none.
    pub fn code(&self) -> u64 {
        self.json()["code"].as_u64().unwrap_or(0)
    }
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Rest {
    /// `api` is `http://host:port/api/v10`; the token goes into `Authorization` as it is.
    pub fn new(api: &str, token: Option<&str>) -> Self {
        let (host, prefix) = crate::ws::split_url(api);
        let prefix = prefix.trim_end_matches('/').to_owned();
        Self { host: host.to_owned(), prefix, token: token.map(str::to_owned), link: Mutex::new(None) }
    }

    /// One request; a body is sent as JSON.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, RestError> {
        let bytes = body.map(|body| Bytes::from(body.to_string()));
        self.call_bytes(method, path, bytes).await
    }

    /// One request with a body that need not be JSON, though its header says so.
    pub async fn call_bytes(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Answer, RestError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.prefix))
            .header(header::HOST, &self.host)
            .header(header::USER_AGENT, "DiscordBot (starling testkit, 1)");
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, token);
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request =
            request.body(Full::new(body.unwrap_or_default())).expect("paths of tests are valid in a request");
        let mut link = self.link.lock().await;
        let answer = time::timeout(ANSWER_TIMEOUT, self.exchange(&mut link, request)).await;
        let answer = answer.unwrap_or(Err(RestError::Timeout));
        if answer.is_err() {
            *link = None;
        }
        answer
    }

    async fn exchange(
        &self,
        link: &mut Option<Link>,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, RestError> {
        let mut current = match link.take() {
            Some(mut old) => match old.sender.ready().await {
                Ok(()) => old,
                Err(_) => self.connect().await?,
            },
            None => self.connect().await?,
        };
        let (parts, body) = current.sender.send_request(request).await?.into_parts();
        let bytes = body.collect().await?.to_bytes();
        *link = Some(current);
        Ok(Answer { status: parts.status, headers: parts.headers, bytes })
    }

    async fn connect(&self) -> Result<Link, RestError> {
        let failed = |error| RestError::Connect(self.host.clone(), error);
        let stream = TcpStream::connect(&self.host).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // How it ended shows at the next request.
            let _ = connection.await;
        });
        sender.ready().await?;
        Ok(Link { sender, _driver: driver })
    }

    /// A request that must succeed: waits out 429, and says what was answered when it fails. A null body is none.
    ///
    /// # Panics
    /// When the answer is no success, or does not come.
    pub async fn ok(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let body = body.filter(|body| !body.is_null());
        for _ in 0..RATE_LIMIT_WAITS_MAX {
            let answer = match self.call(method.clone(), path, body).await {
                Ok(answer) => answer,
                Err(error) => panic!("{method} {path}: {error}"),
            };
            if answer.status == StatusCode::TOO_MANY_REQUESTS {
                let wait = answer.json()["retry_after"].as_f64().unwrap_or(1.0);
                time::sleep(Duration::from_secs_f64(wait.clamp(0.01, 10.0))).await;
                continue;
            }
            assert!(
                answer.status.is_success(),
                "{method} {path}: {} {}",
                answer.status,
                String::from_utf8_lossy(&answer.bytes)
            );
            return answer.json();
        }
        panic!("{method} {path}: limited {RATE_LIMIT_WAITS_MAX} times");
    }

    pub async fn get(&self, path: &str) -> Value {
        self.ok(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Value {
        self.ok(Method::POST, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Value {
        self.ok(Method::PUT, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Value {
        self.ok(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Value {
        self.ok(Method::DELETE, path, None).await
    }

    /// Sends a message and gives it back.
    pub async fn send(&self, channel_id: &str, content: &str) -> Value {
        self.post(&format!("/channels/{channel_id}/messages"), &serde_json::json!({ "content": content }))
            .await
    }

    /// The status and error code of a request that is expected to fail.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn refusal(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, u64) {
        match self.call(method.clone(), path, body).await {
            Ok(answer) => (answer.status.as_u16(), answer.code()),
            Err(error) => panic!("{method} {path}: {error}"),
        }
    }
}
