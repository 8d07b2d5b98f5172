//! `starling migrate`: the streams as they are configured. What is so already is left alone.

use anyhow::Context as _;
use backplane::nats::{self, Migrated};

use super::Report;
use crate::settings::Settings;

/// Makes and changes what has to be.
pub async fn migrate(settings: Settings) -> anyhow::Result<Report> {
    let config = settings.nats("starling-migrate");
    let Migrated { made, changed, incarnation } = nats::migrate(&config).await.context("migrate NATS")?;
    let count = config.layout.guild_partitions + config.layout.user_partitions;
    let what = match (made.len(), changed.len()) {
        (0, 0) => "as configured before".to_owned(),
        (made, changed) => format!("{made} made, {changed} changed"),
    };
    let text = format!("nats: {count} streams, {what}; incarnation {incarnation:016x}\n");
    Ok(Report { text, is_well: true })
}
