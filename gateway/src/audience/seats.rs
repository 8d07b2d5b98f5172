//! The sessions of one member on this shard. Nearly everybody has one, which takes no heap memory.

use model::Intents;

use super::SessionIndex;

/// A session of a member.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seat {
    pub(super) session: SessionIndex,
    pub(super) intents: Intents,
    /// Where it stands in its class, among those with the same intents.
    pub(super) place: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) enum Seats {
    #[default]
    None,
    One(Seat),
    /// In a box of its own, so that the others take half as much.
    Many(Box<Vec<Seat>>),
}

impl Seats {
    pub(super) fn as_slice(&self) -> &[Seat] {
        match self {
            Self::None => &[],
            Self::One(seat) => std::slice::from_ref(seat),
            Self::Many(seats) => seats,
        }
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [Seat] {
        match self {
            Self::None => &mut [],
            Self::One(seat) => std::slice::from_mut(seat),
            Self::Many(seats) => seats,
        }
    }

    pub(super) fn push(&mut self, seat: Seat) {
        match self {
            Self::None => *self = Self::One(seat),
            Self::One(first) => *self = Self::Many(Box::new(vec![*first, seat])),
            Self::Many(seats) => seats.push(seat),
        }
    }

    /// Takes out the seat of this session.
    pub(super) fn take(&mut self, session: SessionIndex) -> Option<Seat> {
        let at = self.as_slice().iter().position(|seat| seat.session == session)?;
        match self {
            Self::Many(seats) => {
                let seat = seats.swap_remove(at);
                if let [last] = seats[..] {
                    *self = Self::One(last);
                }
                Some(seat)
            }
            Self::None | Self::One(_) => match std::mem::take(self) {
                Self::One(seat) => Some(seat),
                Self::None | Self::Many(_) => None,
            },
        }
    }
}
