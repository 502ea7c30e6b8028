#![doc = include_str!("../README.md")]
//!
//! # In reading order
//!
//! * `replica_id`: [`ReplicaId`], who wrote.
//! * `dot`: [`Dot`], which write; [`Context`] and [`Everything`], what had been observed.
//! * `vector_clock`: [`VectorClock`] and [`Causality`], a prefix of every replica's writes.
//! * `dot_context`: [`DotContext`], a set of dots that may have holes.
//! * `dvv_set`: [`DvvSet`], the concurrent values of a key.
//! * `hlc`: [`Hlc`], a reading; `stamp`: [`Stamp`], a reading and who took it.
//! * `hybrid_clock`: [`HybridClock`], the clock itself; `atomic_hybrid_clock`: [`AtomicHybridClock`], for threads.
//! * [`delta`]: clocks and runs of stamps as differences.

#![no_std]
#![deny(missing_docs)]

extern crate alloc;

#[cfg(target_has_atomic = "64")]
mod atomic_hybrid_clock;
pub mod delta;
mod dot;
mod dot_context;
mod dvv_set;
mod hlc;
mod hybrid_clock;
mod replica_id;
mod stamp;
mod vector_clock;

#[cfg(target_has_atomic = "64")]
pub use crate::atomic_hybrid_clock::AtomicHybridClock;
pub use crate::dot::{Context, Dot, Everything};
pub use crate::dot_context::DotContext;
pub use crate::dvv_set::{DvvSet, UpdateError};
pub use crate::hlc::{Hlc, ParseHlcError};
pub use crate::hybrid_clock::{HybridClock, Skew};
pub use crate::replica_id::{ParseReplicaIdError, ReplicaId};
pub use crate::stamp::{ParseStampError, Stamp};
pub use crate::vector_clock::{Causality, VectorClock};
