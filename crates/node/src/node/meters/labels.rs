//! Keyspaces as labels: short, and not too many.

use std::collections::BTreeSet;

/// Bytes of a keyspace's prefix that stand in a label.
const LABEL_BYTES_MAX: usize = 64;
/// Keyspaces with a label of their own; each costs every scrape and the memory of whoever stores it.
const KEYSPACES_MAX: usize = 256;
/// The label of all further ones.
const OTHERS: &str = "(others)";

/// The labels given so far; a label that was given stays.
#[derive(Default)]
pub(super) struct KeyspaceLabels(BTreeSet<String>);

impl KeyspaceLabels {
    pub(super) fn of(&mut self, prefix: &[u8]) -> String {
        let shown = &prefix[..prefix.len().min(LABEL_BYTES_MAX)];
        let label = shown.escape_ascii().to_string();
        if self.0.contains(&label) {
            return label;
        }
        if self.0.len() == KEYSPACES_MAX {
            return OTHERS.to_owned();
        }
        self.0.insert(label.clone());
        label
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_short_and_bounded() {
        let mut labels = KeyspaceLabels::default();
        assert_eq!(labels.of(b"cart:"), "cart:");
        assert_eq!(labels.of(b"\xff\n"), "\\xff\\n");
        assert_eq!(labels.of(&[b'k'; 100]).len(), LABEL_BYTES_MAX);
        for number in 0..KEYSPACES_MAX {
            labels.of(number.to_string().as_bytes());
        }
        assert_eq!(labels.of(b"one more"), OTHERS);
        assert_eq!(labels.of(b"cart:"), "cart:");
    }
}
