//! Places in the log.

use std::fmt;

/// A place in this replica's log: the number of a record, and of an entry in the frame that it holds.
///
/// Log order is apply order, so positions order everything that a replica has applied, its own entries and others'.
/// They mean nothing to another replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

const ENTRY_BITS: u32 = 16;

impl Position {
    /// Before the first record.
    pub const ZERO: Position = Position(0);

    /// The place of entry `entry` (from zero) of the frame with this number (from one).
    pub fn of_entry(frame: u64, entry: u32) -> Position {
        debug_assert!(
            entry < (1 << ENTRY_BITS) - 1,
            "a frame holds fewer entries than a position can name"
        );
        Position((frame << ENTRY_BITS) | u64::from(entry))
    }

    /// The end of the frame with this number: every entry of it is at or before this place.
    pub fn end_of(frame: u64) -> Position {
        Position((frame << ENTRY_BITS) | ((1 << ENTRY_BITS) - 1))
    }

    /// The number of the record that holds the frame.
    pub fn frame(self) -> u64 {
        self.0 >> ENTRY_BITS
    }

    /// The position as a number, for storing it.
    pub fn as_u64(self) -> u64 {
        self.0
    }

    /// The position that [`as_u64`](Self::as_u64) gave.
    pub fn from_u64(value: u64) -> Position {
        Position(value)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.frame(), self.0 & ((1 << ENTRY_BITS) - 1))
    }
}

const _: () = assert!(crate::frame::FRAME_ENTRIES_MAX < (1 << ENTRY_BITS) - 1);
