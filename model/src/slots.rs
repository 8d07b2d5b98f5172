//! Slots: which of 1,024 owners-to-be a channel, a guild or a user belongs to.
//!
//! The hash is persisted (outbox rows carry slots) and shared by every replica, so it never changes: the top
//! ten bits of the splitmix64 finalizer of the id. Snowflakes of one moment differ in their low bits only;
//! the finalizer spreads them evenly.
//!
//! Which replica is asked for a slot first is rendezvous hashing ([`replica_weight`]): every caller and every replica
//! comes to the same order of replicas without talking to anybody, and a replica that comes or goes moves only the slots
//! that it gets or had. It says whom to ask; who may write is said by leases alone.

use crate::limits::SLOTS_PER_SET;

/// What is hashed onto the slots of a set. The numbers are persisted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum SlotSet {
    /// Channels of guilds and private ones: their messages; owned by replicas of `messages`.
    Channels = 1,
    /// Guilds; owned by replicas of `guilds`.
    Guilds = 2,
    /// A user's own things: USER_UPDATE, and which private channels they have with users of higher ids.
    Users = 3,
}

/// Replicas of presence publish voice states and own no slots. As writers they are a set of their own, so that no epoch of
/// theirs is compared with one of the guilds' owners; each has its place among the replicas for a slot. The sets of slots are
/// numbered from 1.
pub const VOICE_WRITERS: u8 = 0;

/// One slot of a set, below 1,024.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u16);

// === impl SlotSet ===

impl SlotSet {
    /// All sets.
    pub const ALL: [Self; 3] = [Self::Channels, Self::Guilds, Self::Users];

    /// The number in keys.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The set with that number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|set| set.code() == code)
    }
}

// === impl Slot ===

impl Slot {
    /// The slot of a channel's, guild's or user's id.
    pub fn of(id: u64) -> Self {
        let bits = SLOTS_PER_SET.trailing_zeros();
        Self(u16::try_from(splitmix64(id) >> (64 - bits)).expect("ten bits fit in sixteen"))
    }

    /// The slot with that number; `None` from 1,024 on.
    pub const fn new(number: u16) -> Option<Self> {
        if number < SLOTS_PER_SET { Some(Self(number)) } else { None }
    }

    /// Its number.
    pub fn get(self) -> u16 {
        self.0
    }

    /// All slots of a set.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..SLOTS_PER_SET).map(Self)
    }
}

/// How much a replica is preferred for a slot: the one with the highest weight comes first. Replicas are known by a name
/// that all agree on, such as `10.0.0.7:9091`.
pub fn replica_weight(replica: &str, set: SlotSet, slot: Slot) -> u64 {
    // FNV-1a of the name; the finalizer below spreads names that differ in one digit.
    let name = replica.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    let place = u64::from(set.code()) << 16 | u64::from(slot.get());
    splitmix64(name ^ splitmix64(place))
}

fn splitmix64(id: u64) -> u64 {
    let mut z = id.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_is_the_published_splitmix64() {
        // First outputs of the reference generator seeded with 0 and with 1234567.
        assert_eq!(splitmix64(0), 0xe220_a839_7b1d_cdaf);
        assert_eq!(splitmix64(1_234_567), 6_457_827_717_110_365_317);
    }

    #[test]
    fn slots_of_ids_never_change() {
        let slots: Vec<u16> = [0, 1, 41_771_983_423_143_937, 175_928_847_299_117_063, u64::MAX]
            .map(|id| Slot::of(id).get())
            .into();
        assert_eq!(slots, [904, 580, 526, 942, 915]);
    }

    #[test]
    fn snowflakes_of_one_moment_spread_evenly() {
        let mut counts = vec![0_u32; usize::from(SLOTS_PER_SET)];
        for increment in 0..102_400_u64 {
            counts[usize::from(Slot::of((1_000_000_000_000 << 22) + increment).get())] += 1;
        }
        assert!(counts.iter().all(|&count| (50..=160).contains(&count)), "expected about 100 in each");
    }

    fn preferred<'a>(replicas: &[&'a str], slot: Slot) -> &'a str {
        replicas
            .iter()
            .max_by_key(|name| replica_weight(name, SlotSet::Channels, slot))
            .expect("there are replicas")
    }

    #[test]
    fn replicas_share_the_slots_evenly() {
        let replicas = ["10.0.0.1:9091", "10.0.0.2:9091", "10.0.0.3:9091", "10.0.0.4:9091"];
        for replica in replicas {
            let count = Slot::all().filter(|slot| preferred(&replicas, *slot) == replica).count();
            assert!((200..=312).contains(&count), "{replica} has {count} of 1,024, expected about 256");
        }
    }

    #[test]
    fn a_replica_that_goes_moves_its_own_slots_only() {
        let before = ["10.0.0.1:9091", "10.0.0.2:9091", "10.0.0.3:9091"];
        let after = &before[..2];
        for slot in Slot::all().filter(|slot| preferred(&before, *slot) != before[2]) {
            assert_eq!(preferred(&before, slot), preferred(after, slot));
        }
    }

    #[test]
    fn weights_never_change() {
        // Replicas of two versions run beside each other during an upgrade and have to agree.
        let slot = Slot::of(41_771_983_423_143_937);
        assert_eq!(replica_weight("10.0.0.1:9091", SlotSet::Channels, slot), 2_276_553_567_281_711_775);
        assert_eq!(
            replica_weight("messages-0.messages:9091", SlotSet::Users, slot),
            8_736_297_284_979_175_878
        );
    }

    #[test]
    fn sets_keep_their_codes() {
        assert_eq!(SlotSet::ALL.map(SlotSet::code), [1, 2, 3]);
        assert_eq!(SlotSet::from_code(2), Some(SlotSet::Guilds));
        assert_eq!(SlotSet::from_code(VOICE_WRITERS), None);
        assert_eq!(Slot::new(1_024), None);
    }
}
