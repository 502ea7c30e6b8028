//! Values that merge: counters, registers, sets and maps with conflict-free semantics.
#![no_std]

#[cfg(feature = "std")]
extern crate std;

pub mod op;
