//! What a write of a document says of the differences that it makes.

use isles_clock::Context;
use isles_resolve::{Json, Sibling, Strategy, Sums, Writing};
use smallvec::SmallVec;

use super::strings::{Reader, integer_of};
use super::{Spot, Txn, WriteRefused};
use crate::op::{Blob, Part, SummedPart};
use crate::row::Row;

/// About how many bytes a difference takes, with its replica.
const DIFFERENCE_BYTES: usize = 64;

impl Txn<'_> {
    /// A write of the multi-value register that takes the place of what `context` covers; in a keyspace that adds up
    /// differences, with what that knows, and with what it adds.
    pub(super) fn mv_part<'v>(
        &self,
        spot: &Spot<'_>,
        value: &'v [u8],
        context: &impl Context,
    ) -> Result<Part<'v>, WriteRefused> {
        let value = Blob(value);
        match self.sums_of(spot, value.0, context)? {
            Some(sums) => Ok(Part::RegisterMvSummed(Box::new(SummedPart { value, sums }))),
            None => Ok(Part::RegisterMv { value }),
        }
    }

    fn sums_of(
        &self,
        spot: &Spot<'_>,
        value: &[u8],
        context: &impl Context,
    ) -> Result<Option<Sums>, WriteRefused> {
        if *self.replica.keyspaces.of(spot.key).1 != Strategy::JsonSum {
            return Ok(None);
        }
        // What the entry has deleted or hidden itself is no part of what its last write replaces.
        if self.visible(spot).and_then(Row::mv).is_none() {
            return Ok(None);
        }
        let now_ms = self.now_ms();
        let Some(row) = self.before(spot).filter(|row| row.is_visible(now_ms)) else {
            return Ok(None);
        };
        if counts(row, self.reader(spot.key)) {
            return Ok(None);
        }
        let observed = row.siblings().filter(|it| context.covers(it.dot));
        let observed: SmallVec<[Sibling<'_>; 2]> = observed.collect();
        let dot = self.replica.next_dot();
        let previous = row.summed().map_or(0, |it| it.newest_of(dot.replica));
        let json = Json::new().with_summed_numbers();
        json.sums_after(&observed, value, Writing { dot, previous })
            .map_err(WriteRefused::Differences)
    }
}

/// Whether readers see a number that was incremented. By how much a document differs from that is no difference of
/// documents alone: two writers that replace the same increments would both count them.
fn counts(row: &Row, reader: Reader<'_>) -> bool {
    let is_counting = row.tally().is_some_and(|tally| !tally.all_covered());
    is_counting && integer_of(row, reader).is_some()
}

/// About how many bytes such a part takes.
pub(super) fn bytes_of(part: &SummedPart<'_>) -> usize {
    part.value.0.len() + part.sums.memory_bytes() + DIFFERENCE_BYTES * part.sums.differences()
}
