//! One value; the last write wins.

use isles_clock::{Context, Dot, Hlc, Stamp};
use serde::{Deserialize, Deserializer, Serialize};

use crate::decode::{READING_MAX, is_reading};
use crate::op::OpBased;
use crate::{Crdt, DeltaState, Merge};

/// A register that holds the value with the greatest stamp, and forgets the others.
///
/// ```text
/// eu: write red at 10 --------->  blue
/// us: write blue at 20 -------->
/// ```
///
/// A stamp must name one write: a replica that writes twice takes two stamps, as
/// [`HybridClock`](isles_clock::HybridClock) does. Concurrent values are lost without a trace; where that matters, use
/// [`MvRegister`](crate::MvRegister), whose latest value is the same. Under the keys of a map a register of this kind
/// would lose values that a concurrent removal should have left (a removal takes the winner away, and the loser is
/// gone already), so there it is a [`Cell`](crate::op::Cell) too.
///
/// It is its own delta, the stamp is its context, and the operation-based form is the same type. Everything costs O(1).
///
/// Johnson and Thomas, *The maintenance of duplicate databases*, 1975 (RFC 677).
///
/// ```
/// use isles_clock::{Hlc, ReplicaId, Stamp};
/// use isles_crdt::{LwwRegister, Merge};
///
/// let stamp = |ms, replica| Stamp::new(Hlc::new(ms, 0), ReplicaId::from_u128(replica));
/// let (mut here, mut there) = (LwwRegister::new(), LwwRegister::new());
/// let _delta = here.write(stamp(10, 1), "red");
/// let _delta = there.write(stamp(20, 2), "blue");
/// here.merge(&there);
/// assert_eq!(here.get(), Some(&"blue"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct LwwRegister<V> {
    written: Option<(Stamp, V)>,
}

impl<V> LwwRegister<V> {
    /// A register that nobody has written.
    #[must_use]
    pub const fn new() -> Self {
        Self { written: None }
    }

    /// Writes `value` unless the present value has a greater stamp. The delta is the write in either case.
    ///
    /// A stamp later than [`READING_MAX`] counts as that one, so that there always is a later one: it then names more
    /// than one write, and [`mutate`](DeltaState::mutate), which looks for a later one, is the way to write.
    #[must_use = "a delta that is not sent leaves the other replicas behind"]
    pub fn write(&mut self, stamp: Stamp, value: V) -> Self
    where
        V: Clone,
    {
        let stamp = Stamp::new(stamp.hlc.min(READING_MAX), stamp.replica);
        self.put(stamp, value)
    }

    fn put(&mut self, stamp: Stamp, value: V) -> Self
    where
        V: Clone,
    {
        let delta = Self {
            written: Some((stamp, value)),
        };
        self.merge(&delta);
        delta
    }

    /// The value with the greatest stamp; `None` where nobody has written.
    pub const fn get(&self) -> Option<&V> {
        match &self.written {
            Some((_, value)) => Some(value),
            None => None,
        }
    }

    /// When it was written, and by whom.
    pub fn stamp(&self) -> Option<Stamp> {
        self.written.as_ref().map(|(stamp, _)| *stamp)
    }

    /// The value with the greatest stamp.
    pub fn into_inner(self) -> Option<V> {
        self.written.map(|(_, value)| value)
    }

    /// The stamp for a write made here: greater than that of what it replaces, whatever the clocks say.
    fn successor(&self, at: Stamp) -> Stamp {
        let least = self.stamp().map_or(Hlc::ZERO, |stamp| stamp.hlc.next());
        Stamp::new(at.hlc.min(READING_MAX).max(least), at.replica)
    }
}

impl<V> Default for LwwRegister<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V: Clone> Merge for LwwRegister<V> {
    fn merge(&mut self, other: &Self) {
        if other.stamp() > self.stamp() {
            self.clone_from(other);
        }
    }
}

impl<V: Clone> Crdt for LwwRegister<V> {
    type Update = V;
    type Value = Option<V>;

    fn value(&self) -> Option<V> {
        self.get().cloned()
    }
}

impl<V: Clone> DeltaState for LwwRegister<V> {
    type Delta = Self;
    type Context = Option<Stamp>;

    /// Writes with the stamp, or with a later one where the value here has a later one.
    fn mutate(&mut self, at: Stamp, value: V) -> Self {
        self.put(self.successor(at), value)
    }

    fn apply(&mut self, delta: &Self) {
        self.merge(delta);
    }

    fn context(&self) -> Option<Stamp> {
        self.stamp()
    }

    fn delta_since(&self, theirs: &Option<Stamp>) -> Self {
        if self.stamp() > *theirs {
            self.clone()
        } else {
            Self::new()
        }
    }
}

impl<V: Clone> OpBased for LwwRegister<V> {
    type Op = (Stamp, V);

    fn prepare(&self, at: Stamp, value: V) -> Option<(Stamp, V)> {
        Some((self.successor(at), value))
    }

    fn effect(&mut self, _: Dot, _: &impl Context, (stamp, value): (Stamp, V)) {
        // Beyond what is decoded no writer comes; whoever says so is ignored everywhere.
        if Some(stamp) > self.stamp() && is_reading(stamp.hlc) {
            self.written = Some((stamp, value));
        }
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for LwwRegister<V> {
    /// Refuses a stamp after which there is hardly another one.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Option::<(Stamp, V)>::deserialize(deserializer)?;
        match written {
            Some((stamp, _)) if !is_reading(stamp.hlc) => Err(serde::de::Error::custom(
                "a write has a reading that nobody reaches",
            )),
            written => Ok(Self { written }),
        }
    }
}
