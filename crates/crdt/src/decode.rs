//! Reading collections strictly: in order, nothing twice, and never trusting an announced length.
//!
//! How deep a value nests is said by its type, never by the bytes, so there is no depth to limit.

use alloc::vec::Vec;
use core::fmt;
use core::marker::PhantomData;

use isles_clock::{Dot, DotContext, Hlc};
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The most entries that a decoded collection may have.
pub const ENTRIES_MAX: usize = 1 << 26;

/// The greatest sequence that a decoded dot may have. It leaves 2^63 more, so that no context, however hostile, can
/// bring a replica to the end of its sequences.
pub const SEQUENCE_MAX: u64 = u64::MAX >> 1;

/// The greatest reading of a clock that an update takes, in the year 6429; a later one counts as this. It leaves half of
/// all readings for updates that must be later than what they replace.
pub const READING_MAX: Hlc = Hlc::from_u64(u64::MAX >> 1);

/// The greatest reading that is decoded: no replica comes there by its own writes, and after it there are 2^62 more.
const DECODED_READING_MAX: Hlc = Hlc::from_u64(u64::MAX - (u64::MAX >> 2));

/// Room made before the first entry is there; more comes with the entries.
const ENTRIES_RESERVED_MAX: usize = 256;

/// Reads a sequence whose keys must grow from each item to the next.
pub(crate) fn ascending<'de, D, X, K>(
    deserializer: D,
    key: impl Fn(&X) -> &K,
) -> Result<Vec<X>, D::Error>
where
    D: Deserializer<'de>,
    X: Deserialize<'de>,
    K: Ord + ?Sized,
{
    let visitor = Items {
        precedes: move |a: &X, b: &X| key(a) < key(b),
        items: PhantomData,
    };
    deserializer.deserialize_seq(visitor)
}

/// Reads pairs whose keys must grow from each to the next. Maps are written as pairs: keys need not be text in JSON then,
/// and their order is that of values, not that of texts.
pub(crate) fn ascending_pairs<'de, D, K, V>(deserializer: D) -> Result<Vec<(K, V)>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Ord,
    V: Deserialize<'de>,
{
    ascending(deserializer, |(key, _): &(K, V)| key)
}

/// Reads when a write was made.
pub(crate) fn reading<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Hlc, D::Error> {
    let reading = Hlc::deserialize(deserializer)?;
    if is_reading(reading) {
        Ok(reading)
    } else {
        Err(D::Error::custom(
            "a write has a reading that nobody reaches",
        ))
    }
}

pub(crate) fn is_reading(reading: Hlc) -> bool {
    reading <= DECODED_READING_MAX
}

/// Whether a dot can have been given to a write.
pub(crate) const fn is_valid(dot: Dot) -> bool {
    0 < dot.sequence && dot.sequence <= SEQUENCE_MAX
}

/// Whether every dot in the context can have been given to a write.
pub(crate) fn is_valid_context(context: &DotContext) -> bool {
    let through_clock = context.clock().iter().map(|(_, through)| through);
    let through_runs = context.runs().map(|(_, _, through)| through);
    through_clock
        .chain(through_runs)
        .all(|through| through <= SEQUENCE_MAX)
}

struct Items<X, F> {
    precedes: F,
    items: PhantomData<X>,
}

impl<'de, X: Deserialize<'de>, F: Fn(&X, &X) -> bool> Visitor<'de> for Items<X, F> {
    type Value = Vec<X>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence in ascending order")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<X>, A::Error> {
        let mut items = Vec::with_capacity(reserve(seq.size_hint()));
        while let Some(item) = seq.next_element()? {
            push(&mut items, item, &self.precedes)?;
        }
        Ok(items)
    }
}

fn reserve(announced: Option<usize>) -> usize {
    announced.unwrap_or(0).min(ENTRIES_RESERVED_MAX)
}

fn push<X, E: Error>(
    items: &mut Vec<X>,
    item: X,
    precedes: &impl Fn(&X, &X) -> bool,
) -> Result<(), E> {
    if items.last().is_some_and(|last| !precedes(last, &item)) {
        return Err(E::custom("entries are out of order, or one comes twice"));
    }
    if items.len() == ENTRIES_MAX {
        return Err(E::custom("a collection has too many entries"));
    }
    items.push(item);
    Ok(())
}
