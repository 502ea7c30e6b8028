//! Hashes: maps whose fields are values or counters.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::ControlFlow;

use isles_crdt::op::{Increment, Reset, Tally};
use smallvec::SmallVec;

use super::sets::each_present;
use super::strings::sum_of;
use super::{Expiry, IncrementError, Spot, Txn, ValueType, WrongType, set_part};
use crate::op::{Base, Blob, FieldPut, FieldRemoval, FieldTally, KeyOp, MapPart, Part};
use crate::row::{Field, FieldMap, Row};

/// A field and its value.
pub type FieldValue = (Vec<u8>, Vec<u8>);

/// Is called with each field and its value until it breaks.
pub type EachField<'e> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'e;

impl Txn<'_> {
    fn fields(&self, spot: &Spot<'_>) -> Result<Option<&FieldMap>, WrongType> {
        Ok(self.typed(spot, ValueType::Hash)?.and_then(Row::map))
    }

    /// Number of fields, zero for an absent key.
    ///
    /// # Errors
    /// The key holds another type; so for all reads and writes of hashes.
    pub fn hash_len(&mut self, key: &[u8]) -> Result<usize, WrongType> {
        let spot = self.spot(key);
        Ok(self.fields(&spot)?.map_or(0, |map| map.live))
    }

    /// The value of a field.
    ///
    /// # Errors
    /// As [`hash_len`](Self::hash_len).
    pub fn hash_get(
        &mut self,
        key: &[u8],
        field: &[u8],
    ) -> Result<Option<Cow<'_, [u8]>>, WrongType> {
        let spot = self.spot(key);
        let map = self.fields(&spot)?;
        Ok(map.and_then(|map| map.fields.get(field)).and_then(value_of))
    }

    /// Visits fields and values, in no particular order.
    ///
    /// # Errors
    /// As [`hash_len`](Self::hash_len).
    pub fn hash_each(&mut self, key: &[u8], each: &mut EachField<'_>) -> Result<(), WrongType> {
        let spot = self.spot(key);
        let map = self.fields(&spot)?;
        for (name, field) in map.into_iter().flat_map(|map| map.fields.iter()) {
            let Some(value) = value_of(field) else {
                continue;
            };
            if each(name, &value).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Visits fields from a cursor on; returns the next cursor, zero at the end.
    ///
    /// # Errors
    /// As [`hash_len`](Self::hash_len).
    pub fn hash_scan(
        &mut self,
        key: &[u8],
        cursor: u64,
        count: usize,
        each: &mut dyn FnMut(&[u8], &[u8]),
    ) -> Result<u64, WrongType> {
        let spot = self.spot(key);
        let Some(map) = self.fields(&spot)? else {
            return Ok(0);
        };
        Ok(map.fields.scan(cursor, count, &mut |name, field| {
            if let Some(value) = value_of(field) {
                each(name, &value);
            }
        }))
    }

    /// A field and its value, chosen by `random`.
    ///
    /// # Errors
    /// As [`hash_len`](Self::hash_len).
    pub fn hash_random(
        &mut self,
        key: &[u8],
        random: u64,
    ) -> Result<Option<FieldValue>, WrongType> {
        let spot = self.spot(key);
        let Some(map) = self.fields(&spot)? else {
            return Ok(None);
        };
        let owned =
            |(name, field): (&[u8], &Field)| Some((name.to_vec(), value_of(field)?.into_owned()));
        let chosen = map.fields.random(random).and_then(owned);
        Ok(chosen.or_else(|| map.fields.iter().find_map(owned)))
    }

    /// Writes fields; returns how many are new. The last of several values for one field counts.
    ///
    /// # Errors
    /// As [`hash_len`](Self::hash_len).
    pub fn hash_put(&mut self, key: &[u8], pairs: &[(&[u8], &[u8])]) -> Result<usize, WrongType> {
        let spot = self.spot(key);
        let map = self.fields(&spot)?;
        let is_new = |name: &[u8]| {
            map.and_then(|map| map.fields.get(name))
                .is_none_or(|field| !field.is_live())
        };
        let pairs = last_of_each(pairs);
        let new = pairs.iter().filter(|(name, _)| is_new(name)).count();
        if pairs.is_empty() {
            return Ok(0);
        }
        let counters = self.counters_if_hidden(&spot);
        let mut op = self.op(&spot, &counters);
        self.put_fields(&mut op, &spot, &pairs);
        self.write(&spot, &op);
        Ok(new)
    }

    fn put_fields<'k>(&self, op: &mut KeyOp<'k>, spot: &Spot<'_>, pairs: &[(&'k [u8], &'k [u8])]) {
        let put = pairs.iter().map(|(name, value)| FieldPut {
            field: Blob(name),
            value: Blob(value),
            resets: self.field_resets(spot, name),
        });
        match op
            .parts
            .iter_mut()
            .find(|part| matches!(part, Part::Map(_)))
        {
            Some(Part::Map(part)) => part.put.extend(put),
            _ => op.parts.push(Part::Map(Box::new(MapPart {
                put: put.collect(),
                ..MapPart::default()
            }))),
        }
    }

    /// The counter contributions of a field that a write or removal of this entry takes away.
    fn field_resets(&self, spot: &Spot<'_>, name: &[u8]) -> SmallVec<[Reset; 1]> {
        let field = self
            .before(spot)
            .and_then(Row::map)
            .and_then(|map| map.fields.get(name));
        field
            .and_then(|field| field.tally.as_deref())
            .map_or_else(SmallVec::new, Tally::resets)
    }

    /// Removes fields; returns how many were there.
    ///
    /// # Errors
    /// As [`hash_len`](Self::hash_len).
    pub fn hash_remove(&mut self, key: &[u8], fields: &[&[u8]]) -> Result<usize, WrongType> {
        let spot = self.spot(key);
        let Some(map) = self.fields(&spot)? else {
            return Ok(0);
        };
        let mut there = Vec::new();
        each_present(&map.fields, fields, Field::is_live, |name| there.push(name));
        if there.is_empty() {
            return Ok(0);
        }
        let removed = there.len();
        let remove = there.into_iter().map(|name| FieldRemoval {
            field: Blob(name),
            resets: self.field_resets(&spot, name),
        });
        let remove = remove.collect();
        let mut op = KeyOp::new(key);
        op.parts.push(Part::Map(Box::new(MapPart {
            remove,
            ..MapPart::default()
        })));
        self.write(&spot, &op);
        Ok(removed)
    }

    /// Adds to a field and returns the sum.
    ///
    /// # Errors
    /// The value is no integer, or the sum would not fit 64 bits; nothing was written.
    pub fn hash_increment(
        &mut self,
        key: &[u8],
        name: &[u8],
        by: i64,
    ) -> Result<i64, IncrementError> {
        let spot = self.spot(key);
        let field = self
            .fields(&spot)?
            .and_then(|map| map.fields.get(name))
            .filter(|field| field.is_live());
        let value = field
            .map_or(Some(0), integer_of)
            .ok_or(IncrementError::NotAnInteger)?;
        let sum = value.checked_add(by).ok_or(IncrementError::Overflow)?;
        let counters = self.counters_if_hidden(&spot);
        let mut op = self.op(&spot, &counters);
        let tally = self.next_field_increment(&spot, name, op.base, by);
        let add = FieldTally {
            field: Blob(name),
            tally,
        };
        match op
            .parts
            .iter_mut()
            .find(|part| matches!(part, Part::Map(_)))
        {
            Some(Part::Map(part)) => part.add.push(add),
            _ => op.parts.push(Part::Map(Box::new(MapPart {
                add: [add].into_iter().collect(),
                ..MapPart::default()
            }))),
        }
        self.write(&spot, &op);
        Ok(sum)
    }

    fn next_field_increment(&self, spot: &Spot<'_>, name: &[u8], base: Base, by: i64) -> Increment {
        let field = self
            .row_at(spot)
            .and_then(Row::map)
            .and_then(|map| map.fields.get(name));
        match field
            .and_then(|field| field.tally.as_ref())
            .filter(|_| base == Base::Keep)
        {
            Some(tally) => tally.next(self.replica.id(), i128::from(by)),
            None => Increment {
                total: i128::from(by),
                restart: true,
            },
        }
    }

    pub(super) fn replace_hash(&mut self, key: &[u8], pairs: &[(&[u8], &[u8])], expiry: Expiry) {
        let spot = self.spot(key);
        let counters = self.counters(&spot);
        let mut op = self.overwrite(&spot, &counters);
        self.put_fields(&mut op, &spot, pairs);
        if let Expiry::At(at_ms) = expiry {
            let stamp = self.raised_deadline(self.before(&spot));
            set_part(
                &mut op,
                Part::Deadline {
                    stamp,
                    at_ms: Some(at_ms),
                },
            );
        }
        self.write(&spot, &op);
    }
}

