//! Strings: registers, counters, and integers that are both.

use std::borrow::Cow;

use isles_clock::{Context, Everything};
use isles_crdt::op::{Cell, Increment, Tally};
use isles_resolve::{Class, Resolution, Resolver, Sibling};
use smallvec::SmallVec;

use super::{Spot, Txn, ValueType, WrongType, set_part};
use crate::lens::Lens;
use crate::observer::timed;
use crate::op::{Blob, KeyOp, Kind, Part};
use crate::replica::Replica;
use crate::resolvers::{Answer, Resolvers};
use crate::row::{Component, Row, Tick};
use crate::rows::{RowId, hash_of};

/// What a write does to the deadline of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Leave it.
    Keep,
    /// Take it away.
    Clear,
    /// Set it, in milliseconds since 1970.
    At(u64),
}

/// Why a value cannot be incremented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IncrementError {
    /// The key holds another type.
    #[error("key holds a value of another type")]
    WrongType,
    /// The value is not a canonical 64-bit integer.
    #[error("value is not an integer or out of range")]
    NotAnInteger,
    /// The result would not fit 64 bits.
    #[error("increment or decrement would overflow")]
    Overflow,
}

impl From<WrongType> for IncrementError {
    fn from(_: WrongType) -> Self {
        IncrementError::WrongType
    }
}

