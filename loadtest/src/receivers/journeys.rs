//! What receivers went through to be connected, and to be connected again.

use anyhow::Context;
use hdrhistogram::Histogram;

use super::histogram;

/// Of all receivers together.
#[derive(Debug, Clone)]
pub struct Journeys {
    /// Microseconds from the beginning until a receiver was there for the first time.
    pub came_us: Histogram<u64>,
    /// Microseconds from the end of a connection until its receiver was there again.
    pub away_us: Histogram<u64>,
    /// Attempts that were answered with 503.
    pub refused: usize,
    /// Attempts for which no library would have waited so long.
    pub late: usize,
    /// Attempts that found nobody, or were cut off.
    pub failed: usize,
    /// Connections that ended with a close or without one.
    pub closed: usize,
    /// Connections that did not answer a heartbeat.
    pub silent: usize,
    /// Op 7.
    pub told: usize,
    /// Op 9 `false`.
    pub invalid: usize,
    pub resumes: usize,
    /// New sessions in place of lost ones.
    pub identifies: usize,
    /// Returns to another gateway than before.
    pub elsewhere: usize,
    /// The numbers of members who had to begin a new session; what came while they were away they missed.
    pub anew: Vec<usize>,
}

impl Journeys {
    pub fn new() -> Self {
        Self {
            came_us: histogram(),
            away_us: histogram(),
            refused: 0,
            late: 0,
            failed: 0,
            closed: 0,
            silent: 0,
            told: 0,
            invalid: 0,
            resumes: 0,
            identifies: 0,
            elsewhere: 0,
            anew: Vec::new(),
        }
    }

    pub fn add(&mut self, other: Self) -> anyhow::Result<()> {
        self.came_us.add(other.came_us).context("add up the histograms")?;
        self.away_us.add(other.away_us).context("add up the histograms")?;
        self.refused += other.refused;
        self.late += other.late;
        self.failed += other.failed;
        self.closed += other.closed;
        self.silent += other.silent;
        self.told += other.told;
        self.invalid += other.invalid;
        self.resumes += other.resumes;
        self.identifies += other.identifies;
        self.elsewhere += other.elsewhere;
        self.anew.extend(other.anew);
        Ok(())
    }
}
