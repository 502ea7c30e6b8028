//! Which keys are in conflict most often, in bounded memory.
//!
//! Space-Saving: A. Metwally, D. Agrawal, A. El Abbadi, "Efficient Computation of Frequent and Top-k Elements in Data
//! Streams", ICDT 2005, section 3. A key that is not monitored takes the place and the count of the one with the
//! smallest count; that count is how far its own may be too high. Of `n` conflicts, every key with more than
//! `n / MONITORED` of them is monitored.

use crate::rows::hash_of;

/// Keys that are monitored.
pub const MONITORED: usize = 128;
/// Of a key so many bytes are kept.
pub const HOT_KEY_BYTES_MAX: usize = 256;

/// A key, and how often it was in conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HotKey {
    /// The key, cut to [`HOT_KEY_BYTES_MAX`].
    pub key: Vec<u8>,
    /// Conflicts, at most: its own and perhaps some of the keys whose place it has taken.
    pub conflicts: u64,
    /// How many of them may be those of other keys.
    pub error: u64,
}

/// The keys with the most conflicts since start.
#[derive(Clone, Debug, Default)]
pub struct HotKeys {
    /// Beside `keys`, so that a search reads little memory.
    hashes: Vec<u64>,
    keys: Vec<HotKey>,
    /// No key has fewer conflicts, and none before `next` has as few.
    least: u64,
    next: usize,
}

impl HotKeys {
    /// Counts a conflict of a key. Costs a search through [`MONITORED`] numbers.
    pub(crate) fn note(&mut self, key: &[u8]) {
        let hash = hash_of(key);
        if let Some(place) = self.hashes.iter().position(|known| *known == hash) {
            self.keys[place].conflicts += 1;
            return;
        }
        let place = self.place();
        self.hashes[place] = hash;
        let hot = &mut self.keys[place];
        hot.key.clear();
        hot.key
            .extend_from_slice(&key[..key.len().min(HOT_KEY_BYTES_MAX)]);
        hot.error = hot.conflicts;
        hot.conflicts += 1;
    }

    /// A place for a key that is not monitored: an empty one, or that of a key with the fewest conflicts. The places are
    /// gone through in turn, since each one that is given away has a conflict more than the fewest.
    fn place(&mut self) -> usize {
        if self.keys.len() < MONITORED {
            self.hashes.push(0);
            self.keys.push(HotKey {
                key: Vec::new(),
                conflicts: 0,
                error: 0,
            });
            return self.keys.len() - 1;
        }
        loop {
            let rest = self.keys[self.next..].iter();
            if let Some(ahead) = rest.clone().position(|hot| hot.conflicts == self.least) {
                let place = self.next + ahead;
                self.next = place + 1;
                return place;
            }
            self.next = 0;
            let counts = self.keys.iter().map(|hot| hot.conflicts);
            self.least = counts.min().expect("invariant: all places are taken");
        }
    }

    /// The keys with the most conflicts, most first, at most `limit` of them.
    pub fn top(&self, limit: usize) -> Vec<&HotKey> {
        let mut keys: Vec<&HotKey> = self.keys.iter().collect();
        keys.sort_by(|a, b| (b.conflicts, &a.key).cmp(&(a.conflicts, &b.key)));
        keys.truncate(limit);
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_keys_are_counted_exactly() {
        let mut hot = HotKeys::default();
        for (key, times) in [(b"a", 3), (b"b", 5), (b"c", 1)] {
            (0..times).for_each(|_| hot.note(key));
        }
        let top: Vec<_> = hot.top(2).into_iter().cloned().collect();
        let expected = |key: &[u8], conflicts| HotKey {
            key: key.to_vec(),
            conflicts,
            error: 0,
        };
        assert_eq!(top, [expected(b"b", 5), expected(b"a", 3)]);
    }

    // The paper's guarantee: whoever has more than one in MONITORED of all conflicts is there, and its count is right to
    // within the error given.
    #[test]
    fn a_hot_key_is_found_among_a_crowd_in_bounded_memory() {
        let mut hot = HotKeys::default();
        let mut own = 0;
        for turn in 0..100_000u32 {
            hot.note(format!("crowd-{turn}").as_bytes());
            if turn.is_multiple_of(50) {
                hot.note(b"hot");
                own += 1;
            }
        }
        assert_eq!(hot.keys.len(), MONITORED);
        let found = hot.top(1)[0];
        assert_eq!(found.key, b"hot");
        assert!(
            found.conflicts - found.error <= own && own <= found.conflicts,
            "{found:?}, really {own}"
        );
    }

    #[test]
    fn long_keys_are_cut_and_still_told_apart() {
        let mut hot = HotKeys::default();
        for last in [b'a', b'b'] {
            let mut key = vec![b'k'; HOT_KEY_BYTES_MAX];
            key.push(last);
            hot.note(&key);
        }
        assert_eq!(hot.top(10).len(), 2);
        assert!(
            hot.top(10)
                .iter()
                .all(|hot| hot.key.len() == HOT_KEY_BYTES_MAX)
        );
    }
}
