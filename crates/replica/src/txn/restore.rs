//! Putting conflicts right: a lost write is written back, or an answer chosen, by an entry that has seen all of it and that
//! names the records it settles.

use std::ops::ControlFlow;

use isles_clock::Dot;
use isles_crdt::op::BoundedCounterOp;
use isles_crdt::sorted_set::Score;

use super::{
    AddIf, EscrowError, Expiry, ScoreIf, Spot, Txn, ValueType, WriteRefused, parse_integer,
    set_part,
};
use crate::conflict::{ConflictKind, Contender, Settled, Settling};
use crate::hyll;
use crate::journal::JournalRecord;
use crate::list;
use crate::op::{EscrowChange, KeyOp, Kind, Part, SketchPart};
use crate::rows::RESERVED_PREFIX;

/// Records that one entry names as settled by it; those beyond are settled as being overwritten.
pub const RESOLVES_MAX: usize = 1000;

/// How careful a restore is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreIf {
    /// Refuse where the key now holds another type, or would be gone at once.
    Same,
    /// Also where the conflict has been settled in any way: for working through many.
    Open,
    /// Take the place of whatever is there.
    Force,
}

/// What a restore has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreOutcome {
    /// The lost write is back, by this entry.
    Restored(Dot),
    /// Nothing, for this had settled the conflict.
    Settled(Settled),
}

/// An answer to a conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'v> {
    /// What this entry wrote.
    Dot(Dot),
    /// This value.
    Value(&'v [u8]),
}

