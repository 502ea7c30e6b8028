//! What a resolver is given, and what it gives.

use alloc::vec::Vec;

/// One of several values that were written concurrently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sibling<'a> {
    /// What was written.
    pub value: &'a [u8],
    /// The write. No two siblings have the same one.
    pub dot: Dot,
    /// When it was written; its order is the same everywhere.
    pub stamp: Stamp,
}

/// A write: who made it, and which of theirs it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dot {
    /// The replica that made it.
    pub replica: [u8; 16],
    /// Its number among that replica's writes, from one.
    pub sequence: u64,
}

/// When a write was made, by its writer's hybrid clock: the greatest is what `lww` would choose.
///
/// A merge that looks at stamps breaks grouping as soon as it also mixes values: what was merged gets the stamp of whoever
/// writes it back. Choosing one whole sibling by its stamp is safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// Milliseconds since 1970.
    pub wall_ms: u64,
    /// Decides within a millisecond.
    pub counter: u16,
    /// Decides between equal readings: the replica that made the write.
    pub replica: [u8; 16],
}

/// What a resolver may return: a value; or, where it cannot say, `None`, and the siblings stay for the reader to decide.
pub trait Answer {
    /// The value, if there is one.
    fn into_value(self) -> Option<Vec<u8>>;
}

impl Answer for Vec<u8> {
    fn into_value(self) -> Option<Vec<u8>> {
        Some(self)
    }
}

impl Answer for Option<Vec<u8>> {
    fn into_value(self) -> Option<Vec<u8>> {
        self
    }
}

impl Answer for alloc::string::String {
    fn into_value(self) -> Option<Vec<u8>> {
        Some(self.into_bytes())
    }
}

impl Answer for Option<alloc::string::String> {
    fn into_value(self) -> Option<Vec<u8>> {
        self.map(alloc::string::String::into_bytes)
    }
}
