//! Siblings, writes with a client's context, and keyspaces.

use isles_clock::{Context, Dot, Stamp, VectorClock};
use isles_crdt::op::{Cell, Contribution, Reset, Tally};
use smallvec::SmallVec;

use super::strings::saturated;
use super::{Expiry, Txn, ValueType, WrongType, type_of};
use crate::keyspace::{Definition, Keyspaces, SetRule};
use crate::lens::Lens;
use crate::op::{Blob, KeyOp, Kind, Part};
use crate::row::{Component, Row};

/// All concurrent values of a register, and the context that a write which replaces them names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Siblings {
    /// The kind of the register.
    pub kind: Kind,
    /// What a client that read this has observed of the key.
    pub context: VectorClock,
    /// The values, by dot; none where the key is only a counter.
    pub versions: Vec<SiblingVersion>,
    /// What a counter beside the register adds to an integer, within 64 bits.
    pub counter: Option<i64>,
}

/// One of several concurrent values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiblingVersion {
    /// The value.
    pub value: Vec<u8>,
    /// The entry that wrote it.
    pub dot: Dot,
    /// When it was written, by its writer's hybrid clock.
    pub stamp: Stamp,
}

/// Why a write with a context is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContextError {
    /// The key holds another type.
    #[error("key holds a value of another type")]
    WrongType,
    /// The context names entries that have not arrived here.
    #[error(
        "context names writes that have not arrived in this region yet: retry, or read again here"
    )]
    Ahead,
    /// The key has been counted on since.
    #[error("the key has been incremented since it was read: read it again")]
    Counted,
    /// The key would have more siblings than the limit.
    #[error(
        "key '{key}' has {siblings} siblings that the context does not cover, and {limit} is the limit (siblings.max): read it and write what replaces them"
    )]
    TooManySiblings {
        /// The key, printable.
        key: String,
        /// Values that would stay beside the new one.
        siblings: usize,
        /// The limit.
        limit: usize,
    },
    /// Other writes are in the same transaction.
    #[error("a write with a context cannot be part of a transaction that writes anything else")]
    InTransaction,
}

/// Of a key that an error names so many bytes are shown.
const KEY_SHOWN_MAX: usize = 256;

/// What counts beside a register: what a reader with this context has seen of it whole, and the rest.
fn counted(row: Option<&Row>, context: &VectorClock) -> (SmallVec<[Reset; 1]>, Vec<Contribution>) {
    let all = row
        .and_then(Row::tally)
        .into_iter()
        .flat_map(Tally::uncovered);
    let (seen, unseen): (Vec<Contribution>, _) =
        all.copied().partition(|it| context.covers(it.dot()));
    (seen.iter().map(Contribution::as_reset).collect(), unseen)
}

