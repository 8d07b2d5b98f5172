//! The floor: one prepared INSERT, again and again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use anyhow::Context;
use storage::cassandra::{Cassandra, Config, PreparedStatement, Schema, migrate};
use tokio::task::JoinSet;
use tokio::time::{self, Instant};

use crate::cli::ThroughputOptions;

/// A table as messages lie in.
const SCHEMA: Schema = Schema {
    name: "floor",
    steps: &[&["CREATE TABLE IF NOT EXISTS floor (
            channel_id bigint, bucket int, message_id bigint, value blob,
            PRIMARY KEY ((channel_id, bucket), message_id))
            WITH CLUSTERING ORDER BY (message_id DESC)"]],
};
const INSERT: &str = "INSERT INTO floor (channel_id, bucket, message_id, value) VALUES (?, ?, ?, ?)";
/// What the value of a message has beside its content.
const AROUND_CONTENT_BYTES: usize = 100;

/// The session and its statement.
pub(super) struct Inserts {
    cassandra: Arc<Cassandra>,
    insert: Arc<PreparedStatement>,
    next: Arc<AtomicI64>,
}

impl Inserts {
    /// In a keyspace of their own.
    pub(super) async fn prepare(address: &str) -> anyhow::Result<Self> {
        let keyspace = "starling_floor".to_owned();
        let config = Config { keyspace, ..Config::new(vec![address.to_owned()]) };
        migrate(&config, &[&SCHEMA]).await?;
        let cassandra = Cassandra::connect(&config, &[&SCHEMA]).await?;
        let insert = Arc::new(cassandra.prepare_write(INSERT).await?);
        Ok(Self { cassandra, insert, next: Arc::default() })
    }

    /// How many rows were written, in how many seconds.
    pub(super) async fn measure(&self, options: &ThroughputOptions) -> anyhow::Result<(usize, f64)> {
        let is_over = Arc::new(AtomicBool::new(false));
        let value = vec![b'x'; options.size + AROUND_CONTENT_BYTES];
        let started = Instant::now();
        let mut writers = JoinSet::new();
        for writer in 0..options.senders {
            let channel = i64::from(writer % options.channels);
            let (cassandra, insert, next) =
                (Arc::clone(&self.cassandra), Arc::clone(&self.insert), Arc::clone(&self.next));
            let (is_over, value) = (Arc::clone(&is_over), value.clone());
            writers.spawn(async move {
                let mut written = 0;
                while !is_over.load(Ordering::Relaxed) {
                    let id = next.fetch_add(1, Ordering::Relaxed);
                    cassandra.write(&insert, (channel, 0_i32, id, &value)).await?;
                    written += 1;
                }
                anyhow::Ok(written)
            });
        }
        time::sleep(Duration::from_secs(options.seconds)).await;
        is_over.store(true, Ordering::Relaxed);
        let mut written = 0;
        while let Some(count) = writers.join_next().await {
            written += count.context("a writer panicked")??;
        }
        Ok((written, started.elapsed().as_secs_f64()))
    }
}
