//! How a set of siblings is written and read.

use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{DvvSet, Entry};
use crate::ReplicaId;

impl<V: Serialize> Serialize for DvvSet<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = self.entries.iter();
        serializer
            .collect_seq(entries.map(|entry| (entry.replica, entry.sequence, &entry.siblings)))
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for DvvSet<V> {
    /// Refuses what [`Serialize`] never writes: replicas out of order or twice, sequence 0, and more siblings than
    /// writes or than [`SIBLINGS_MAX`](DvvSet::SIBLINGS_MAX).
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(EntriesVisitor(PhantomData))
    }
}

struct EntriesVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for EntriesVisitor<V> {
    type Value = DvvSet<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a replica, a sequence above 0 and the last siblings, in the order of replicas")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<DvvSet<V>, A::Error> {
        let mut entries = Vec::<Entry<V>>::new();
        while let Some((replica, sequence, siblings)) =
            list.next_element::<(ReplicaId, u64, Siblings<V>)>()?
        {
            let Siblings(siblings) = siblings;
            if entries.last().is_some_and(|last| last.replica >= replica) {
                return Err(de::Error::custom("siblings list replicas out of order"));
            }
            if sequence == 0 || siblings.len() as u64 > sequence {
                return Err(de::Error::custom("there are more siblings than writes"));
            }
            entries.push(Entry {
                replica,
                sequence,
                siblings,
            });
        }
        Ok(DvvSet { entries })
    }
}

/// A list that is refused as soon as it is too long: values may take no bytes at all, so that a few bytes could
/// announce a list without end.
struct Siblings<V>(Vec<V>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Siblings<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(SiblingsVisitor(PhantomData))
    }
}

struct SiblingsVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for SiblingsVisitor<V> {
    type Value = Siblings<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {} values", DvvSet::<V>::SIBLINGS_MAX)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Siblings<V>, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            if values.len() == DvvSet::<V>::SIBLINGS_MAX {
                return Err(de::Error::invalid_length(values.len() + 1, &self));
            }
            values.push(value);
        }
        Ok(Siblings(values))
    }
}
