//! Keys that somebody waits for: which of them were written.
//!
//! A replica does not know who waits, nor for what. It is told keys, and remembers those of them that an op changes,
//! whoever wrote it. A key that has changed is not waited for any more: whoever still wants it says so again. As long as
//! nobody waits, this costs a look at an empty table for each op.

use std::collections::HashSet;

use crate::cold::Missing;
use crate::replica::Replica;
use crate::rows::hash_of;

/// Keys that are waited for, and those that have changed.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// Hashes of keys. Two keys with one hash cost no more than a look at the wrong one's value.
    hashes: HashSet<u64>,
    changed: Vec<Box<[u8]>>,
    /// Those whose waiters need more than is in memory.
    wanting: Vec<Wanting>,
}

/// A key that has changed, and what those who wait for it need before they can run.
#[derive(Debug)]
#[must_use = "until it is loaded, those who wait go on waiting"]
pub struct Wanting {
    /// The key.
    pub key: Box<[u8]>,
    /// What is to be loaded.
    pub missing: Vec<Missing>,
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
        self.waiting.wanting = Vec::new();
    }

    /// Those who wait for a key that has changed need rows which are not in memory.
    pub fn want(&mut self, key: &[u8], missing: Vec<Missing>) {
        let key = key.into();
        self.waiting.wanting.push(Wanting { key, missing });
    }

    /// Whether there are such keys.
    pub fn has_wanting(&self) -> bool {
        !self.waiting.wanting.is_empty()
    }

    /// Takes them; when what they need is in, they have changed [again](Self::note_changed_again).
    pub fn take_wanting(&mut self) -> Vec<Wanting> {
        std::mem::take(&mut self.waiting.wanting)
    }

    /// A key has changed, whoever still waits for it.
    pub fn note_changed_again(&mut self, key: Box<[u8]>) {
        self.waiting.changed.push(key);
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
