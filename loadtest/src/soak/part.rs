//! A process of a soak: it is told on its standard input what to do, a line of JSON each, and answers likewise.

use std::io::BufRead;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time;

use crate::receivers::{Crowd, Receivers};
use crate::report::Faults;
use crate::target::Target;
use crate::traffic;

/// What a process is told, behind the line that says who it connects to.
#[derive(Debug, Serialize, Deserialize)]
enum Order {
    /// So many members, from the first of them.
    Connect { first: usize, count: usize },
    /// Wait for what was acknowledged in each guild, and disconnect.
    Finish { orders: Vec<Vec<u32>> },
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Connected,
    Finished { faults: Faults },
    Failed { why: String },
}

/// A process from outside.
pub(super) struct Part {
    _child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Part {
    pub(super) async fn start(target: &Target) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("soak-part").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().context("start a process of this program")?;
        let orders = child.stdin.take().context("its input is piped")?;
        let answers = BufReader::new(child.stdout.take().context("its output is piped")?).lines();
        let mut part = Self { _child: child, orders, answers };
        part.say(target).await?;
        Ok(part)
    }

    pub(super) async fn connect(&mut self, first: usize, count: usize) -> anyhow::Result<()> {
        match self.ask(&Order::Connect { first, count }).await? {
            Answer::Connected => Ok(()),
            other => bail!("{other:?}"),
        }
    }

    pub(super) async fn finish(mut self, orders: &[Vec<u32>]) -> anyhow::Result<Faults> {
        match self.ask(&Order::Finish { orders: orders.to_vec() }).await? {
            Answer::Finished { faults } => Ok(faults),
            other => bail!("{other:?}"),
        }
    }

    async fn ask(&mut self, order: &Order) -> anyhow::Result<Answer> {
        self.say(order).await?;
        let answer = time::timeout(ANSWER_PATIENCE, self.answers.next_line()).await;
        let answer = answer.context("a process of the generator does not answer")??;
        let answer = answer.context("a process of the generator has ended; what it wrote says why")?;
        match serde_json::from_str(&answer)? {
            Answer::Failed { why } => bail!("{why}"),
            answer => Ok(answer),
        }
    }

    async fn say(&mut self, what: &impl Serialize) -> anyhow::Result<()> {
        let mut line = serde_json::to_string(what)?;
        line.push('\n');
        self.orders.write_all(line.as_bytes()).await.context("tell a process of the generator what to do")
    }
}

/// A process from inside, until its input ends.
pub async fn serve() -> anyhow::Result<()> {
    // Nothing else goes on in this thread: the connections have their own.
    let mut lines = std::io::stdin().lock().lines();
    let target = lines.next().context("no line says who to connect to")??;
    let target: Arc<Target> = Arc::new(serde_json::from_str(&target)?);
    let mut crowds = Vec::new();
    for line in lines {
        let answer = match serde_json::from_str(&line?)? {
            Order::Connect { first, count } => {
                let crowd = Crowd { first, ..Crowd::of(count, 1) };
                Receivers::connect(&target, crowd).await.map(|receivers| {
                    crowds.push(receivers);
                    Answer::Connected
                })
            }
            Order::Finish { orders } => finish(&target, std::mem::take(&mut crowds), &orders)
                .await
                .map(|faults| Answer::Finished { faults }),
        };
        let answer = answer.unwrap_or_else(|error| Answer::Failed { why: format!("{error:#}") });
        println!("{}", serde_json::to_string(&answer)?);
    }
    Ok(())
}

async fn finish(target: &Target, crowds: Vec<Receivers>, orders: &[Vec<u32>]) -> anyhow::Result<Faults> {
    for receivers in &crowds {
        let Crowd { first, count, .. } = receivers.crowd;
        let sizes = target.guild_sizes(first, count);
        let expected = orders.iter().zip(sizes).map(|(order, size)| order.len() * size).sum();
        traffic::settle(receivers, 0, expected, MESSAGE_PATIENCE).await;
    }
    let mut faults = Faults::default();
    for receivers in crowds {
        faults.connections_lost += receivers.counters.lost_connections.load(Ordering::Relaxed);
        let (mut received, journeys) = receivers.finish()?;
        let received = received.pop().context("a run was noted")?;
        faults = faults.and(received.faults(target, orders, &journeys));
    }
    Ok(faults)
}

/// For tens of thousands of connections to a busy server.
const ANSWER_PATIENCE: Duration = Duration::from_secs(1800);
const MESSAGE_PATIENCE: Duration = Duration::from_secs(60);
