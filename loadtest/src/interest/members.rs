//! Members with many guilds of their own.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde_json::json;
use testkit::cluster::Cluster;
use testkit::gateway_client::{ALL_INTENTS, GatewayClient};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::cli::InterestOptions;
use crate::progress;
use crate::target::{Service, Target};

/// The tokens.
pub(super) struct Members(Vec<String>);

impl Members {
    /// Makes them, and their guilds.
    pub(super) async fn make(cluster: &Cluster, options: &InterestOptions) -> anyhow::Result<Self> {
        let count = options.guilds.div_ceil(options.guilds_per_member);
        let target = Target::of_cluster(cluster, count as usize).await?;
        let Service::Starling(starling) = &target.service else { anyhow::bail!("only Starling has guilds") };
        let tokens: Vec<String> =
            starling.guilds[0].members.iter().map(|member| member.token.clone()).collect();
        let bar = progress::bar("guilds", u64::from(options.guilds));
        let places = Arc::new(Semaphore::new(options.makers));
        let mut makers = JoinSet::new();
        for (number, token) in tokens.iter().enumerate() {
            let first = number as u32 * options.guilds_per_member;
            let last = options.guilds.min(first + options.guilds_per_member);
            let rest = cluster.rest(number % cluster.demo.apis.len(), token);
            let (places, bar) = (Arc::clone(&places), bar.clone());
            makers.spawn(async move {
                let _place = places.acquire().await;
                for guild in first..last {
                    rest.post("/guilds", &json!({ "name": format!("Guild {guild}") })).await;
                    bar.inc(1);
                }
            });
        }
        while let Some(made) = makers.join_next().await {
            made.context("a guild could not be made")?;
        }
        bar.finish();
        Ok(Self(tokens))
    }

    /// Connects them, to each gateway in turn, and waits until each has all of its guilds. They stay until this is dropped.
    pub(super) async fn connect(&self, cluster: &Cluster, starting: usize) -> anyhow::Result<JoinSet<()>> {
        let bar = progress::bar("sessions", self.0.len() as u64);
        let places = Arc::new(Semaphore::new(starting));
        let gateways = &cluster.demo.gateways;
        let mut starts = JoinSet::new();
        for (token, gateway) in self.0.iter().zip(gateways.iter().cycle()) {
            let (token, gateway, places) = (token.clone(), gateway.clone(), Arc::clone(&places));
            let bar = bar.clone();
            starts.spawn(async move {
                let _place = places.acquire().await;
                let client = GatewayClient::login(&gateway, &token, ALL_INTENTS).await;
                bar.inc(1);
                client
            });
        }
        let mut sessions = JoinSet::new();
        while let Some(client) = starts.join_next().await {
            sessions.spawn(stay(client.context("a session did not start")?));
        }
        bar.finish();
        ensure!(sessions.len() == self.0.len(), "{} of {} sessions started", sessions.len(), self.0.len());
        Ok(sessions)
    }
}

/// Beats as a library does, for ever.
async fn stay(mut client: GatewayClient) {
    loop {
        client.heartbeat().await;
        client.drain(BEAT).await;
    }
}

/// Well within the 41 s that HELLO says.
const BEAT: Duration = Duration::from_secs(20);
