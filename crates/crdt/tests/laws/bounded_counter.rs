//! The bounded counter, held against the rights that everybody has.

use isles_clock::ReplicaId;
use isles_crdt::BoundedCounter;
use isles_crdt::update::BoundedCounterUpdate::{self, Decrement, Increment, Transfer};

use crate::laws;
use crate::oracle::{Event, Oracle};

/// Increments, and those decrements for which their writers had the rights.
pub(crate) struct Escrow;

impl Oracle for Escrow {
    type Update = BoundedCounterUpdate;
    type Value = u128;

    fn read(events: &[Event<BoundedCounterUpdate>]) -> Option<u128> {
        let amounts = events.iter().map(|event| match event.update {
            Increment(by) => i128::from(by),
            Decrement(by) if is_granted(events, event, by) => -i128::from(by),
            Decrement(_) | Transfer { .. } => 0,
        });
        let value: i128 = amounts.sum();
        Some(u128::try_from(value).expect("it is never below zero"))
    }
}

fn is_granted(
    events: &[Event<BoundedCounterUpdate>],
    event: &Event<BoundedCounterUpdate>,
    amount: u64,
) -> bool {
    let seen: Vec<_> = events
        .iter()
        .filter(|other| event.saw(other))
        .cloned()
        .collect();
    rights(&seen, event.at.replica) >= amount
}

fn rights(events: &[Event<BoundedCounterUpdate>], replica: ReplicaId) -> u64 {
    let change = |event: &Event<BoundedCounterUpdate>| {
        let own = event.at.replica == replica;
        match event.update {
            Increment(by) if own => i128::from(by),
            Decrement(by) if own && is_granted(events, event, by) => -i128::from(by),
            Transfer { to, rights } if is_granted(events, event, rights) => {
                i128::from(rights) * (i128::from(to == replica) - i128::from(own))
            }
            Increment(_) | Decrement(_) | Transfer { .. } => 0,
        }
    };
    let rights: i128 = events.iter().map(change).sum();
    u64::try_from(rights).expect("nobody uses what it does not have")
}

const SECOND: ReplicaId = ReplicaId::from_u128(2);
const THIRD: ReplicaId = ReplicaId::from_u128(3);

laws!(bounded_counter: Escrow, BoundedCounter, BoundedCounter, [
    Increment(3),
    Decrement(2),
    Transfer { to: SECOND, rights: 2 },
    Transfer { to: THIRD, rights: 1 },
    Decrement(1),
    Increment(0),
    Decrement(0),
]);
