//! What is shown of the wrapped streams: what lies above the base of the present incarnation, counted from 1.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use backplane::{Layout, Stream, StreamState};
use parking_lot::RwLock;
use tokio::sync::watch;

use super::dice::mix;

pub(super) struct View {
    state: RwLock<State>,
    generation: watch::Sender<u64>,
}

struct State {
    generation: u64,
    bases: HashMap<Stream, u64>,
}

/// The view of one stream at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    pub(super) generation: u64,
    base: u64,
}

impl View {
    pub(super) fn new(layout: Layout) -> Self {
        let guilds = layout.guild_partitions().map(Stream::Guilds);
        let users = layout.user_partitions().map(Stream::Users);
        let bases = guilds.chain(users).map(|stream| (stream, 0)).collect();
        Self { state: RwLock::new(State { generation: 0, bases }), generation: watch::Sender::new(0) }
    }

    pub(super) fn begin_anew(&self, bases: &[(Stream, u64)]) {
        let mut state = self.state.write();
        state.generation += 1;
        state.bases.extend(bases.iter().copied());
        self.generation.send_replace(state.generation);
    }

    /// Tells of each change of incarnation.
    pub(super) fn generations(&self) -> watch::Receiver<u64> {
        self.generation.subscribe()
    }

    pub(super) fn cut(&self, stream: Stream) -> Cut {
        let state = self.state.read();
        Cut { generation: state.generation, base: state.bases.get(&stream).copied().unwrap_or(0) }
    }

    pub(super) fn outer(&self, stream: Stream, sequence: u64) -> Option<u64> {
        self.cut(stream).outer(sequence)
    }

    /// The id that an event has inside: another in each incarnation, since none knows the ids of the one before.
    pub(super) fn event_id(&self, event_id: u64) -> u64 {
        match self.state.read().generation {
            0 => event_id,
            generation => mix(event_id ^ mix(generation)),
        }
    }
}

impl Cut {
    /// The sequence as it is shown; `None` when it belongs to an earlier incarnation.
    pub(super) fn outer(self, sequence: u64) -> Option<u64> {
        sequence.checked_sub(self.base).filter(|sequence| *sequence > 0)
    }

    pub(super) fn inner(self, sequence: u64) -> u64 {
        sequence.saturating_add(self.base)
    }

    pub(super) fn inner_range(self, range: &RangeInclusive<u64>) -> RangeInclusive<u64> {
        self.inner((*range.start()).max(1))..=self.inner(*range.end())
    }

    pub(super) fn state(self, state: StreamState) -> StreamState {
        let incarnation = match self.generation {
            0 => state.incarnation,
            generation => mix(state.incarnation ^ generation),
        };
        let first = self.outer(state.first).unwrap_or(1);
        StreamState { incarnation, first, last: self.outer(state.last).unwrap_or(0) }
    }
}
