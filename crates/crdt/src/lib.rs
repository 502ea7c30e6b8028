//! Values that merge: replicas change them alone, exchange them in any order, and end up equal.
//!
//! There are two families. The state-based types merge whole states and need nothing of the network: what is lost,
//! repeated or late does no harm. The operation-based building blocks in [`op`] are smaller and faster, and need every
//! operation delivered once, after everything its writer had observed.
//!
//! This crate deliberately knows no policy (which of several values an application wants to see), no wall time and no
//! IO; and nothing of text or documents. It is `no_std` with `alloc`.
//!
//! In reading order:
//!
//! * `merge`: [`Merge`] and its laws.
//! * `g_counter`, `pn_counter`: [`GCounter`] and [`PnCounter`], counting.
//! * `lww_register`, `mv_register`: [`LwwRegister`] and [`MvRegister`], one value, or all concurrent ones.
//! * `aw_set`, `aw_map`: [`AwSet`] and [`AwMap`], where a concurrent addition beats a removal; no tombstones.
//! * [`dots`]: what those are made of, and what nests inside an [`AwMap`].
//! * [`op`]: building blocks for replication by operations.
//!
//! ```
//! use isles_clock::ReplicaId;
//! use isles_crdt::{AwSet, Merge};
//!
//! let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
//! let mut here = AwSet::new();
//! here.add(eu, "apple");
//! let mut there = here.clone();
//!
//! here.remove("apple");
//! there.add(us, "apple"); // concurrently, so it stays
//!
//! here.merge(&there);
//! there.merge(&here);
//! assert!(here.contains("apple"));
//! assert_eq!(here, there);
//! ```

#![no_std]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

mod aw_map;
mod aw_set;
mod causal;
mod crdt;
mod delta;
pub mod dots;
mod g_counter;
mod lww_register;
mod merge;
mod mv_register;
pub mod op;
mod pn_counter;
pub mod update;

pub use crate::aw_map::AwMap;
pub use crate::aw_set::AwSet;
pub use crate::crdt::Crdt;
pub use crate::delta::DeltaState;
pub use crate::g_counter::GCounter;
pub use crate::lww_register::LwwRegister;
pub use crate::merge::Merge;
pub use crate::mv_register::MvRegister;
pub use crate::pn_counter::PnCounter;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
