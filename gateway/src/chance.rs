//! Where a gateway's chance comes from: the system, or in tests a seed, so that a run can be repeated.

/// Session ids and jitter.
pub(crate) enum Chance {
    System,
    #[cfg(test)]
    Seeded(parking_lot::Mutex<u64>),
}

impl Chance {
    /// A random number below `bound`.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        match self {
            Self::System => model::entropy::below(bound),
            #[cfg(test)]
            Self::Seeded(state) if bound > 0 => step(&mut state.lock()) % bound,
            #[cfg(test)]
            Self::Seeded(_) => 0,
        }
    }

    /// Random bytes, fit for what nobody may guess.
    pub(crate) fn bytes(&self) -> [u8; 16] {
        match self {
            Self::System => model::entropy::bytes(),
            #[cfg(test)]
            Self::Seeded(state) => {
                let mut state = state.lock();
                let (low, high) = (step(&mut state), step(&mut state));
                (u128::from(high) << 64 | u128::from(low)).to_le_bytes()
            }
        }
    }
}

/// SplitMix64.
#[cfg(test)]
fn step(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
