//! What a module may use.

use serde::{Deserialize, Serialize};

/// Bytes of a module.
pub const MODULE_BYTES_MAX: usize = 1 << 20;
/// Fuel of one call, which no limit may exceed: about a hundredth of a second.
pub const FUEL_MAX: u64 = 10_000_000;
/// Bytes of memory of one call, which no limit may exceed.
pub const MEMORY_BYTES_MAX: u32 = 64 << 20;
/// Bytes of an answer, which no limit may exceed.
pub const ANSWER_BYTES_MAX: u32 = 16 << 20;
/// Bytes of all siblings together that a module is given. It is no limit that can be set, so that all replicas agree on
/// what is too large.
pub const INPUT_BYTES_MAX: usize = 4 << 20;

/// What one call of a module may use.
///
/// The limits belong to the resolver as much as its code: they are stored and replicated with it, so that what one replica
/// can answer every other can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Units of fuel: about one for each instruction, and one for each 64 bytes that are copied or filled.
    pub fuel: u64,
    /// Bytes of linear memory.
    pub memory_bytes: u32,
    /// Bytes of an answer.
    pub answer_bytes: u32,
}

impl Limits {
    /// The same, with nothing beyond what any module may use.
    #[must_use]
    pub fn clamped(self) -> Self {
        Self {
            fuel: self.fuel.min(FUEL_MAX),
            memory_bytes: self.memory_bytes.min(MEMORY_BYTES_MAX),
            answer_bytes: self.answer_bytes.min(ANSWER_BYTES_MAX),
        }
    }
}

impl Default for Limits {
    /// A million units of fuel, 16 MiB of memory, answers of 4 MiB.
    fn default() -> Self {
        Self {
            fuel: 1_000_000,
            memory_bytes: 16 << 20,
            answer_bytes: 4 << 20,
        }
    }
}
