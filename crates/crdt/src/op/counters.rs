//! Counters that are nothing but a sum, because every operation is counted exactly once.

use isles_clock::{Context, Dot, Stamp};
use serde::{Deserialize, Serialize};

use super::OpBased;
use crate::Crdt;

/// A counter that only grows: the operation is the amount, the state the sum. Both cost O(1).
///
/// ```text
/// eu: +2 ------->  5
/// us: +3 ------->
/// ```
///
/// Unlike what one replica counts in the state-based [`GCounter`](crate::GCounter), the sum does not stop at
/// [`u64::MAX`].
///
/// Shapiro et al., *A comprehensive study of Convergent and Commutative Replicated Data Types*, 2011, specification 5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GCounter {
    sum: u128,
}

/// A counter that goes up and down: the operation is the amount, the state the sum. Both cost O(1).
///
/// ```text
/// eu: +2 ------->  -1
/// us: -3 ------->
/// ```
///
/// Shapiro et al., *A comprehensive study of Convergent and Commutative Replicated Data Types*, 2011, specification 5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PnCounter {
    sum: i128,
}

impl Crdt for GCounter {
    type Update = u64;
    type Value = u128;

    fn value(&self) -> u128 {
        self.sum
    }
}

impl OpBased for GCounter {
    type Op = u64;

    fn prepare(&self, _: Stamp, by: u64) -> Option<u64> {
        (by > 0).then_some(by)
    }

    /// It would take 2^64 operations to reach the end of the sum, which wraps.
    fn effect(&mut self, _: Dot, _: &impl Context, by: u64) {
        self.sum = self.sum.wrapping_add(by.into());
    }
}

impl Crdt for PnCounter {
    type Update = i64;
    type Value = i128;

    fn value(&self) -> i128 {
        self.sum
    }
}

impl OpBased for PnCounter {
    type Op = i64;

    fn prepare(&self, _: Stamp, by: i64) -> Option<i64> {
        (by != 0).then_some(by)
    }

    /// It would take 2^64 operations to reach the end of the sum, which wraps.
    fn effect(&mut self, _: Dot, _: &impl Context, by: i64) {
        self.sum = self.sum.wrapping_add(by.into());
    }
}
