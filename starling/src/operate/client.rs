//! Calls a running server's admin listener: one connection for each call, as calls are few.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http::{Request, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use model::limits::ADMIN_REQUEST_MS;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::admin::Credentials;
use crate::admin::calls::{Call, PATH};
use crate::cli::Target;

/// Reaches one server.
pub struct Client {
    authority: String,
    url: String,
    token: String,
    start_it: String,
}

impl Client {
    /// A client of the server that the arguments name.
    pub fn new(target: &Target) -> anyhow::Result<Self> {
        let dir = target.data_dir.display();
        let start_it = format!("start one with `starling --data-dir {dir}`");
        let own = match (&target.url, &target.token) {
            (Some(url), Some(token)) => Credentials { url: url.clone(), token: token.clone() },
            (url, token) => {
                let found = Credentials::read(&target.data_dir)
                    .with_context(|| format!("read admin.json in {dir}; run this as the server's user"))?;
                let Some(found) = found else {
                    bail!(
                        "no server runs on {dir} (it has no admin.json); {start_it}, or name the data directory of another with --data-dir"
                    );
                };
                Credentials {
                    url: url.clone().unwrap_or(found.url),
                    token: token.clone().unwrap_or(found.token),
                }
            }
        };
        let uri: Uri = own.url.parse().with_context(|| format!("read the address {}", own.url))?;
        let authority = match (uri.scheme_str(), uri.authority()) {
            (Some("http"), Some(authority)) => authority.to_string(),
            _ => bail!("the address {} is not allowed; expected http://HOST:PORT", own.url),
        };
        Ok(Self { authority, url: own.url, token: own.token, start_it })
    }

    /// Makes a call.
    pub async fn call<T: DeserializeOwned>(&self, call: &Call) -> anyhow::Result<T> {
        let limit = Duration::from_millis(2 * ADMIN_REQUEST_MS);
        match tokio::time::timeout(limit, self.exchange(call)).await {
            Ok(answer) => answer,
            Err(_) => bail!("the server at {} did not answer in {limit:?}; the outcome is unknown", self.url),
        }
    }

    async fn exchange<T: DeserializeOwned>(&self, call: &Call) -> anyhow::Result<T> {
        let stream = TcpStream::connect(&self.authority)
            .await
            .with_context(|| format!("no server answers at {}: {}", self.url, self.start_it))?;
        let broken = || format!("talk to {}: is it the admin listener of a starling?", self.url);
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.with_context(broken)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(connection);
        let request = Request::post(PATH)
            .header(header::HOST, &self.authority)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(serde_json::to_vec(call)?)))
            .context("make the request")?;
        let response = sender.send_request(request).await.with_context(broken)?;
        let status = response.status();
        let body = response.into_body().collect().await.with_context(broken)?.to_bytes();
        if status.is_success() {
            return serde_json::from_slice(&body)
                .context("read the answer; is the server of another version?");
        }
        let answer: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
        match answer.as_ref().and_then(|answer| answer["error"].as_str()) {
            Some(text) => bail!("{text}"),
            None => bail!("{} answered {status}: is it the admin listener of a starling?", self.url),
        }
    }
}
