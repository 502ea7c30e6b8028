//! Bounded counters: never below zero, though decremented in many regions.

use isles_clock::{ReplicaId, Stamp};
use isles_crdt::bounded_counter::BoundedCounterUpdate;
use isles_crdt::op::{BoundedCounterOp, OpBased};

use super::{Expiry, Txn, ValueType, WrongType, set_part};
use crate::op::{EscrowChange, EscrowPart, Part};
use crate::row::Row;

/// Why a bounded counter was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EscrowError {
    /// The key holds another type.
    #[error("key holds a value of another type")]
    WrongType,
    /// There is no such counter.
    #[error("no such counter")]
    Absent,
    /// This replica holds fewer rights than asked for. Have some transferred, and try again.
    #[error("this replica holds {held} rights, fewer than asked for")]
    NotEnoughRights {
        /// How many it holds.
        held: u64,
        /// Who holds how many, as far as is known here, those with the most first.
        holders: Vec<(ReplicaId, u64)>,
    },
    /// The value would not fit 63 bits.
    #[error("increment or decrement would overflow")]
    Overflow,
}

impl From<WrongType> for EscrowError {
    fn from(_: WrongType) -> Self {
        EscrowError::WrongType
    }
}

impl Txn<'_> {
    /// The value of a bounded counter as known here; none for an absent key.
    ///
    /// # Errors
    /// The key holds another type; so for all reads and writes of bounded counters.
    pub fn bounded(&mut self, key: &[u8]) -> Result<Option<i64>, WrongType> {
        let spot = self.spot(key);
        let row = self.typed(&spot, ValueType::BoundedCounter)?;
        let value = row.and_then(Row::escrow).map(|escrow| escrow.value());
        Ok(value.map(|value| i64::try_from(value).unwrap_or(i64::MAX)))
    }

    /// Who holds how many rights, those with the most first, as far as is known here; one's own number is exact. None
    /// for an absent key.
    ///
    /// # Errors
    /// As [`bounded`](Self::bounded).
    pub fn bounded_rights(
        &mut self,
        key: &[u8],
    ) -> Result<Option<Vec<(ReplicaId, u64)>>, WrongType> {
        let spot = self.spot(key);
        let row = self.typed(&spot, ValueType::BoundedCounter)?;
        Ok(row.and_then(Row::escrow).map(|escrow| escrow.all_rights()))
    }

    /// Adds to a counter, or creates it with so much, and returns its value. This replica holds the rights to what it
    /// adds.
    ///
    /// # Errors
    /// As [`bounded`](Self::bounded), and where the value would not fit 63 bits.
    pub fn bounded_increment(&mut self, key: &[u8], by: u64) -> Result<i64, EscrowError> {
        let value = self.bounded(key)?;
        let sum = i64::try_from(by)
            .ok()
            .and_then(|by| value.unwrap_or(0).checked_add(by))
            .ok_or(EscrowError::Overflow)?;
        let spot = self.spot(key);
        let first = self.visible(&spot).and_then(Row::escrow);
        let first = first.and_then(|escrow| escrow.counters().first());
        let change = match first {
            Some((dot, counter)) => {
                let update = BoundedCounterUpdate::Increment(by);
                let Some(change) = counter.prepare(self.own_stamp(), update) else {
                    return Ok(sum);
                };
                EscrowChange {
                    named: Some(*dot),
                    change: Some(change),
                }
            }
            None => EscrowChange {
                named: None,
                change: (by > 0).then_some(BoundedCounterOp::Granted(by)),
            },
        };
        self.change_bounded(key, [change].into_iter().collect());
        Ok(sum)
    }

    /// Takes away by rights that this replica holds, and returns the value.
    ///
    /// # Errors
    /// As [`bounded`](Self::bounded); there is no such counter, or not enough rights to it here.
    pub fn bounded_decrement(&mut self, key: &[u8], by: u64) -> Result<i64, EscrowError> {
        self.use_rights(key, by, BoundedCounterUpdate::Decrement)?;
        Ok(self.bounded(key)?.unwrap_or(0))
    }

    /// The rights that other replicas hold, as far as is known here, and may be using by now; zero for an absent key.
    ///
    /// # Errors
    /// As [`bounded`](Self::bounded).
    pub fn bounded_rights_elsewhere(&mut self, key: &[u8]) -> Result<u64, WrongType> {
        let own = self.replica.id();
        let all = self.bounded_rights(key)?.unwrap_or_default().into_iter();
        let others = all.filter(|(replica, _)| *replica != own);
        Ok(others.fold(0, |sum, (_, rights)| sum.saturating_add(rights)))
    }

    /// Hands rights that this replica holds to another one.
    ///
    /// # Errors
    /// As [`bounded_decrement`](Self::bounded_decrement).
    pub fn bounded_transfer(
        &mut self,
        key: &[u8],
        rights: u64,
        to: ReplicaId,
    ) -> Result<(), EscrowError> {
        self.use_rights(key, rights, |rights| BoundedCounterUpdate::Transfer {
            to,
            rights,
        })
    }

    /// Uses rights, of several counters of the key if one has not enough.
    fn use_rights(
        &mut self,
        key: &[u8],
        count: u64,
        update: impl Fn(u64) -> BoundedCounterUpdate,
    ) -> Result<(), EscrowError> {
        let spot = self.spot(key);
        let row = self.typed(&spot, ValueType::BoundedCounter)?;
        let escrow = row.and_then(Row::escrow).ok_or(EscrowError::Absent)?;
        let own = self.replica.id();
        let held = escrow.rights(own);
        if held < count {
            return Err(EscrowError::NotEnoughRights {
                held,
                holders: escrow.all_rights(),
            });
        }
        let (mut left, mut changes) = (count, EscrowPart::new());
        for (dot, counter) in escrow.counters() {
            let some = counter.rights(own).min(left);
            // Nothing comes of nothing, nor of a transfer to oneself.
            if let Some(change) = counter.prepare(self.own_stamp(), update(some)) {
                changes.push(EscrowChange {
                    named: Some(*dot),
                    change: Some(change),
                });
            }
            left -= some;
        }
        if !changes.is_empty() {
            self.change_bounded(key, changes);
        }
        Ok(())
    }

    fn change_bounded(&mut self, key: &[u8], mut changes: EscrowPart) {
        let spot = self.spot(key);
        let own = self.replica.next_dot();
        for change in &mut changes {
            // Nothing observes its own entry's dot: what this entry creates has no name in it.
            change.named = change.named.filter(|dot| *dot != own);
        }
        let counters = self.counters_if_hidden(&spot);
        let mut op = self.op(&spot, &counters);
        set_part(&mut op, Part::BoundedCounter(changes));
        self.write(&spot, &op);
    }

    fn own_stamp(&self) -> Stamp {
        Stamp::new(self.hlc, self.replica.id())
    }

    /// Writes a counter with this value over whatever is there; this replica holds the rights.
    pub fn set_bounded(&mut self, key: &[u8], value: u64, expiry: Expiry) {
        let spot = self.spot(key);
        let counters = self.counters(&spot);
        let change = EscrowChange {
            named: None,
            change: (value > 0).then_some(BoundedCounterOp::Granted(value)),
        };
        let part = Part::BoundedCounter([change].into_iter().collect());
        self.replace_with(&spot, &counters, part, expiry);
    }

    pub(super) fn copy_escrow(&mut self, from: &[u8], to: &[u8], expiry: Expiry) {
        let value = self.bounded(from).ok().flatten().unwrap_or(0);
        self.set_bounded(to, u64::try_from(value).unwrap_or(0), expiry);
    }
}
