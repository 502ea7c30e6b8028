//! Registers that hold the greatest or the smallest value ever written.

use core::cmp::Ordering;

use isles_clock::{Context, Dot, Stamp};
use serde::{Deserialize, Serialize};

use crate::op::OpBased;
use crate::{Crdt, DeltaState, Merge};

macro_rules! extreme_register {
    ($(#[$doc:meta])* $name:ident, $wins:expr, $extreme:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name<V> {
            written: Option<V>,
        }

        impl<V: Ord + Clone> $name<V> {
            /// A register that nobody has written.
            #[must_use]
            pub const fn new() -> Self {
                Self { written: None }
            }

            #[doc = concat!("Writes `value`, which stays if it is the ", $extreme, " so far. The delta is the write.")]
            #[must_use = "a delta that is not sent leaves the other replicas behind"]
            pub fn write(&mut self, value: V) -> Self {
                let delta = Self { written: Some(value) };
                self.merge(&delta);
                delta
            }

            #[doc = concat!("The ", $extreme, " value ever written; `None` where nobody has written.")]
            pub const fn get(&self) -> Option<&V> {
                self.written.as_ref()
            }

            /// Whether a value would take the place of what is here.
            fn yields_to(&self, value: &V) -> bool {
                self.get().is_none_or(|here| value.cmp(here) == $wins)
            }
        }

        impl<V> Default for $name<V> {
            fn default() -> Self {
                Self { written: None }
            }
        }

        impl<V: Ord + Clone> Merge for $name<V> {
            fn merge(&mut self, other: &Self) {
                if other.get().is_some_and(|value| self.yields_to(value)) {
                    self.clone_from(other);
                }
            }
        }

        impl<V: Ord + Clone> Crdt for $name<V> {
            type Update = V;
            type Value = Option<V>;

            fn value(&self) -> Option<V> {
                self.written.clone()
            }
        }

        impl<V: Ord + Clone> DeltaState for $name<V> {
            type Delta = Self;
            type Context = Self;

            fn mutate(&mut self, _: Stamp, value: V) -> Self {
                self.write(value)
            }

            fn apply(&mut self, delta: &Self) {
                self.merge(delta);
            }

            fn context(&self) -> Self {
                self.clone()
            }

            fn delta_since(&self, theirs: &Self) -> Self {
                if self.get().is_some_and(|value| theirs.yields_to(value)) {
                    self.clone()
                } else {
                    Self::new()
                }
            }
        }

        impl<V: Ord + Clone> OpBased for $name<V> {
            type Op = V;

            fn prepare(&self, _: Stamp, value: V) -> Option<V> {
                self.yields_to(&value).then_some(value)
            }

            fn effect(&mut self, _: Dot, _: &impl Context, value: V) {
                if self.yields_to(&value) {
                    self.written = Some(value);
                }
            }
        }
    };
}

extreme_register! {
    /// A register that holds the greatest value ever written: a high score, a version in use.
    ///
    /// ```text
    /// eu: write 3 ------->  7
    /// us: write 7 ------->
    /// ```
    ///
    /// It is its own delta and context, and the operation-based form is the same type. Everything costs O(1).
    ///
    /// It is the join-semilattice of a total order: Baquero, Almeida, Cunha and Ferreira, *Composition in State-based
    /// Replicated Data Types*, 2017, section 3.
    ///
    /// ```
    /// use isles_crdt::{MaxRegister, Merge};
    ///
    /// let (mut here, mut there) = (MaxRegister::new(), MaxRegister::new());
    /// let _delta = here.write(3);
    /// let _delta = there.write(7);
    /// here.merge(&there);
    /// assert_eq!(here.get(), Some(&7));
    /// ```
    MaxRegister, Ordering::Greater, "greatest"
}

extreme_register! {
    /// A register that holds the smallest value ever written: a first sighting, a best price.
    ///
    /// ```text
    /// eu: write 3 ------->  3
    /// us: write 7 ------->
    /// ```
    ///
    /// In all else it is a [`MaxRegister`] of the reversed order.
    ///
    /// ```
    /// use isles_crdt::{MinRegister, Merge};
    ///
    /// let (mut here, mut there) = (MinRegister::new(), MinRegister::new());
    /// let _delta = here.write(3);
    /// let _delta = there.write(7);
    /// here.merge(&there);
    /// assert_eq!(here.get(), Some(&3));
    /// ```
    MinRegister, Ordering::Less, "smallest"
}