/// Why a conflict cannot be put right in this way. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// The journal has no such record.
    #[error(
        "no record {id:032x} in this node's journal: it was dropped to keep within journal.bytes and journal.age_ms, or it is of \
         another node; list what there is"
    )]
    NoRecord {
        /// The id asked for.
        id: u128,
    },
    /// Only the first bytes of the value are kept.
    #[error(
        "only {kept_bytes} of {value_bytes} bytes of this value are kept in the journal, so it cannot be written back; the \
         application that wrote it may still have it"
    )]
    Truncated {
        /// Bytes kept.
        kept_bytes: usize,
        /// Bytes that were written.
        value_bytes: u64,
    },
    /// The key holds a value of another type.
    #[error("key now holds another type ({0:?}); to write over it, use FORCE")]
    OtherType(ValueType),
    /// There is nothing left that the value could be written to.
    #[error("what was lost belongs to {0}, which is gone")]
    Gone(&'static str),
    /// The deadline has passed.
    #[error("deadline {at_ms} has passed, so the key would go at once; to have it so, use FORCE")]
    Passed {
        /// The deadline, in milliseconds since 1970.
        at_ms: u64,
    },
    /// The key has expired.
    #[error(
        "key expired at {at_ms}, so it would come back without a deadline; to have it so, use FORCE"
    )]
    Expired {
        /// Its deadline, in milliseconds since 1970.
        at_ms: u64,
    },
    /// The key has expired, by a deadline that somebody set who had seen the one that lost.
    #[error(
        "key expired at {at_ms}, by a deadline that was set by somebody who knew the one that lost; to bring back what it held \
         then, use FORCE"
    )]
    ExpiredSince {
        /// Its deadline, in milliseconds since 1970.
        at_ms: u64,
    },
    /// Nothing was lost.
    #[error(
        "nothing is lost: the value is one of the key's siblings; to choose one, resolve the key, and to write this one over the \
         others, use FORCE"
    )]
    Sibling,
    /// What was lost is no value.
    #[error("a conflict of kind {kind} on {component} leaves nothing to write back: {hint}")]
    NoValue {
        /// What met what.
        kind: ConflictKind,
        /// Where.
        component: &'static str,
        /// What to do instead.
        hint: &'static str,
    },
    /// No contender or sibling has this dot.
    #[error(
        "no contender of this conflict was written by {0}; show the record, or the key's siblings, for their dots"
    )]
    NoContender(Dot),
    /// The key is not in conflict.
    #[error(
        "key has neither siblings nor open records of strings in this node's journal, so there is nothing to resolve"
    )]
    NoConflict,
    /// The key belongs to Isles.
    #[error(
        "key belongs to Isles: set what it stands for again, as with ISLES.KEYSPACE or FUNCTION LOAD"
    )]
    Reserved,
    /// The value does not fit what it would be written to.
    #[error("value is no {0}")]
    BadValue(&'static str),
    /// The transaction was refused before.
    #[error(transparent)]
    Write(#[from] WriteRefused),
    /// The bounded counter does not take the change.
    #[error("bounded counter refuses it: {0}")]
    Refused(#[from] EscrowError),
}

impl Txn<'_> {
    /// The node's journal. Notes that the answer depends on everything applied.
    pub fn journal(&mut self) -> &crate::Journal {
        self.barrier = self.barrier.max(self.replica.position());
        self.replica.conflicts()
    }

    /// Writes what lost a conflict back, as a write that has seen everything, and settles the record in every region.
    /// Needs [`Scope::Many`](super::Scope::Many).
    ///
    /// # Errors
    /// Nothing was written.
    pub fn restore_loser(
        &mut self,
        id: u128,
        how: RestoreIf,
    ) -> Result<RestoreOutcome, RestoreError> {
        let record = self.record(id)?;
        if let Some(settled) = record.settled()
            && (settled.how == Settling::Explicit || how == RestoreIf::Open)
            && (how != RestoreIf::Force || record.component == Some(Kind::BoundedCounter))
        {
            return Ok(RestoreOutcome::Settled(settled));
        }
        match record.kind {
            // Which of two types is meant, nobody decides for many keys at once.
            ConflictKind::Type if how != RestoreIf::Open => self.bring_to_light(&record)?,
            _ if how != RestoreIf::Force && self.is_sibling(&record) => {
                return Err(RestoreError::Sibling);
            }
            _ => {
                let value = whole(&record.loser)?.map(<[u8]>::to_vec);
                self.write_place(&record, value.as_deref(), how == RestoreIf::Force)?;
            }
        }
        self.resolves.push(id);
        Ok(RestoreOutcome::Restored(self.replica.next_dot()))
    }

    /// Writes an answer in the place that a record is about, and settles all open records about it in every region.
    /// Returns how many. Needs [`Scope::Many`](super::Scope::Many).
    ///
    /// # Errors
    /// Nothing was written.
    pub fn resolve_record(
        &mut self,
        id: u128,
        answer: Answer<'_>,
        how: RestoreIf,
    ) -> Result<usize, RestoreError> {
        let record = self.record(id)?;
        let value = match answer {
            Answer::Value(value) => Some(value.to_vec()),
            Answer::Dot(dot) => {
                let mut both = [&record.winner, &record.loser].into_iter();
                let chosen = both.find(|contender| contender.dot == dot);
                let chosen = chosen.ok_or(RestoreError::NoContender(dot))?;
                whole(chosen)?.map(<[u8]>::to_vec)
            }
        };
        self.write_place(&record, value.as_deref(), how == RestoreIf::Force)?;
        let same = |other: &JournalRecord| {
            (other.component, &other.field) == (record.component, &record.field)
        };
        let mut settled = self.open_records(&record.key, same);
        if !settled.contains(&id) {
            settled.push(id);
        }
        Ok(self.settle(settled))
    }

    /// Writes an answer over all siblings of a string, and settles all open records about it in every region. Returns how
    /// many. Needs [`Scope::Many`](super::Scope::Many).
    ///
    /// # Errors
    /// Nothing was written.
    pub fn resolve_key(
        &mut self,
        key: &[u8],
        answer: Answer<'_>,
        how: RestoreIf,
    ) -> Result<usize, RestoreError> {
        let siblings = self
            .siblings(key)
            .map_or(Vec::new(), |found| found.versions);
        let settled = self.open_records(key, |record| is_string(record.component));
        if settled.is_empty() && siblings.len() < 2 {
            return Err(RestoreError::NoConflict);
        }
        let value = match answer {
            Answer::Value(value) => Some(value.to_vec()),
            Answer::Dot(dot) => {
                let live = siblings.into_iter().find(|sibling| sibling.dot == dot);
                match live {
                    Some(sibling) => Some(sibling.value),
                    None => self.contender_of(key, dot)?,
                }
            }
        };
        if value.is_some() || self.value_type(key).is_some() {
            self.write_string(key, value.as_deref(), how == RestoreIf::Force)?;
        }
        Ok(self.settle(settled))
    }

    /// Whether what a record calls lost is still there beside what it lost to.
    fn is_sibling(&mut self, record: &JournalRecord) -> bool {
        let is_string = record.kept && record.component == Some(Kind::RegisterMv);
        is_string
            && self.siblings(&record.key).is_some_and(|found| {
                let is_there = |dot| found.versions.iter().any(|version| version.dot == dot);
                found.kind == Kind::RegisterMv
                    && found.versions.len() > 1
                    && is_there(record.loser.dot)
            })
    }

    fn record(&mut self, id: u128) -> Result<JournalRecord, RestoreError> {
        let record = self.journal().get(id).cloned();
        record.ok_or(RestoreError::NoRecord { id })
    }

    pub(super) fn open_records(
        &mut self,
        key: &[u8],
        is_meant: impl Fn(&JournalRecord) -> bool,
    ) -> Vec<u128> {
        let open = self
            .journal()
            .open_of(key)
            .filter(|record| is_meant(record));
        open.map(|record| record.id).collect()
    }

    /// What the open records about a string say that an entry wrote.
    fn contender_of(&mut self, key: &[u8], dot: Dot) -> Result<Option<Vec<u8>>, RestoreError> {
        let open = self.journal().open_of(key);
        // What a conflict of types shows of its contenders are types.
        let open =
            open.filter(|record| is_string(record.component) && record.kind != ConflictKind::Type);
        let mut contenders = open.flat_map(|record| [&record.winner, &record.loser]);
        let found = contenders.find(|contender| contender.dot == dot);
        let found = found.ok_or(RestoreError::NoContender(dot))?;
        Ok(whole(found)?.map(<[u8]>::to_vec))
    }

    pub(super) fn settle(&mut self, records: Vec<u128>) -> usize {
        let count = records.len();
        self.resolves.extend(records.into_iter().take(RESOLVES_MAX));
        count
    }

    /// Writes a value, or a deletion, in the place that a record is about.
    fn write_place(
        &mut self,
        record: &JournalRecord,
        value: Option<&[u8]>,
        force: bool,
    ) -> Result<(), RestoreError> {
        let key = &record.key[..];
        if key.starts_with(RESERVED_PREFIX) {
            return Err(RestoreError::Reserved);
        }
        let no_value = |hint| RestoreError::NoValue {
            kind: record.kind,
            component: record.component_name(),
            hint,
        };
        if record.kind == ConflictKind::Type {
            return Err(no_value(
                "both values are under the key: to restore this record alone takes the visible one away, and a write to the key keeps it",
            ));
        }
        let field = || {
            record
                .field
                .as_deref()
                .ok_or_else(|| no_value("it names no field"))
        };
        match record.component {
            None => self.write_deadline(record, value, force),
            Some(Kind::RegisterLww | Kind::RegisterMv) => self.write_string(key, value, force),
            Some(Kind::Map) => self.write_field(key, field()?, value, force),
            Some(Kind::SortedSet) => self.write_score(key, field()?, value, force),
            Some(Kind::List) => self.write_element(key, field()?, value),
            Some(Kind::Stream) => Err(no_value("both entries are in the stream")),
            Some(Kind::Counter) => Err(no_value(
                "the increments come back with an integer: SET one",
            )),
            Some(Kind::HyperLogLog) => self.write_sketch(key, value, force),
            Some(Kind::BoundedCounter) if value == Some(b"0") => Err(no_value(
                "the rights went with the counter that they were of: transfer some of the one that is there now",
            )),
            Some(Kind::BoundedCounter) => self.write_bounded(key, value, force),
            Some(_) => Err(no_value("its values merge")),
        }
    }

    fn write_string(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        force: bool,
    ) -> Result<(), RestoreError> {
        if key.starts_with(RESERVED_PREFIX) {
            return Err(RestoreError::Reserved);
        }
        self.make_way(key, ValueType::String, force)?;
        match value {
            Some(value) => self.set_string(key, value, Expiry::Keep),
            None => self.write_deletion(key)?,
        }
        Ok(())
    }

    fn write_field(
        &mut self,
        key: &[u8],
        field: &[u8],
        value: Option<&[u8]>,
        force: bool,
    ) -> Result<(), RestoreError> {
        self.make_way(key, ValueType::Hash, force)?;
        let written = match value {
            Some(value) => self.hash_put(key, &[(field, value)]),
            None => self.hash_remove(key, &[field]),
        };
        written.expect("what was in the way is gone");
        Ok(())
    }

    fn write_score(
        &mut self,
        key: &[u8],
        member: &[u8],
        value: Option<&[u8]>,
        force: bool,
    ) -> Result<(), RestoreError> {
        let score = value.map(|value| {
            let number = std::str::from_utf8(value).ok()?.parse::<f64>().ok()?;
            Score::try_from(number).ok()
        });
        let score = match score {
            Some(None) => return Err(RestoreError::BadValue("score")),
            Some(score) => score,
            None => None,
        };
        self.make_way(key, ValueType::SortedSet, force)?;
        match score {
            Some(score) => {
                let added =
                    self.sorted_set_add(key, &[(member, score)], AddIf::Always, ScoreIf::Any);
                added.expect("what was in the way is gone");
            }
            None => {
                let removed = self.sorted_set_remove(key, &[member]);
                removed.expect("what was in the way is gone");
            }
        }
        Ok(())
    }

    /// Counts what was lost along with what is there.
    fn write_sketch(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        force: bool,
    ) -> Result<(), RestoreError> {
        let Some(value) = value else {
            return self.write_deletion(key);
        };
        let lost = hyll::decode(value).map_err(|_| RestoreError::BadValue("HyperLogLog"))?;
        self.make_way(key, ValueType::HyperLogLog, force)?;
        let spot = self.spot(key);
        if self.is_free(&spot) {
            let part = SketchPart {
                named: None,
                sketch: lost,
            };
            self.add_to_nothing(&spot, Part::HyperLogLog(Box::new(part)));
            return Ok(());
        }
        let raised = self.sketch_join(key, &lost);
        raised.expect("what was in the way is gone");
        Ok(())
    }

    /// Adds to the counter that is there now what another one has lost, or takes it away by this node's rights.
    fn write_bounded(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        force: bool,
    ) -> Result<(), RestoreError> {
        let Some(value) = value else {
            return self.write_deletion(key);
        };
        let amount = parse_integer(value).ok_or(RestoreError::BadValue("integer"))?;
        self.make_way(key, ValueType::BoundedCounter, force)?;
        let by = amount.unsigned_abs();
        let spot = self.spot(key);
        if amount > 0 && self.is_free(&spot) {
            let change = EscrowChange {
                named: None,
                change: Some(BoundedCounterOp::Granted(by)),
            };
            self.add_to_nothing(&spot, Part::BoundedCounter([change].into_iter().collect()));
            return Ok(());
        }
        match amount < 0 {
            true => self.bounded_decrement(key, by)?,
            false => self.bounded_increment(key, by)?,
        };
        Ok(())
    }

    /// Whether there is nothing under a key, expired or not.
    fn is_free(&self, spot: &Spot<'_>) -> bool {
        let now_ms = self.now_ms();
        let row = self.row_at(spot);
        row.is_none_or(|row| !row.is_live() && !row.is_hidden(now_ms))
    }

    /// Brings back one of several losses. A write that creates the key would settle the other ones, as one in the place of
    /// all of them; this one only adds.
    fn add_to_nothing<'k>(&mut self, spot: &Spot<'k>, part: Part<'k>) {
        let mut op = KeyOp::new(spot.key);
        set_part(&mut op, part);
        self.write(spot, &op);
    }

    fn write_deletion(&mut self, key: &[u8]) -> Result<(), RestoreError> {
        match self.delete(key) {
            true => Ok(()),
            false => Err(RestoreError::Gone("a key")),
        }
    }

    fn write_element(
        &mut self,
        key: &[u8],
        name: &[u8],
        value: Option<&[u8]>,
    ) -> Result<(), RestoreError> {
        let spot = self.spot(key);
        let row = self.visible(&spot).and_then(crate::row::Row::list);
        let elements = row.into_iter().flat_map(|list| list.elements().elements());
        let mut index = None;
        let found = elements.enumerate().try_for_each(|(at, (position, _))| {
            if list::name_of(&position).as_bytes() == name {
                index = Some(at);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        debug_assert_eq!(found.is_break(), index.is_some());
        let index = index.ok_or(RestoreError::Gone("an element of a list"))?;
        let value = value.ok_or(RestoreError::BadValue("element"))?;
        let written = self.list_set(key, index, value);
        written.expect("the element was just found in a list");
        Ok(())
    }

    /// A key that the winner's deadline has hidden since is there again: its content waits for whoever knew better.
    fn write_deadline(
        &mut self,
        record: &JournalRecord,
        value: Option<&[u8]>,
        force: bool,
    ) -> Result<(), RestoreError> {
        let at_ms = value.map(|value| {
            let text = std::str::from_utf8(value).ok();
            let at_ms = text.and_then(|text| text.parse::<u64>().ok());
            at_ms.ok_or(RestoreError::BadValue(
                "deadline in milliseconds since 1970",
            ))
        });
        let at_ms = at_ms.transpose()?;
        if let Some(at_ms) = at_ms.filter(|at_ms| *at_ms <= self.now_ms() && !force) {
            return Err(RestoreError::Passed { at_ms });
        }
        let spot = self.spot(&record.key);
        let row = self.row_at(&spot).filter(|row| row.is_live());
        let deadline = row.ok_or(RestoreError::Gone("a key"))?.deadline;
        // Of an open record, whoever has set another deadline since has not seen the one that lost either.
        let is_decided = record.settled().is_some() && deadline.dot() != record.winner.dot;
        if deadline.at_ms <= self.now_ms() && is_decided && !force {
            let at_ms = deadline.at_ms;
            return Err(RestoreError::ExpiredSince { at_ms });
        }
        self.write_deadline_at(&spot, at_ms);
        Ok(())
    }

    /// Sees to it that a key is not expired and holds nothing of another type.
    fn make_way(&mut self, key: &[u8], wanted: ValueType, force: bool) -> Result<(), RestoreError> {
        let now_ms = self.now_ms();
        let spot = self.spot(key);
        let expired = self
            .row_at(&spot)
            .filter(|row| row.is_live() && row.is_hidden(now_ms));
        if let Some(at_ms) = expired.map(|row| row.deadline.at_ms).filter(|_| !force) {
            return Err(RestoreError::Expired { at_ms });
        }
        match self.value_type(key) {
            Some(other) if other != wanted && !force => Err(RestoreError::OtherType(other)),
            Some(other) if other != wanted => {
                self.delete(key);
                // What is refused has not made way.
                self.refused.map_or(Ok(()), |refused| Err(refused.into()))
            }
            _ => Ok(()),
        }
    }
}

fn is_string(component: Option<Kind>) -> bool {
    matches!(
        component,
        Some(Kind::RegisterLww | Kind::RegisterMv | Kind::Counter)
    )
}

/// What a contender wrote, if the journal has all of it; none for a deletion.
fn whole(contender: &Contender) -> Result<Option<&[u8]>, RestoreError> {
    match contender.is_truncated() {
        true => Err(RestoreError::Truncated {
            kept_bytes: contender.kept_bytes(),
            value_bytes: contender.value_bytes,
        }),
        false => Ok(contender.value.as_deref()),
    }
}
