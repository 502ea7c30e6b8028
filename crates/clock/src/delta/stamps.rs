//! Stamps as the differences to those before them.

use alloc::vec::Vec;

use super::{DeltaError, read_replica, varint};
use crate::{Hlc, ReplicaId, Stamp};

/// So many replicas of a run have a place; what a table costs to search is bounded by it.
const PLACES_MAX: usize = 64;
const REPLICA_FOLLOWS: u64 = 1;
const COUNTER_FOLLOWS: u64 = 2;
const STEP_SHIFT: u32 = 2;

/// Appends `stamps`, as the differences to each other and to `base`, to `out`. Any stamps can be written in any order.
///
/// O(n); one or two bytes for each stamp that follows one of the same replica, and 17 more where a replica comes up for
/// the first time.
///
/// ```
/// use isles_clock::{Hlc, HybridClock, ReplicaId, Stamp, delta};
///
/// let eu = ReplicaId::from_u128(1);
/// let mut clock = HybridClock::new(Hlc::ZERO, 500);
/// let stamps: Vec<Stamp> = (0..1_000).map(|n| Stamp::new(clock.now(1_700_000_000_000 + n / 8), eu)).collect();
///
/// let (base, mut bytes) = (stamps[0].hlc, Vec::new());
/// delta::encode_stamps(&stamps, base, &mut bytes);
/// assert!(bytes.len() < 1_030);
/// assert_eq!(delta::decode_stamps(base, &mut bytes.as_slice(), 1_000), Ok(stamps));
/// ```
pub fn encode_stamps(stamps: &[Stamp], base: Hlc, out: &mut Vec<u8>) {
    varint::write(stamps.len() as u64, out);
    let mut before = base;
    let mut replicas = Replicas::default();
    for stamp in stamps {
        // Both are at most 48 bits, so neither the casts nor the difference lose anything.
        let step_ms = stamp.hlc.wall_ms() as i64 - before.wall_ms() as i64;
        let counter_follows = stamp.hlc.counter() != expected_counter(before, step_ms);
        let replica_follows = replicas.latest != Some(stamp.replica);
        let flags = u64::from(replica_follows) * REPLICA_FOLLOWS
            + u64::from(counter_follows) * COUNTER_FOLLOWS;
        varint::write(varint::zigzag(step_ms) << STEP_SHIFT | flags, out);
        if counter_follows {
            varint::write(u64::from(stamp.hlc.counter()), out);
        }
        if replica_follows {
            replicas.write(stamp.replica, out);
        }
        before = stamp.hlc;
    }
}

/// Takes a run of at most `stamps_max` stamps, written over `base`, off the front of `input`.
///
/// # Errors
/// See [`DeltaError`]; `input` has not moved then.
pub fn decode_stamps(
    base: Hlc,
    input: &mut &[u8],
    stamps_max: usize,
) -> Result<Vec<Stamp>, DeltaError> {
    let mut rest = *input;
    let count = usize::try_from(varint::read(&mut rest)?).unwrap_or(usize::MAX);
    if count > stamps_max {
        return Err(DeltaError::TooLong);
    }
    // A stamp takes a byte at least, which bounds what a made-up count can allocate.
    if count > rest.len() {
        return Err(DeltaError::Truncated);
    }
    let mut stamps = Vec::with_capacity(count);
    let mut before = base;
    let mut replicas = Replicas::default();
    for _ in 0..count {
        let step = varint::read(&mut rest)?;
        before = decode_reading(before, step, &mut rest)?;
        if step & REPLICA_FOLLOWS != 0 {
            replicas.read(&mut rest)?;
        }
        let replica = replicas.latest.ok_or(DeltaError::NotCanonical)?;
        stamps.push(Stamp::new(before, replica));
    }
    *input = rest;
    Ok(stamps)
}

fn decode_reading(before: Hlc, step: u64, input: &mut &[u8]) -> Result<Hlc, DeltaError> {
    let step_ms = varint::unzigzag(step >> STEP_SHIFT);
    let wall_ms = before.wall_ms().checked_add_signed(step_ms);
    let wall_ms = wall_ms.filter(|wall_ms| *wall_ms <= Hlc::MAX.wall_ms());
    let wall_ms = wall_ms.ok_or(DeltaError::WrongBase)?;
    let expected = expected_counter(before, step_ms);
    let counter = if step & COUNTER_FOLLOWS == 0 {
        expected
    } else {
        let counter = u16::try_from(varint::read(input)?);
        counter
            .ok()
            .filter(|counter| *counter != expected)
            .ok_or(DeltaError::NotCanonical)?
    };
    Ok(Hlc::new(wall_ms, counter))
}

/// The counter that a reading most likely has, `step_ms` after the one before.
const fn expected_counter(before: Hlc, step_ms: i64) -> u16 {
    if step_ms == 0 {
        before.counter().wrapping_add(1)
    } else {
        0
    }
}

/// The replicas of the run so far. The first ones have places, in the order in which they came up.
#[derive(Default)]
struct Replicas {
    placed: Vec<ReplicaId>,
    latest: Option<ReplicaId>,
}

impl Replicas {
    fn write(&mut self, replica: ReplicaId, out: &mut Vec<u8>) {
        let place = self.place(replica);
        varint::write(place.unwrap_or(self.placed.len()) as u64, out);
        if place.is_none() {
            out.extend_from_slice(replica.as_bytes());
        }
        self.follow(replica, place);
    }

    fn read(&mut self, input: &mut &[u8]) -> Result<(), DeltaError> {
        let place = usize::try_from(varint::read(input)?).ok();
        let place = place
            .filter(|place| *place <= self.placed.len())
            .ok_or(DeltaError::NotCanonical)?;
        let listed = self.placed.get(place).copied();
        let replica = match listed {
            Some(replica) => replica,
            None => read_replica(input)?,
        };
        let known =
            self.latest == Some(replica) || (listed.is_none() && self.place(replica).is_some());
        if known {
            return Err(DeltaError::NotCanonical);
        }
        self.follow(replica, listed.map(|_| place));
        Ok(())
    }

    fn place(&self, replica: ReplicaId) -> Option<usize> {
        self.placed.iter().position(|placed| *placed == replica)
    }

    fn follow(&mut self, replica: ReplicaId, place: Option<usize>) {
        if place.is_none() && self.placed.len() < PLACES_MAX {
            self.placed.push(replica);
        }
        self.latest = Some(replica);
    }
}
