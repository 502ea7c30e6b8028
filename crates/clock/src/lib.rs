//! Causality and time as values.
//!
//! A [`Dot`] names one write of one replica, a [`VectorClock`] names a causally closed set of writes, and a
//! [`Context`] is anything that can say whether it covers a dot. A [`Stamp`] orders writes that causality leaves
//! unordered: a hybrid logical clock reading and the replica that took it.
//!
//! This crate deliberately reads no clock, draws no randomness and does no IO: wall time is an argument. It is `no_std` with `alloc`.
//!
//! In reading order:
//!
//! * `replica_id`: [`ReplicaId`], who wrote.
//! * `dot`: [`Dot`], which write; [`Context`] and [`Everything`], what had been observed.
//! * `vector_clock`: [`VectorClock`] and [`Causality`], a prefix of every replica's writes.
//! * `dot_context`: [`DotContext`], a set of dots that may have holes.
//! * `hlc`: [`Hlc`] and [`Stamp`], readings of a hybrid logical clock.
//! * `hybrid_clock`: [`HybridClock`], the clock itself.
//!
//! ```
//! use isles_clock::{Causality, Context, Dot, ReplicaId, VectorClock};
//!
//! let (eu, us) = (ReplicaId::from_u128(1), ReplicaId::from_u128(2));
//! let ours = VectorClock::from_iter([(eu, 3), (us, 1)]);
//! let theirs = VectorClock::from_iter([(eu, 2), (us, 4)]);
//!
//! assert_eq!(ours.compare(&theirs), Causality::Concurrent);
//! assert!(ours.covers(Dot::new(eu, 3)));
//! assert_eq!(theirs.minus(&ours), [(us, 1, 4)]); // what we would have to be sent
//! ```

#![no_std]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

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

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
