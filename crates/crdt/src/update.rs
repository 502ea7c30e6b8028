//! What clients ask for: the updates of the types, the same for all forms of a type.
//!
//! Where one thing can be asked for, the update is just its argument: the amount for a [`GCounter`](crate::GCounter) or
//! [`PnCounter`](crate::PnCounter), the element for a [`GSet`](crate::GSet), the value for an
//! [`LwwRegister`](crate::LwwRegister), [`MaxRegister`](crate::MaxRegister) or [`MinRegister`](crate::MinRegister).

use serde::{Deserialize, Serialize};

pub use crate::bounded_counter::BoundedCounterUpdate;
pub use crate::hyper_log_log::HyperLogLogUpdate;
pub use crate::list::ListUpdate;
pub use crate::sorted_set::SortedSetUpdate;

/// What is asked of a counter that can be reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CounterUpdate {
    /// Add this, which may be negative.
    Add(i64),
    /// Take away everything observed here.
    Reset,
}

/// What is asked of a multi-value register.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RegisterUpdate<V> {
    /// Write this in the place of everything observed here.
    Write(V),
    /// Remove everything observed here.
    Clear,
}

/// What is asked of a set.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SetUpdate<T> {
    /// Add this element.
    Add(T),
    /// Remove this element.
    Remove(T),
    /// Remove every element that is here.
    Clear,
}

/// What is asked of a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FlagUpdate {
    /// Raise it.
    Enable,
    /// Lower it.
    Disable,
}

/// What is asked of a map: an update of what is under a key, or a removal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MapUpdate<K, U> {
    /// Update what is under the key, which starts empty.
    Update(K, U),
    /// Remove the key as far as it was observed here.
    Remove(K),
    /// Remove every key as far as it was observed here.
    Clear,
}