impl Txn<'_> {
    /// The concurrent values of a register, or of both kinds of register, and the counter beside it; none if the key is absent
    /// or holds something else.
    pub fn siblings(&mut self, key: &[u8]) -> Option<Siblings> {
        let spot = self.spot(key);
        let row = self.visible(&spot)?;
        let counter = row
            .tally()
            .filter(|tally| !tally.all_covered())
            .map(|tally| saturated(tally.value()));
        let current = row.lww();
        let current = current.and_then(|cell| Some((cell, cell.value.as_ref()?)));
        let current = current.map(|(cell, value)| SiblingVersion {
            value: value.to_vec(),
            dot: cell.dot,
            stamp: cell.stamp(),
        });
        let kind = match (&current, row.mv().filter(|cell| !cell.is_empty())) {
            (Some(_), _) => Kind::RegisterLww,
            (None, Some(_)) => Kind::RegisterMv,
            (None, None) => counter.map(|_| Kind::Counter)?,
        };
        let versions = row.mv().map_or(&[][..], |cell| cell.versions()).iter();
        let versions = versions.map(|v| SiblingVersion {
            value: v.value.to_vec(),
            dot: v.dot,
            stamp: v.stamp(),
        });
        // Of two kinds of string the first is the one that readers see, and hides the others.
        let versions: Vec<SiblingVersion> = current.into_iter().chain(versions).collect();
        let mut context = VectorClock::new();
        versions
            .iter()
            .for_each(|version: &SiblingVersion| context.observe(version.dot));
        row.tally()
            .into_iter()
            .flat_map(Tally::uncovered)
            .for_each(|counted| context.observe(counted.dot()));
        Some(Siblings {
            kind,
            context,
            versions,
            counter,
        })
    }

    /// Writes a string that replaces what `context` covers and leaves the rest as siblings.
    ///
    /// # Errors
    /// Nothing was written.
    pub fn set_string_in_context(
        &mut self,
        key: &[u8],
        value: &[u8],
        context: &VectorClock,
    ) -> Result<(), ContextError> {
        let spot = self.spot(key);
        if !self.touched.is_empty() || self.written {
            return Err(ContextError::InTransaction);
        }
        if !self.replica.applied().dominates(context) {
            return Err(ContextError::Ahead);
        }
        let visible = self.visible(&spot).map(type_of);
        if visible.is_some_and(|value_type| value_type != Some(ValueType::String)) {
            return Err(ContextError::WrongType);
        }
        if visible.is_none() {
            // There is nothing for readers that could stay beside the value; what has expired must not come back.
            self.set_string(key, value, Expiry::Clear);
            return Ok(());
        }
        let row = self.before(&spot);
        let (seen, unseen) = counted(row, context);
        if unseen.iter().any(|it| context.get(it.replica) > 0) {
            // How much of it the client had seen is not known any more.
            return Err(ContextError::Counted);
        }
        self.check_siblings(key, row, context)?;
        let mut op = KeyOp::new(key);
        op.resets = seen;
        op.parts.push(match self.register_kind(&spot) {
            Kind::RegisterMv => match self.mv_part(&spot, value, context) {
                Ok(part) => part,
                Err(refused) => {
                    self.refused.get_or_insert(refused);
                    return Ok(());
                }
            },
            _ => Part::RegisterLww {
                stamp: self.raised_lww(row),
                value: Some(Blob(value)),
            },
        });
        self.context = Some(context.clone());
        self.write(&spot, &op);
        Ok(())
    }

    /// Writes a string if nobody has written, counted on or deleted it since the read that gave `context`; whether that was so.
    /// Exact on this node; a write that has not arrived here yet is concurrent, as with any other write.
    ///
    /// # Errors
    /// The key holds another type; nothing was written.
    pub fn compare_and_set_string(
        &mut self,
        key: &[u8],
        value: &[u8],
        context: &VectorClock,
    ) -> Result<bool, WrongType> {
        let spot = self.spot(key);
        self.typed(&spot, ValueType::String)?;
        let unchanged = self
            .siblings(key)
            .is_some_and(|siblings| siblings.context == *context);
        if unchanged {
            self.set_string(key, value, Expiry::Keep);
        }
        Ok(unchanged)
    }

    /// A write that leaves too many values beside itself is refused: nobody reads a thousand siblings.
    fn check_siblings(
        &self,
        key: &[u8],
        row: Option<&Row>,
        context: &VectorClock,
    ) -> Result<(), ContextError> {
        let versions = row.and_then(Row::mv).map_or(&[][..], Cell::versions);
        let left = versions.iter().filter(|it| !context.covers(it.dot)).count();
        let limit = self.replica.config.siblings_max;
        if left < limit {
            return Ok(());
        }
        Err(ContextError::TooManySiblings {
            key: key[..key.len().min(KEY_SHOWN_MAX)]
                .escape_ascii()
                .to_string(),
            siblings: left,
            limit,
        })
    }

    /// Defines how all keys with a prefix are kept and read, in every region. A module that is not loaded yet reads
    /// nothing: readers get the siblings as under `multi-value`. Sets are add-wins.
    pub fn keyspace_set(&mut self, prefix: &[u8], lens: impl Into<Lens>) {
        self.keyspace_define(prefix, lens, SetRule::AddWins);
    }

    /// The same with a rule for sets, which holds for those that are created from then on.
    pub fn keyspace_define(&mut self, prefix: &[u8], lens: impl Into<Lens>, sets: SetRule) {
        let key = Keyspaces::definition_key(prefix);
        let lens = lens.into();
        let definition = Definition { lens, sets }.to_string();
        self.set_string(&key, definition.as_bytes(), Expiry::Keep);
    }

    /// The rule that a set gets that is created under this key.
    pub fn set_rule_of(&self, key: &[u8]) -> SetRule {
        self.replica.keyspaces.sets_of(key)
    }

    /// Takes a definition away, in every region; whether there was one. Keys keep what they hold, siblings too.
    pub fn keyspace_delete(&mut self, prefix: &[u8]) -> bool {
        self.delete(&Keyspaces::definition_key(prefix))
    }

    /// The defined keyspaces, longest prefix first.
    pub fn keyspaces(&self) -> Vec<(Vec<u8>, Lens)> {
        self.replica
            .keyspaces
            .list()
            .iter()
            .map(|(prefix, definition)| (prefix.to_vec(), definition.lens.clone()))
            .collect()
    }

    /// What a key holds for readers, in order of precedence: more than one kind where it was created in two ways at once, or
    /// where increments met a number.
    pub fn kinds(&mut self, key: &[u8]) -> Vec<Kind> {
        let spot = self.spot(key);
        let live = self.visible(&spot).into_iter();
        let live = live.flat_map(|row| row.components.iter().filter(|it| it.is_live()));
        live.map(Component::kind).collect()
    }

    /// The prefix and the lens that hold for a key.
    pub fn keyspace_of(&self, key: &[u8]) -> (Vec<u8>, Lens) {
        let (prefix, lens) = self.replica.keyspaces.of(key);
        (prefix.to_vec(), lens.clone())
    }
}