impl Txn<'_> {
    /// The value of a string; for siblings, what the keyspace's strategy answers, or else the one with the greatest
    /// stamp. A sketch is read as the string that Redis would have.
    ///
    /// # Errors
    /// The key holds another type.
    pub fn string(&mut self, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>, WrongType> {
        let hash = hash_of(key);
        let id = self.replica.rows.find(key, hash);
        if let Some(id) = id
            && self.read_at_rest(id)
        {
            let value = self.replica.rows.string_at_rest(id);
            return Ok(value.map(|(_, value)| Cow::Borrowed(value)));
        }
        let spot = self.spot_at(key, hash, id);
        match self.typed(&spot, ValueType::String) {
            Ok(None) => return Ok(None),
            Ok(Some(_)) => {}
            Err(WrongType) => return self.sketch_string(&spot).map(|it| Some(Cow::Owned(it))),
        }
        self.depend_on_module(key);
        let reader = self.reader(key);
        Ok(self.row_at(&spot).map(|row| string_of(row, reader)))
    }

    /// Whether a row at rest can be read as it lies; then the answer depends on it, and it counts as used. To open it would
    /// take longer, and reading all keys would take more memory than having them.
    fn read_at_rest(&mut self, id: RowId) -> bool {
        let Some((position, _)) = self.replica.rows.string_at_rest(id) else {
            return false;
        };
        self.barrier = self.barrier.max(position);
        if !self.unnoticed {
            let now = Tick::at(self.hlc.wall_ms());
            self.replica.rows.used_at_rest(id, now);
        }
        true
    }

    /// The length of a string in bytes, zero for an absent key.
    ///
    /// # Errors
    /// The key holds another type.
    pub fn string_len(&mut self, key: &[u8]) -> Result<usize, WrongType> {
        Ok(self.string(key)?.map_or(0, |value| value.len()))
    }

    /// Writes a string over whatever is there.
    pub fn set_string(&mut self, key: &[u8], value: &[u8], expiry: Expiry) {
        let spot = self.spot(key);
        let counters = self.counters(&spot);
        let kind = self.register_kind(&spot);
        let mut op = self.string_op(&spot, kind, &counters);
        let before = self.before(&spot);
        let part = match kind {
            Kind::RegisterMv => match self.mv_part(&spot, value, &Everything) {
                Ok(part) => part,
                Err(refused) => {
                    self.refused.get_or_insert(refused);
                    return;
                }
            },
            _ => Part::RegisterLww {
                stamp: self.raised_lww(before),
                value: Some(Blob(value)),
            },
        };
        set_part(&mut op, part);
        let before = self.before(&spot);
        let current = self
            .row_at(&spot)
            .filter(|row| row.is_visible(self.now_ms()));
        let had_deadline = current
            .map(|row| row.deadline)
            .filter(|deadline| deadline.is_set());
        let cleared = op.base != crate::op::Base::Keep;
        let at_ms = match (expiry, had_deadline) {
            (Expiry::At(at_ms), _) => Some(Some(at_ms)),
            (Expiry::Keep, Some(deadline)) if cleared => Some(Some(deadline.at_ms)),
            // Said though there is none: a deadline that another region sets meanwhile is older or newer than this.
            (Expiry::Clear, _) if !cleared => Some(None),
            _ => None,
        };
        if let Some(at_ms) = at_ms {
            set_part(
                &mut op,
                Part::Deadline {
                    stamp: self.raised_deadline(before),
                    at_ms,
                },
            );
        }
        self.write(&spot, &op);
    }

    /// Adds to a counter, or to a string that holds an integer, and returns the sum.
    ///
    /// # Errors
    /// The value is no integer, or the sum would not fit 64 bits; nothing was written.
    pub fn increment(&mut self, key: &[u8], by: i64) -> Result<i64, IncrementError> {
        let spot = self.spot(key);
        self.depend_on_module(key);
        let reader = self.reader(key);
        let row = match self.typed(&spot, ValueType::String) {
            Err(WrongType) if self.typed(&spot, ValueType::HyperLogLog).is_ok() => {
                return Err(IncrementError::NotAnInteger);
            }
            row => row?,
        };
        let value = row
            .map_or(Some(0), |row| integer_of(row, reader))
            .ok_or(IncrementError::NotAnInteger)?;
        let sum = value.checked_add(by).ok_or(IncrementError::Overflow)?;
        let counters = self.counters_if_hidden(&spot);
        let mut op = self.op(&spot, &counters);
        let increment = self.next_increment(&spot, &op, by);
        set_part(&mut op, Part::Counter(increment));
        self.write(&spot, &op);
        Ok(sum)
    }

    /// What a module makes of siblings depends on the write that it came with.
    fn depend_on_module(&mut self, key: &[u8]) {
        if !self.replica.has_modules() {
            return;
        }
        if let Some(name) = self.replica.keyspaces.of(key).1.module() {
            let register = Resolvers::key(name);
            self.unnoticed_spot(&register);
        }
    }

    pub(super) fn reader<'o>(&'o self, key: &'o [u8]) -> Reader<'o> {
        Reader {
            replica: self.replica,
            key,
        }
    }

    fn next_increment(&self, spot: &Spot<'_>, op: &KeyOp<'_>, by: i64) -> Increment {
        let tally = self.row_at(spot).and_then(Row::tally);
        match tally.filter(|_| op.base == crate::op::Base::Keep) {
            Some(tally) => tally.next(self.replica.id(), i128::from(by)),
            None => Increment {
                total: i128::from(by),
                restart: true,
            },
        }
    }

    /// An op that a register write goes into: it clears the key only if something else than the register is there.
    fn string_op<'k>(
        &self,
        spot: &Spot<'k>,
        kind: Kind,
        counters: &'k super::Counters,
    ) -> KeyOp<'k> {
        let visible = self
            .row_at(spot)
            .filter(|row| row.is_visible(self.now_ms()));
        let only_register = visible.is_some_and(|row| {
            let mut others = row.components.iter().filter(|c| c.kind() != kind);
            others.all(Component::is_only_trail)
        });
        match only_register {
            true => KeyOp::new(spot.key),
            false => self.overwrite(spot, counters),
        }
    }

    /// The kind of register that a write of this key goes to: the one that it has, else the one that its keyspace says.
    pub(super) fn register_kind(&self, spot: &Spot<'_>) -> Kind {
        let visible = self
            .row_at(spot)
            .filter(|row| row.is_visible(self.now_ms()));
        let kind = visible
            .and_then(|row| row.components.iter().find(|c| c.is_live()))
            .map(|c| c.kind());
        match kind {
            Some(kind @ (Kind::RegisterLww | Kind::RegisterMv)) => kind,
            _ => match self.replica.keyspaces.of(spot.key).1.class() {
                Class::MultiValue => Kind::RegisterMv,
                _ => Kind::RegisterLww,
            },
        }
    }
}

