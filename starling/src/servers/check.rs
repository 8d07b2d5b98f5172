//! `starling check`: of everything that the settings name, whether it can be reached, is of the right version and rightly
//! configured; and what to do where it is not. It changes nothing.

mod cassandra;

use std::time::Duration;

use anyhow::bail;
use backplane::nats::{self, ConnectError, Inspected};
use model::limits::{CHECK_PATIENCE_MS, PEERS_CHECK_MS};
use proto::clients::{remote_guilds, remote_messages, remote_presence};
use proto::transport::remote::{Remote, ReplicaState};
use proto::{Failure, FailureKind, v1};
use redis_link::{Info, Link};
use tokio::time::{Instant, sleep};
use tonic::{Code, Status};

use super::Report;
use crate::role::Role;
use crate::server::{Callee, Peers};
use crate::settings::Settings;

/// One line: what was looked at, and what was found.
struct Finding {
    what: String,
    outcome: Outcome,
}

enum Outcome {
    Well(String),
    /// It works, but not as it should.
    Odd(String),
    /// What is wrong, and what to do.
    Wrong(String),
}

/// Looks at everything that the settings name.
pub async fn check(settings: Settings) -> anyhow::Result<Report> {
    let mut findings = Vec::new();
    if !settings.nats_urls.0.is_empty() {
        findings.extend(of_nats(&settings).await);
    }
    if let Some(config) = settings.redis() {
        let what = format!("redis {}:{}", config.host, config.port);
        findings.push(Finding { what, outcome: of_redis(Link::start(config)?).await });
    }
    if let Some(config) = settings.cassandra() {
        let what = format!("cassandra {}", config.nodes.join(","));
        findings.push(Finding { what, outcome: cassandra::look(&config).await });
    }
    let peers = Peers::connect(&settings, Role::Check)?;
    for (callee, remote) in peers.all() {
        findings.push(of_peer(callee, remote).await);
    }
    peers.shutdown().await;
    findings.extend(of_stores(&settings));
    if findings.is_empty() {
        bail!(
            "there is nothing to check: give nats_urls, redis_url, cassandra_hosts or the addresses of roles, such as guilds_grpc"
        );
    }
    let is_well = findings.iter().all(|finding| !matches!(finding.outcome, Outcome::Wrong(_)));
    Ok(Report { text: findings.iter().map(line).collect(), is_well })
}

fn line(Finding { what, outcome }: &Finding) -> String {
    let (word, text) = match outcome {
        Outcome::Well(text) => ("ok", text),
        Outcome::Odd(text) => ("odd", text),
        Outcome::Wrong(text) => ("wrong", text),
    };
    format!("{word:<6}{what}: {text}\n")
}

async fn of_nats(settings: &Settings) -> Vec<Finding> {
    let what = format!("nats {}", settings.nats_urls.0.join(","));
    let found = match nats::inspect(&settings.nats("starling-check")).await {
        Ok(found) => found,
        Err(error) => return vec![Finding { what, outcome: Outcome::Wrong(advice(&error)) }],
    };
    let Inspected { version, streams, incarnation, differences } = found;
    let odd = differences.into_iter().map(|difference| {
        let outcome = Outcome::Odd(format!("{difference}; run `starling migrate`"));
        Finding { what: what.clone(), outcome }
    });
    let mut findings: Vec<Finding> = odd.collect();
    let text = format!("version {version}, {streams} streams of incarnation {incarnation:016x}");
    findings.push(Finding { what, outcome: Outcome::Well(text) });
    findings
}

fn advice(error: &ConnectError) -> String {
    match error {
        ConnectError::Refused { .. } => {
            format!("{error}; see that it runs, and that nats_urls, user and certificates are right")
        }
        ConnectError::Unavailable(_) => {
            format!("{error}; see that most of its servers run, then check again")
        }
        // These say it themselves.
        _ => error.to_string(),
    }
}

async fn of_redis(link: Link) -> Outcome {
    let Info { version, role, eviction } = match link.info().await {
        Ok(info) => info,
        Err(error) => {
            return Outcome::Wrong(format!(
                "{error}; see that it runs, and that redis_url and its password are right"
            ));
        }
    };
    if number(&version) < VERSION_LEAST {
        let (major, minor) = VERSION_LEAST;
        return Outcome::Wrong(format!("version {version}; use {major}.{minor} or later"));
    }
    if role != "master" {
        return Outcome::Wrong(format!(
            "it is a {role}, to which nothing can be written; name the master in redis_url"
        ));
    }
    if eviction != "noeviction" {
        return Outcome::Odd(format!(
            "version {version}, but maxmemory-policy is {eviction}: entries get lost while they are in use; set noeviction"
        ));
    }
    Outcome::Well(format!("version {version}, {eviction}"))
}

