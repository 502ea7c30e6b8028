//! The HyperLogLogs of a key, and what they count together, as far as that is known.

use std::ops::Deref;

use isles_clock::{Context, Dot};
use isles_crdt::op::{HyperLogLog, Nested};

use crate::apply::Author;
use crate::hyll;
use crate::trail::{Change, Trail};

/// Sketches by the entries that created them. What they count is kept from when it was last asked: it is derived, so it
/// is neither summed, nor stored, nor sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sketches {
    content: HyperLogLog,
    /// None as long as nobody has asked since the last change.
    counted: Option<u64>,
    /// Nearly always empty, so that it takes no more room than that.
    pub(crate) trail: Option<Box<Trail>>,
}

impl Sketches {
    /// Whether the sketch of this name is there.
    pub(crate) fn has(&self, named: Dot) -> bool {
        let mut names = self.content.sketches().iter().map(|(dot, _)| *dot);
        names.any(|dot| dot == named)
    }

    /// Removes the sketches that the author has seen; returns the changes that are lost with them.
    pub(crate) fn clear<C: Context>(&mut self, author: &Author<'_, C>) -> Vec<Change> {
        let names = self.content.sketches().iter().map(|(dot, _)| (*dot, None));
        let seen: Vec<_> = names
            .filter(|(dot, _)| author.context.covers(*dot))
            .collect();
        if seen.is_empty() {
            return Vec::new();
        }
        self.change(|sketches| sketches.remove_observed(author.context, None));
        self.trail.get_or_insert_default().delete(seen, author)
    }

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
            trail: None,
        }
    }
}
