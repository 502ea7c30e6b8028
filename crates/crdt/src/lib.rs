//! Values that merge: counters, registers, sets and maps with conflict-free semantics.
