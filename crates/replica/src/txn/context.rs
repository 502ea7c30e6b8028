//! Siblings, writes with a client's context, and keyspaces.

use isles_clock::{Dot, Stamp, VectorClock};

use super::strings::saturated;
use super::{Expiry, Txn, ValueType, type_of};
use crate::keyspace::Keyspaces;
use crate::lens::Lens;
use crate::op::{Blob, KeyOp, Kind, Part};

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
    /// Other writes are in the same transaction.
    #[error("a write with a context cannot be part of a transaction that writes anything else")]
    InTransaction,
}

impl Txn<'_> {
    /// The concurrent values of a register and the counter beside it; none if the key is absent or holds something else.
    pub fn siblings(&mut self, key: &[u8]) -> Option<Siblings> {
        let spot = self.spot(key);
        let row = self.visible(&spot)?;
        let counter = row
            .tally()
            .filter(|tally| !tally.all_covered())
            .map(|tally| saturated(tally.value()));
        let (kind, versions) = if let Some(cell) = row.mv().filter(|cell| !cell.is_empty()) {
            let versions = cell.versions().iter();
            let versions = versions.map(|v| SiblingVersion {
                value: v.value.to_vec(),
                dot: v.dot,
                stamp: v.stamp(),
            });
            (Kind::RegisterMv, versions.collect())
        } else if let Some((cell, value)) = row
            .lww()
            .and_then(|cell| Some((cell, cell.value.as_ref()?)))
        {
            let only = SiblingVersion {
                value: value.to_vec(),
                dot: cell.dot,
                stamp: cell.stamp(),
            };
            (Kind::RegisterLww, vec![only])
        } else {
            counter?;
            (Kind::Counter, Vec::new())
        };
        let mut context = VectorClock::new();
        versions
            .iter()
            .for_each(|version: &SiblingVersion| context.observe(version.dot));
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
        let mut op = KeyOp::new(key);
        op.parts.push(match self.register_kind(&spot) {
            Kind::RegisterMv => Part::RegisterMv { value: Blob(value) },
            _ => Part::RegisterLww {
                stamp: self.raised_lww(self.before(&spot)),
                value: Some(Blob(value)),
            },
        });
        self.context = Some(context.clone());
        self.write(&spot, &op);
        Ok(())
    }

    /// Defines how all keys with a prefix are kept and read, in every region. A module that is not loaded yet reads
    /// nothing: readers get the siblings as under `multi-value`.
    pub fn keyspace_set(&mut self, prefix: &[u8], lens: impl Into<Lens>) {
        let key = Keyspaces::definition_key(prefix);
        self.set_string(&key, lens.into().name().as_bytes(), Expiry::Keep);
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
            .map(|(prefix, lens)| (prefix.to_vec(), lens.clone()))
            .collect()
    }

    /// The prefix and the lens that hold for a key.
    pub fn keyspace_of(&self, key: &[u8]) -> (Vec<u8>, Lens) {
        let (prefix, lens) = self.replica.keyspaces.of(key);
        (prefix.to_vec(), lens.clone())
    }
}
