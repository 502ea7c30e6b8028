//! The types for replication by operations.
//!
//! A replica that receives every operation exactly once, after everything its writer had observed, needs no tombstones
//! and no context beside the state: an operation removes what its [`Context`](isles_clock::Context) covers and adds
//! what it brings. Under that delivery these types converge, whatever the order of concurrent operations; without it
//! they do not, and the state-based types of the same names are the ones to use.
//!
//! An operation observes exactly the dots that its context covers, never its own. A local one has observed
//! [`Everything`](isles_clock::Everything) that its replica holds.
//!
//! | type | what it is | its operation |
//! |---|---|---|
//! | [`GCounter`], [`PnCounter`] | a sum | the amount |
//! | [`ResettableCounter`] = [`Ledger`] | a counter that can be reset, exact also when increments and resets are concurrent | a running total, or what is reset |
//! | [`Tally`] | the same, smaller, without a state-based form | the same |
//! | [`MvRegister`] = [`Cell`] | every value that no operation has observed; read as the latest, a last-writer-wins register | a value |
//! | [`EwFlag`] = [`Presence`] | the dots that make one thing present | up or down |
//! | [`DwFlag`] = [`Veto`] | the same, where removals win | up or down |
//! | [`AwSet`], [`RwSet`] = [`Set`] | one of the two for each element | an element |
//! | [`AwMap`] = [`Map`] | any of these under keys | an operation under a key |
//! | [`GSet`](crate::GSet), [`LwwRegister`](crate::LwwRegister), [`MaxRegister`](crate::MaxRegister), [`MinRegister`](crate::MinRegister) | state and operation-based form are the same type | the delta |
//!
//! ```
//! use isles_clock::{Dot, Everything, Hlc, ReplicaId, Stamp, VectorClock};
//! use isles_crdt::op::{AwSet, OpBased};
//! use isles_crdt::update::SetUpdate;
//!
//! let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
//! let at = |replica| Stamp::new(Hlc::ZERO, replica);
//! let (mut here, mut there) = (AwSet::new(), AwSet::new());
//!
//! let add = here.prepare(at(eu), SetUpdate::Add("apple")).expect("adding is always an operation");
//! here.effect(Dot::new(eu, 1), &Everything, add.clone());
//!
//! // Elsewhere it takes effect under the clock of its writer, which had seen nothing.
//! there.effect(Dot::new(eu, 1), &VectorClock::new(), add);
//! assert!(there.contains("apple"));
//! ```

mod bounded_counter;
mod cell;
mod counters;
pub(crate) mod hyper_log_log;
mod ledger;
mod ledger_dots;
pub(crate) mod list;
mod map;
mod map_dots;
mod nested;
mod op_based;
mod presence;
mod set;
pub(crate) mod sorted_set;
mod tally;
mod tally_crdt;
mod veto;

pub use self::bounded_counter::{BoundedCounter, BoundedCounterOp};
pub use self::cell::{Cell, CellOp, Version, Versions};
pub use self::counters::{GCounter, PnCounter};
pub use self::hyper_log_log::{HyperLogLog, HyperLogLogOp};
pub use self::ledger::{Addition, Ledger, LedgerOp};
pub use self::list::List;
pub use self::map::{Map, MapOp};
pub use self::nested::Nested;
pub use self::op_based::OpBased;
pub use self::presence::Presence;
pub use self::set::{Member, Set, SetOp};
pub use self::sorted_set::{SortedSet, SortedSetOp};
pub use self::tally::{Contribution, Increment, Reset, Tally};
pub use self::tally_crdt::TallyOp;
pub use self::veto::Veto;

/// A counter that can be reset.
pub type ResettableCounter = Ledger;
/// A register that keeps every value that no later write has observed.
pub type MvRegister<V> = Cell<V>;
/// A flag that is enabled if it was enabled and disabled concurrently.
pub type EwFlag = Presence;
/// A flag that is disabled if it was enabled and disabled concurrently.
pub type DwFlag = Veto;
/// A set in which a concurrent addition beats a removal.
pub type AwSet<T> = Set<T, Presence>;
/// A set in which a concurrent removal beats an addition.
pub type RwSet<T> = Set<T, Veto>;
/// A map in which a concurrent update beats a removal.
pub type AwMap<K, S> = Map<K, S>;
