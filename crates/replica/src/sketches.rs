//! The HyperLogLogs of a key, and what they count together, as far as that is known.

use std::ops::Deref;

use isles_crdt::op::HyperLogLog;

use crate::hyll;

/// Sketches by the entries that created them. What they count is kept from when it was last asked: it is derived, so it
/// is neither summed, nor stored, nor sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sketches {
    content: HyperLogLog,
    /// None as long as nobody has asked since the last change.
    counted: Option<u64>,
}

impl Sketches {
    /// Changes the sketches. Whether a register has changed is not looked at: what is logged nearly always changes one.
    pub(crate) fn change<R>(&mut self, change: impl FnOnce(&mut HyperLogLog) -> R) -> R {
        self.counted = None;
        change(&mut self.content)
    }

    /// What they count, if that is known.
    pub(crate) fn counted(&self) -> Option<u64> {
        self.counted
    }

    /// Keeps what they were found to count.
    pub(crate) fn note_counted(&mut self, count: u64) {
        self.counted = Some(count);
    }

    /// Their union as the string that Redis would have.
    pub(crate) fn encoded(&self, sparse_bytes_max: usize) -> Vec<u8> {
        hyll::encode(&self.content.sketch(), self.counted, sparse_bytes_max)
    }
}

impl Deref for Sketches {
    type Target = HyperLogLog;

    fn deref(&self) -> &HyperLogLog {
        &self.content
    }
}

impl From<HyperLogLog> for Sketches {
    fn from(content: HyperLogLog) -> Self {
        Sketches {
            content,
            counted: None,
        }
    }
}
