//! `starling migrate`: streams, and tables where the settings name Cassandra, as they are configured. What is so already is
//! left alone.

use anyhow::Context as _;
use backplane::nats;
use storage::cassandra;

use super::Report;
use crate::server::SCHEMAS;
use crate::settings::Settings;

/// Makes and changes what has to be.
pub async fn migrate(settings: Settings) -> anyhow::Result<Report> {
    let mut text = of_nats(&settings.nats("starling-migrate")).await?;
    if let Some(config) = settings.cassandra() {
        text += &of_cassandra(&config).await?;
    }
    Ok(Report { text, is_well: true })
}

async fn of_nats(config: &nats::Config) -> anyhow::Result<String> {
    let nats::Migrated { made, changed, incarnation } =
        nats::migrate(config).await.context("migrate NATS")?;
    let count = config.layout.guild_partitions + config.layout.user_partitions;
    let what = match (made.len(), changed.len()) {
        (0, 0) => AS_BEFORE.to_owned(),
        (made, changed) => format!("{made} made, {changed} changed"),
    };
    Ok(format!("nats: {count} streams, {what}; incarnation {incarnation:016x}\n"))
}

async fn of_cassandra(config: &cassandra::Config) -> anyhow::Result<String> {
    let cassandra::Migrated { made_keyspace, changed_replication, applied } =
        cassandra::migrate(config, &SCHEMAS).await.context("migrate Cassandra")?;
    let mut done: Vec<String> = applied.iter().map(|(name, step)| format!("{name} {step}")).collect();
    if made_keyspace {
        done.insert(0, "made".to_owned());
    }
    if changed_replication {
        done.push("replication changed: repair every node now (`nodetool repair --full`)".to_owned());
    }
    let what = if done.is_empty() { AS_BEFORE.to_owned() } else { done.join(", ") };
    Ok(format!("cassandra: keyspace {}, {what}\n", config.keyspace))
}

const AS_BEFORE: &str = "as configured before";
