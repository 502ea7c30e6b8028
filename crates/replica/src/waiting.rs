//! Keys that somebody waits for: which of them were written.
//!
//! A replica does not know who waits, nor for what. It is told keys, and remembers those of them that an op changes,
//! whoever wrote it. A key that has changed is not waited for any more: whoever still wants it says so again. As long as
//! nobody waits, this costs a look at an empty table for each op.

use std::collections::HashSet;

use crate::replica::Replica;
use crate::rows::hash_of;

/// Keys that are waited for, and those that have changed.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// Hashes of keys. Two keys with one hash cost no more than a look at the wrong one's value.
    hashes: HashSet<u64>,
    changed: Vec<Box<[u8]>>,
}

impl Waiting {
    /// An op has changed a key.
    pub(crate) fn note(&mut self, hash: u64, key: &[u8]) {
        if !self.hashes.is_empty() && self.hashes.remove(&hash) {
            self.changed.push(key.into());
        }
    }
}

impl Replica {
    /// From here on, until it changes, somebody waits for this key.
    pub fn wait_for(&mut self, key: &[u8]) {
        self.waiting.hashes.insert(hash_of(key));
    }

    /// Number of keys that somebody waits for. Keys stay among them until they change, also when nobody waits any more.
    pub fn waited_for(&self) -> usize {
        self.waiting.hashes.len()
    }

    /// Nobody waits for any key.
    pub fn wait_for_nothing(&mut self) {
        self.waiting.hashes = HashSet::new();
        self.waiting.changed = Vec::new();
    }

    /// Whether a key that somebody waits for has changed.
    pub fn has_changed_keys(&self) -> bool {
        !self.waiting.changed.is_empty()
    }

    /// The keys that were waited for and have changed, in the order in which they did.
    pub fn take_changed_keys(&mut self) -> Vec<Box<[u8]>> {
        std::mem::take(&mut self.waiting.changed)
    }
}
