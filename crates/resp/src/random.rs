//! Randomness of one connection, for commands that pick members.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// The splitmix64 generator.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Starts from the randomness that the standard library takes from the system.
    pub(crate) fn from_system() -> Random {
        Random(RandomState::new().hash_one(0u64))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.next()) * limit as u128) >> 64) as usize
    }

    /// Moves `count` items, each subset equally likely, to the front.
    pub(crate) fn choose<T>(&mut self, items: &mut [T], count: usize) {
        for index in 0..count.min(items.len()) {
            let other = index + self.below(items.len() - index);
            items.swap(index, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choosing_is_fair() {
        let mut random = Random(7);
        let mut counts = [0; 5];
        for _ in 0..10_000 {
            let mut items = [0, 1, 2, 3, 4];
            random.choose(&mut items, 2);
            assert_ne!(items[0], items[1]);
            items[..2]
                .iter()
                .for_each(|&item: &usize| counts[item] += 1);
        }
        assert!(
            counts.iter().all(|count| (3_700..4_300).contains(count)),
            "{counts:?}"
        );
    }
}
