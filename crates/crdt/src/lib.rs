#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! In reading order:
//!
//! * `merge`, `crdt`, `delta`: [`Merge`], [`Crdt`] and [`DeltaState`], the traits and their laws; [`op::OpBased`] is the
//!   fourth. [`update`] has what clients ask for.
//! * `g_counter`, `pn_counter`, `resettable_counter`: counting.
//! * `lww_register`, `extreme_registers`, `mv_register`: one value, or all concurrent ones.
//! * `flags`, `g_set`, `aw_set`, `rw_set`: presence.
//! * `aw_map`: any of these under keys.
//! * [`list`]: [`List`], where what is inserted together stays together.
//! * [`bounded_counter`]: [`BoundedCounter`], never below zero though decremented in many places.
//! * [`hyper_log_log`]: [`HyperLogLog`], how many different things were seen.
//! * [`sorted_set`]: [`SortedSet`], members in the order of their scores.
//! * [`counted_tree`]: the sequence under lists and sorted sets, for whoever keeps an order beside something else.
//! * [`op`]: the operation-based types, which are the stores of the state-based ones.
//! * [`dots`], `causal`: how such a store and a context make a state: [`Causal`] and [`Delta`].
//! * [`decode`]: what a decoder refuses.

#![no_std]
#![deny(missing_docs)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod aw_map;
mod aw_set;
pub mod bounded_counter;
mod causal;
pub mod counted_tree;
mod crdt;
pub mod decode;
mod delta;
pub mod dots;
mod extreme_registers;
mod flags;
mod g_counter;
mod g_set;
mod human;
pub mod hyper_log_log;
pub mod list;
mod lww_register;
mod merge;
mod mv_register;
pub mod op;
mod pn_counter;
mod resettable_counter;
mod rw_set;
pub mod sorted_set;
pub mod update;

pub use crate::aw_map::AwMap;
pub use crate::aw_set::AwSet;
pub use crate::bounded_counter::BoundedCounter;
pub use crate::causal::{Causal, Delta};
pub use crate::crdt::Crdt;
pub use crate::delta::DeltaState;
pub use crate::extreme_registers::{MaxRegister, MinRegister};
pub use crate::flags::{DwFlag, EwFlag};
pub use crate::g_counter::GCounter;
pub use crate::g_set::GSet;
pub use crate::hyper_log_log::HyperLogLog;
pub use crate::list::List;
pub use crate::lww_register::LwwRegister;
pub use crate::merge::Merge;
pub use crate::mv_register::MvRegister;
pub use crate::pn_counter::PnCounter;
pub use crate::resettable_counter::ResettableCounter;
pub use crate::rw_set::RwSet;
pub use crate::sorted_set::SortedSet;

/// The page that explains each type by running it; its blocks are tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/crdts.md")]
struct Page;