/// Who reads which key.
#[derive(Clone, Copy)]
pub(super) struct Reader<'o> {
    replica: &'o Replica,
    key: &'o [u8],
}

impl Reader<'_> {
    /// What the keyspace's lens makes of siblings; none if the reader gets them all.
    fn resolve<'s>(&self, siblings: &[Sibling<'s>]) -> Option<Cow<'s, [u8]>> {
        let lens = self.replica.keyspaces.of(self.key).1;
        timed(self.replica.watch.observer(), lens, || match lens {
            Lens::BuiltIn(strategy) => match strategy.resolve(siblings) {
                Resolution::One { value, .. } => Some(value),
                _ => None,
            },
            Lens::Module(name) => {
                // The dot of an entry that is not complete goes to another if it never will be.
                let applied = self.replica.applied();
                let settled = siblings.iter().all(|sibling| applied.covers(sibling.dot));
                let resolvers = &self.replica.resolvers;
                match resolvers.answer(name, self.key, siblings, settled) {
                    Answer::Value(value) => Some(Cow::Owned(value.to_vec())),
                    Answer::Many | Answer::Failed(_) => None,
                }
            }
        })
    }
}

/// The bytes that readers see of a string.
pub(super) fn string_of<'r>(row: &'r Row, reader: Reader<'_>) -> Cow<'r, [u8]> {
    let register = register_of(row, reader);
    let tally = row.tally().filter(|tally| !tally.all_covered());
    match tally.and_then(|tally| sum_of(register.as_deref(), tally)) {
        Some(sum) => Cow::Owned(sum.to_string().into_bytes()),
        None => register.unwrap_or_default(),
    }
}

pub(super) fn integer_of(row: &Row, reader: Reader<'_>) -> Option<i64> {
    let register = register_of(row, reader);
    match row.tally() {
        Some(tally) => sum_of(register.as_deref(), tally),
        None => parse_integer(&register?),
    }
}

/// Register plus counter, saturated to 64 bits; none if the register holds something else than an integer.
pub(super) fn sum_of(register: Option<&[u8]>, tally: &Tally) -> Option<i64> {
    let register = register.map_or(Some(0), parse_integer)?;
    let sum = i128::from(register).saturating_add(tally.value());
    Some(saturated(sum))
}

/// The nearest number of 64 bits.
pub(super) fn saturated(sum: i128) -> i64 {
    sum.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

fn register_of<'r>(row: &'r Row, reader: Reader<'_>) -> Option<Cow<'r, [u8]>> {
    if let Some(value) = row.lww().and_then(|cell| cell.value.as_deref()) {
        return Some(Cow::Borrowed(value));
    }
    row.mv().and_then(|cell| answer_of(row, cell, reader))
}

/// What a strategy answers for the versions of a multi-value cell.
fn answer_of<'r>(
    row: &'r Row,
    cell: &'r Cell<Box<[u8]>>,
    reader: Reader<'_>,
) -> Option<Cow<'r, [u8]>> {
    let siblings: SmallVec<[Sibling<'_>; 2]> = match cell.versions() {
        [] => return None,
        [only] => return Some(Cow::Borrowed(&only.value)),
        _ => row.siblings().collect(),
    };
    let latest = || cell.latest().map(|version| Cow::Borrowed(&*version.value));
    reader.resolve(&siblings).or_else(latest)
}

/// Reads a canonical 64-bit decimal integer, as Redis's `string2ll`: no sign but minus, no leading zeros, no blanks.
pub(crate) fn parse_integer(bytes: &[u8]) -> Option<i64> {
    let digits = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let canonical = match digits {
        [b'0'] => bytes.len() == 1,
        [b'1'..=b'9', ..] => digits.len() <= 19,
        _ => false,
    };
    if !canonical {
        return None;
    }
    std::str::from_utf8(bytes).ok()?.parse().ok()
}