/// Major and minor version; nothing is older than what can't be read.
fn number(version: &str) -> (u32, u32) {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// Who runs the check without the settings of a cluster's Cassandra is told as well: it can't be known from here.
fn of_stores(settings: &Settings) -> impl Iterator<Item = Finding> {
    let several = [("guilds_grpc", &settings.guilds_grpc), ("messages_grpc", &settings.messages_grpc)];
    several.into_iter().filter_map(|(name, replicas)| {
        Some(Finding { what: name.to_owned(), outcome: Outcome::Odd(settings.divided(replicas)?) })
    })
}

/// Asks for what is not there: only a service that knows us says so.
async fn of_peer(callee: Callee, remote: &Remote) -> Finding {
    let deadline = Instant::now() + Duration::from_millis(CHECK_PATIENCE_MS);
    while !remote.is_up() && Instant::now() < deadline {
        sleep(Duration::from_millis(PEERS_CHECK_MS)).await;
    }
    let asked = match callee {
        Callee::Guilds => {
            let request = v1::GetChannelRequest { channel_id: NOBODYS, ..Default::default() };
            remote_guilds(remote).get_channel(request).await.map(drop)
        }
        Callee::Messages => {
            let request =
                v1::GetMessageRequest { channel_id: NOBODYS, message_id: NOBODYS, reader_id: NOBODYS };
            remote_messages(remote).get_message(request).await.map(drop)
        }
        Callee::Presence => {
            let request = v1::GetPresencesRequest { user_ids: vec![NOBODYS], ..Default::default() };
            remote_presence(remote).get_presences(request).await.map(drop)
        }
    };
    let replicas = remote.replicas();
    let up = replicas.iter().filter(|replica| replica.is_up).count();
    let of_one = |replica: &ReplicaState| Some(format!("{}: {}", replica.address, replica.trouble.clone()?));
    let trouble = replicas.iter().find_map(of_one);
    let outcome = judge(asked.err().as_ref(), &format!("{up} of {} replicas", replicas.len()), trouble);
    Finding { what: callee.name().to_owned(), outcome }
}

fn judge(refusal: Option<&Status>, replicas: &str, trouble: Option<String>) -> Outcome {
    let is_not_there = |status: &&Status| Failure::from((*status).clone()).kind == FailureKind::NotFound;
    let Some(status) = refusal.filter(|status| !is_not_there(status)) else {
        return match trouble {
            None => Outcome::Well(format!("{replicas} answer")),
            Some(trouble) => Outcome::Odd(format!("{replicas} answer; {trouble}")),
        };
    };
    match status.code() {
        Code::Unauthenticated => {
            Outcome::Wrong("it does not know our secret; give all roles the same grpc_secret".to_owned())
        }
        Code::Unimplemented => {
            Outcome::Wrong(format!("it is another role ({}); see to the address", status.message()))
        }
        _ => {
            let why = trouble.unwrap_or_else(|| status.message().to_owned());
            Outcome::Wrong(format!(
                "it does not answer ({why}); see that it runs, and to address and certificates"
            ))
        }
    }
}

/// What everything runs on that is tested.
const VERSION_LEAST: (u32, u32) = (7, 0);
/// No snowflake of ours: it lies in the first millisecond there is.
const NOBODYS: u64 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        assert!(number("7.0.15") >= VERSION_LEAST && number("10.2") >= VERSION_LEAST);
        assert!(number("6.2.14") < VERSION_LEAST && number("?") < VERSION_LEAST);
    }

    #[test]
    fn an_answer_tells_who_is_there() {
        let of = |status: Status| match judge(Some(&status), "1 of 2 replicas", None) {
            Outcome::Well(text) | Outcome::Odd(text) | Outcome::Wrong(text) => text,
        };
        let missing = Failure::new(FailureKind::NotFound, 10_003, "Unknown Channel");
        assert_eq!(of(missing.into()), "1 of 2 replicas answer");
        assert!(of(Status::unauthenticated("x")).contains("grpc_secret"));
        assert!(of(Status::unimplemented("there are y")).contains("there are y"));
        assert!(of(Status::unavailable("z")).contains("it does not answer (z)"));
    }
}
