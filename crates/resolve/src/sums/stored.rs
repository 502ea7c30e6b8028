//! The form in which states are stored and sent, drawn in `docs/format.md`; each replica is named once.

use isles_clock::ReplicaId;
use serde::{Deserialize, Serialize};

use super::{DIFFERENCES_MAX, Line, Number, Sums, Total};
use crate::amount::Amount;

#[derive(Serialize, Deserialize)]
pub(super) struct StoredSums {
    replicas: Vec<ReplicaId>,
    numbers: Vec<StoredNumber>,
}

#[derive(Serialize, Deserialize)]
struct StoredNumber {
    path: Box<str>,
    base: Amount,
    totals: Vec<StoredTotal>,
}

#[derive(Serialize, Deserialize)]
struct StoredTotal {
    /// Which of the replicas.
    replica: u32,
    since: u64,
    /// How much later the last write is.
    length: u64,
    amount: Amount,
}

impl From<Sums> for StoredSums {
    fn from(sums: Sums) -> Self {
        let totals = sums.numbers.iter().flat_map(|number| &number.totals);
        let mut replicas: Vec<ReplicaId> = totals.map(|total| total.line.replica).collect();
        replicas.sort_unstable();
        replicas.dedup();
        let stored = |total: Total| StoredTotal {
            replica: replicas.partition_point(|it| *it < total.line.replica) as u32,
            since: total.line.since,
            length: total.through - total.line.since,
            amount: total.amount,
        };
        let numbers = sums.numbers.into_iter().map(|number| StoredNumber {
            path: number.path,
            base: number.base,
            totals: number.totals.into_iter().map(stored).collect(),
        });
        let numbers = numbers.collect();
        Self { replicas, numbers }
    }
}

impl TryFrom<StoredSums> for Sums {
    type Error = &'static str;

    /// Refuses what is not in order, or more than there may be.
    fn try_from(stored: StoredSums) -> Result<Self, Self::Error> {
        let StoredSums { replicas, numbers } = stored;
        let numbers = numbers.into_iter().map(|number| {
            let totals = number.totals.into_iter();
            let totals = totals.map(|total| total.load(&replicas));
            let totals: Vec<Total> = totals.collect::<Result<_, _>>()?;
            let in_order = totals.is_sorted_by(|one, next| one.line < next.line);
            (in_order && !totals.is_empty())
                .then_some(Number {
                    path: number.path,
                    base: number.base,
                    totals,
                })
                .ok_or("the differences of a number are in order, and there are some")
        });
        let numbers: Vec<Number> = numbers.collect::<Result<_, Self::Error>>()?;
        if !numbers.is_sorted_by(|one, next| one.path < next.path) {
            return Err("numbers are in the order of their paths");
        }
        let sums = Self { numbers };
        match sums.differences() <= DIFFERENCES_MAX {
            true => Ok(sums),
            false => Err("a document remembers fewer differences"),
        }
    }
}

impl StoredTotal {
    fn load(self, replicas: &[ReplicaId]) -> Result<Total, &'static str> {
        let replica = replicas.get(self.replica as usize).copied();
        let through = self.since.checked_add(self.length);
        Ok(Total {
            line: Line {
                replica: replica.ok_or("a difference names a replica that is listed")?,
                since: self.since,
            },
            through: through.ok_or("a sequence is too large")?,
            amount: self.amount,
        })
    }
}
