//! Which rows a bucket has: an index that grows bucket by bucket, so that no insertion ever pays for all rows.

use super::RowId;

/// A row, and a part of its key's hash, by which it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    tag: u32,
    row: RowId,
}

/// Lists double up to here, and grow by about an eighth from here on.
const DOUBLING_MAX: usize = 32;
const ROOM_MIN: usize = 4;
/// The sizes of larger lists are multiples of this.
const ROOM_STEP: usize = 8;
/// Places that are compared at once: of a hundred rows per bucket nearly all are found so.
const NEAR: usize = 16;

/// The rows of one bucket.
#[derive(Debug, Default)]
pub(super) struct Places(
    // Invariant: sorted by tag.
    Vec<Place>,
);

/// The bits of the hash that follow those of the bucket.
#[inline]
fn tag_of(hash: u64) -> u32 {
    (hash >> 16) as u32
}

impl Places {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = RowId> {
        self.0.iter().map(|place| place.row)
    }

    /// The rows whose keys may have this hash; hardly ever more than one.
    #[inline]
    pub(super) fn find(&self, hash: u64) -> impl Iterator<Item = RowId> {
        let tag = tag_of(hash);
        let first = self.seen_near(tag).unwrap_or_else(|| self.first(tag));
        let places = self.0[first..].iter();
        places
            .take_while(move |place| place.tag == tag)
            .map(|place| place.row)
    }

    /// Reads where a search begins; see `warm.rs`.
    #[inline]
    pub(super) fn warm(&self, hash: u64) -> usize {
        let place = self.0.get(self.near(tag_of(hash)));
        place.map_or(0, |place| place.tag as usize)
    }

    /// Where the first place with this tag is, if it is near where it should be. All of them are compared and nothing is
    /// decided in between: a search that decides waits for memory at each step, and processors guess its steps wrongly.
    #[inline]
    fn seen_near(&self, tag: u32) -> Option<usize> {
        let last = self.0.len().saturating_sub(NEAR);
        let from = self.near(tag).saturating_sub(NEAR / 2).min(last);
        let seen = match self.0[from..].first_chunk::<NEAR>() {
            Some(places) => alike(places, tag),
            None => alike(&self.0[from..], tag),
        };
        let first = from + seen.trailing_zeros() as usize;
        // Where it is the first that is seen, those before it may have the same.
        (seen != 0 && (seen & 1 == 0 || from == 0)).then_some(first)
    }

    /// Where a tag should be, since tags are spread evenly.
    #[inline]
    fn near(&self, tag: u32) -> usize {
        ((u64::from(tag) * self.0.len() as u64) >> 32) as usize
    }

    pub(super) fn insert(&mut self, hash: u64, row: RowId) {
        if self.0.len() == self.0.capacity() {
            self.0.reserve_exact(room(self.0.len()));
        }
        let tag = tag_of(hash);
        self.0.insert(self.first(tag), Place { tag, row });
    }

    pub(super) fn remove(&mut self, hash: u64, row: RowId) {
        let first = self.first(tag_of(hash));
        let place = self.0[first..].iter().position(|place| place.row == row);
        if let Some(place) = place {
            self.0.remove(first + place);
        }
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
    }

    /// Gives a row another number.
    pub(super) fn renumber(&mut self, hash: u64, row: RowId, new: RowId) {
        let first = self.first(tag_of(hash));
        let place = self.0[first..].iter_mut().find(|place| place.row == row);
        place
            .expect("invariant: a row is in the list of its bucket")
            .row = new;
    }

    /// How many places have lesser tags. The search begins where this one should be, and goes on in steps that double.
    fn first(&self, tag: u32) -> usize {
        let is_less = |place: &Place| place.tag < tag;
        let len = self.0.len();
        let near = self.near(tag);
        let (mut from, mut to, mut step) = (near, near, 1);
        while from > 0 && !is_less(&self.0[from - 1]) {
            to = from;
            from = from.saturating_sub(step);
            step *= 2;
        }
        while to < len && is_less(&self.0[to]) {
            from = to + 1;
            to = (to + step).min(len);
            step *= 2;
        }
        from + self.0[from..to].partition_point(is_less)
    }
}

/// One bit for each of some places, of which there are [`NEAR`] at most, that has this tag.
#[inline]
fn alike(places: &[Place], tag: u32) -> u32 {
    let bits = places.iter().take(NEAR).enumerate();
    bits.fold(0, |bits, (number, place)| {
        bits | u32::from(place.tag == tag) << number
    })
}

/// How many places more than these there is to be room for.
///
/// There are few sizes, since lists live for long, and one list in a page of the allocator's is enough to keep the page,
/// however many boxes of rows that have come to rest since were beside it.
fn room(len: usize) -> usize {
    match len {
        0..DOUBLING_MAX => len.max(ROOM_MIN),
        _ => (len / 8).next_multiple_of(ROOM_STEP),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hash(tag: u32) -> u64 {
        u64::from(tag) << 16
    }

    proptest! {
        #[test]
        fn every_row_is_found_by_its_hash_alone(
            tags in prop::collection::vec(prop_oneof![any::<u32>(), 0..4u32, u32::MAX - 3..], 0..200),
            gone in any::<u64>(),
        ) {
            let mut places = Places::default();
            for (row, tag) in tags.iter().enumerate() {
                places.insert(hash(*tag), row as RowId);
            }
            let is_gone = |row: usize| gone >> (row % 64) & 1 == 1;
            for (row, tag) in tags.iter().enumerate().filter(|(row, _)| is_gone(*row)) {
                places.remove(hash(*tag), row as RowId);
            }
            let left: Vec<_> = tags.iter().enumerate().filter(|(row, _)| !is_gone(*row)).collect();
            prop_assert_eq!(places.len(), left.len());
            prop_assert!(places.0.is_sorted_by_key(|place| place.tag));
            for tag in &tags {
                let mut found: Vec<_> = places.find(hash(*tag)).map(|row| row as usize).collect();
                found.sort_unstable();
                let wanted: Vec<_> = left.iter().filter(|(_, other)| *other == tag).map(|(row, _)| *row).collect();
                prop_assert_eq!(found, wanted);
            }
        }
    }
}
