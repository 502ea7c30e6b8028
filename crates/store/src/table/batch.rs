//! Several changes that happen together.

use std::collections::BTreeMap;

use super::{KEY_BYTES_MAX, TableError, VALUE_BYTES_MAX};

/// Puts and deletes that a table applies atomically; of several changes to one key the last one holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    // Sorted, since engines take sorted keys faster, and since an engine that numbers a batch as a whole could not
    // tell which of two changes to one key came last.
    changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    bytes: usize,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a key.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        self.change(key.into(), Some(value.into()));
    }

    /// Removes a key, whether or not it is there.
    pub fn delete(&mut self, key: impl Into<Vec<u8>>) {
        self.change(key.into(), None);
    }

    /// Forgets all changes.
    pub fn clear(&mut self) {
        self.changes.clear();
        self.bytes = 0;
    }

    /// How many keys it changes.
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The bytes of its keys and values.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether every table can store it; a table asks this first, so that a refused batch leaves nothing behind.
    ///
    /// # Errors
    /// [`TableError::Key`] or [`TableError::Value`], for the first key that is empty, too long or has too long a value.
    pub fn check(&self) -> Result<(), TableError> {
        for (key, value) in &self.changes {
            if key.is_empty() || key.len() > KEY_BYTES_MAX {
                return Err(TableError::Key { bytes: key.len() });
            }
            if size(value) > VALUE_BYTES_MAX {
                return Err(TableError::Value { bytes: size(value) });
            }
        }
        Ok(())
    }

    /// What it changes, in the order of keys, each key once: the new value, or none where the key is removed.
    pub fn changes(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.changes
            .iter()
            .map(|(key, value)| (key.as_slice(), value.as_deref()))
    }

    /// As [`Batch::changes`], for those who keep keys and values.
    pub fn into_changes(self) -> impl Iterator<Item = (Vec<u8>, Option<Vec<u8>>)> {
        self.changes.into_iter()
    }

    fn change(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        let key_bytes = key.len();
        self.bytes += key_bytes + size(&value);
        if let Some(replaced) = self.changes.insert(key, value) {
            self.bytes -= key_bytes + size(&replaced);
        }
    }
}

fn size(value: &Option<Vec<u8>>) -> usize {
    value.as_ref().map_or(0, Vec::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_change_holds_and_bytes_follow() {
        let mut batch = Batch::new();
        batch.put("k", "long value");
        batch.delete("k");
        batch.put("other", "v");
        assert_eq!((batch.len(), batch.bytes()), (2, 1 + 5 + 1));
        batch.clear();
        assert_eq!((batch.len(), batch.bytes()), (0, 0));
    }
}
