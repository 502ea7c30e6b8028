//! A clock as the difference to another one.

use alloc::vec::Vec;

use super::{DeltaError, read_replica, varint};
use crate::VectorClock;

/// Appends `clock`, as the difference to `base`, to `out`. Any clock can be written over any base.
///
/// O(n + m) in the numbers of replicas; one to three bytes where little changed, and 18 for each replica that the base
/// does not list.
///
/// ```
/// use isles_clock::{ReplicaId, VectorClock, delta};
///
/// let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
/// let base = VectorClock::from_iter([(eu, 7), (us, 300)]);
/// let mut clock = base.clone();
/// clock.next(us);
///
/// let mut bytes = Vec::new();
/// delta::encode_clock(&clock, &base, &mut bytes);
/// assert_eq!(bytes, [2, 2, 1]);
/// assert_eq!(delta::decode_clock(&base, &mut bytes.as_slice(), 64), Ok(clock));
/// ```
pub fn encode_clock(clock: &VectorClock, base: &VectorClock, out: &mut Vec<u8>) {
    let listed = || clock.pairs(base).filter(|(_, _, then)| *then > 0);
    let new = || clock.pairs(base).filter(|(_, _, then)| *then == 0);
    let changes = listed().filter(|(_, now, then)| now != then).count();
    let entries = new().count();
    varint::write((changes as u64) << 1 | u64::from(entries > 0), out);
    let mut skipped = 0;
    for (_, now, then) in listed() {
        if now == then {
            skipped += 1;
        } else {
            varint::write(skipped << 1 | u64::from(now < then), out);
            varint::write(now.abs_diff(then), out);
            skipped = 0;
        }
    }
    if entries > 0 {
        varint::write(entries as u64, out);
        for (replica, now, _) in new() {
            out.extend_from_slice(replica.as_bytes());
            varint::write(now, out);
        }
    }
}

/// Takes a clock of at most `replicas_max` replicas, written as the difference to `base`, off the front of `input`.
///
/// # Errors
/// See [`DeltaError`]; `input` has not moved then.
pub fn decode_clock(
    base: &VectorClock,
    input: &mut &[u8],
    replicas_max: usize,
) -> Result<VectorClock, DeltaError> {
    let mut rest = *input;
    let header = varint::read(&mut rest)?;
    let mut clock = decode_changes(base, header >> 1, &mut rest)?;
    if header & 1 == 1 {
        let room = replicas_max.saturating_sub(clock.len());
        clock.merge(&decode_entries(base, &mut rest, room)?);
    }
    if clock.len() > replicas_max {
        return Err(DeltaError::TooLong);
    }
    *input = rest;
    Ok(clock)
}

fn decode_changes(
    base: &VectorClock,
    changes: u64,
    input: &mut &[u8],
) -> Result<VectorClock, DeltaError> {
    let mut clock = VectorClock::new();
    let mut listed = base.iter();
    let mut keep = |replica, sequence| {
        let kept = sequence == 0 || clock.push(replica, sequence);
        debug_assert!(kept, "a base lists its replicas in order");
    };
    for _ in 0..changes {
        let place = varint::read(input)?;
        let step = varint::read(input)?;
        if step == 0 {
            return Err(DeltaError::NotCanonical);
        }
        let skipped = usize::try_from(place >> 1).unwrap_or(usize::MAX);
        if skipped >= listed.len() {
            return Err(DeltaError::WrongBase);
        }
        listed
            .by_ref()
            .take(skipped)
            .for_each(|(replica, sequence)| keep(replica, sequence));
        let (replica, then) = listed.next().ok_or(DeltaError::WrongBase)?;
        let now = if place & 1 == 1 {
            then.checked_sub(step)
        } else {
            then.checked_add(step)
        };
        keep(replica, now.ok_or(DeltaError::WrongBase)?);
    }
    listed.for_each(|(replica, sequence)| keep(replica, sequence));
    Ok(clock)
}

fn decode_entries(
    base: &VectorClock,
    input: &mut &[u8],
    room: usize,
) -> Result<VectorClock, DeltaError> {
    let entries = varint::read(input)?;
    if entries == 0 {
        return Err(DeltaError::NotCanonical);
    }
    if entries > room as u64 {
        return Err(DeltaError::TooLong);
    }
    let mut added = VectorClock::new();
    for _ in 0..entries {
        let (replica, sequence) = (read_replica(input)?, varint::read(input)?);
        if base.get(replica) > 0 || !added.push(replica, sequence) {
            return Err(DeltaError::NotCanonical);
        }
    }
    Ok(added)
}