/// The bytes that readers see of a field: of concurrent values the one with the greatest stamp.
fn value_of(field: &Field) -> Option<Cow<'_, [u8]>> {
    let value = latest_of(field);
    match field.tally.as_ref().filter(|tally| !tally.all_covered()) {
        None => value.map(Cow::Borrowed),
        Some(tally) => match sum_of(value, tally) {
            Some(sum) => Some(Cow::Owned(sum.to_string().into_bytes())),
            None => value.map(Cow::Borrowed),
        },
    }
}

fn latest_of(field: &Field) -> Option<&[u8]> {
    field.cell.latest().map(|version| &*version.value)
}

fn integer_of(field: &Field) -> Option<i64> {
    let value = latest_of(field);
    match &field.tally {
        Some(tally) => sum_of(value, tally),
        None => super::strings::parse_integer(value?),
    }
}

fn last_of_each<'a>(pairs: &[(&'a [u8], &'a [u8])]) -> Vec<(&'a [u8], &'a [u8])> {
    if pairs.len() < 2 {
        return pairs.to_vec();
    }
    let mut places: HashMap<&[u8], usize> = HashMap::with_capacity(pairs.len());
    let mut last: Vec<(&[u8], &[u8])> = Vec::with_capacity(pairs.len());
    for &(name, value) in pairs {
        match places.get(name) {
            Some(place) => last[*place] = (name, value),
            None => {
                places.insert(name, last.len());
                last.push((name, value));
            }
        }
    }
    last
}
